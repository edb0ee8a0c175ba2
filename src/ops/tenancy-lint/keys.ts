import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import type { Finding } from "./finding.js";
import type { LintTarget } from "./target.js";

/** Keys that span tenants: a collision, or a reference, then tells one tenant what another one has. */
export async function checkKeys(session: Session, target: LintTarget): Promise<Finding[]> {
  return [...(await checkUnique(session, target)), ...(await checkForeign(session, target))];
}

async function checkUnique(session: Session, target: LintTarget): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-keys",
    sql: sql`
      select format('%I.%I', n.nspname, c.relname) as table, format('%I.%I', n.nspname, x.relname) as index,
        quote_ident(k.conname) as constraint, pg_get_indexdef(i.indexrelid) as definition, k.contype as kind,
        array(
          select quote_ident(a.attname) from unnest(i.indkey::int2[]) with ordinality as key (attnum, position)
          join pg_attribute a on a.attrelid = c.oid and a.attnum = key.attnum
          where key.position <= i.indnkeyatts order by key.position
        ) as columns
      from pg_index i
      join pg_class x on x.oid = i.indexrelid
      join pg_class c on c.oid = i.indrelid
      join pg_namespace n on n.oid = c.relnamespace
      left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
      where (i.indisunique or i.indisexclusion) and i.indrelid = any(${target.oids}::text[]::oid[])
        and not exists (
          select from pg_attribute a
          where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnum = i.indkey[0]
        )
        -- The index of a partition follows that of its table.
        and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid)
      order by 1, 2`,
  });
  return (rows as unknown as KeyRow[]).map((row) => {
    const others = row.columns.filter((column) => column !== "tenant_id");
    const named = row.constraint ?? row.index;
    return {
      code: "key-without-tenant",
      severity: row.columns.includes("tenant_id") ? "warning" : "error",
      object: `${named} on ${row.table}`,
      message: row.columns.includes("tenant_id")
        ? `The key ${named} on ${row.table} does not lead with the tenant, so it serves no search within one.`
        : `The key ${named} on ${row.table} spans tenants: a value that one has is refused to the others, who learn of it.`,
      cure:
        row.constraint === null || row.kind === "x"
          ? `${row.constraint === null ? `drop index ${row.index}` : `alter table ${row.table} drop constraint ${row.constraint}`};\n` +
            `${row.definition.replace(/ USING (\w+) \(/, " USING $1 (tenant_id, ")};`
          : `alter table ${row.table} drop constraint ${row.constraint}, add constraint ${row.constraint} ` +
            `${row.kind === "p" ? "primary key" : "unique"} (${["tenant_id", ...others].join(", ")});`,
    };
  });
}

interface KeyRow {
  table: string;
  index: string;
  constraint: string | null;
  definition: string;
  kind: string | null;
  columns: string[];
}

async function checkForeign(session: Session, target: LintTarget): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-foreign-keys",
    sql: sql`
      select quote_ident(k.conname) as name, k.conrelid::regclass::text as table, k.confrelid::regclass::text as referenced,
        format('%I.%I', n.nspname, c.relname) as qualified
      from pg_constraint k
      join pg_class c on c.oid = k.conrelid
      join pg_namespace n on n.oid = c.relnamespace
      where k.contype = 'f' and k.conparentid = 0
        and (k.conrelid = any(${target.oids}::text[]::oid[]) or k.confrelid = any(${target.oids}::text[]::oid[]))
        -- A table without tenants is shared by all, and may be referred to.
        and exists (select from pg_attribute a where a.attrelid = k.confrelid and a.attname = 'tenant_id')
        and not exists (
          select from unnest(k.conkey, k.confkey) as pair (own, other)
          join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.own and a.attname = 'tenant_id'
          join pg_attribute b on b.attrelid = k.confrelid and b.attnum = pair.other and b.attname = 'tenant_id'
        )
      order by 1`,
  });
  return (rows as { name: string; table: string; referenced: string; qualified: string }[]).map((row) => ({
    code: "foreign-key-without-tenant",
    severity: "error",
    object: `${row.name} on ${row.qualified}`,
    message:
      `The foreign key ${row.name} from ${row.table} to ${row.referenced} does not match the tenant; such checks pass by ` +
      "row-level security, so rows of other tenants can be found by trying. Add it again with tenant_id on both sides.",
    cure: `alter table ${row.qualified} drop constraint ${row.name};`,
  }));
}

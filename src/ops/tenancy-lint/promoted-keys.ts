import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { indexColumnSql } from "../../schema/promoted-keys.js";
import { inspectSchema } from "../../schema/inspect.js";
import type { Finding } from "./finding.js";
import type { LintTarget } from "./target.js";

/** Promoted keys without an index that leads with the tenant: a filter on them reads all rows of its tenant. */
export async function checkPromotedKeys(session: Session, { layout, schema }: LintTarget): Promise<Finding[]> {
  const { promotedKeys } = await inspectSchema(session, layout);
  const { rows } = await session.execute({
    name: "lint-promoted-keys",
    sql: sql`
      select a.attname::text as column
      from pg_index i
      join pg_class c on c.oid = i.indrelid and c.relname = ${layout.table}::text
      join pg_namespace n on n.oid = c.relnamespace and n.nspname = ${schema}::text
      join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id' and t.attnum = i.indkey[0]
      join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey::int2[])
      where i.indisvalid and i.indpred is null`,
  });
  const indexed = new Set(rows.map(({ column }) => column as string));
  return promotedKeys
    .filter(({ column }) => !indexed.has(column))
    .map((promoted) => ({
      code: "promoted-key-without-index",
      severity: "warning",
      object: `${promoted.column} on ${layout.table}`,
      message:
        `The promoted key ${JSON.stringify(promoted.key)} of ${layout.table} has no index that leads with the tenant, so a ` +
        "filter on it reads all rows of its tenant.",
      cure: indexColumnSql({ schema, table: layout.table }, promoted).replace(
        "create index",
        "create index concurrently",
      ),
    }));
}

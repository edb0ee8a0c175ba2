import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import type { Finding } from "./finding.js";
import type { LintTarget } from "./target.js";

interface FunctionRow {
  readonly signature: string;
  readonly kind: "function" | "procedure";
  readonly pinned: boolean;
  readonly touches: boolean;
  readonly ownerBypasses: boolean;
  readonly callable: boolean;
}

/** Security-definer functions: they work with their owner's rights, on whatever their search path finds. */
export async function checkFunctions(session: Session, target: LintTarget): Promise<Finding[]> {
  const names = new TextArrayParameter(
    target.relations.map(({ name }) => name.replace(/^.*\./, "").replaceAll('"', "").toLowerCase()),
  );
  const { rows } = await session.execute({
    name: "lint-functions",
    sql: sql`
      select format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as signature,
        case p.prokind when 'p' then 'procedure' else 'function' end as kind,
        coalesce(array_to_string(p.proconfig, E'\n') ~ '(^|\n)search_path=', false) as pinned,
        exists (
          select from unnest(${names}::text[]) as t (name)
          where strpos(lower(p.prosrc), t.name) > 0
        ) or exists (
          select from pg_depend d
          where d.classid = 'pg_proc'::regclass and d.objid = p.oid
            and d.refclassid = 'pg_class'::regclass and d.refobjid = any(${target.oids}::text[]::oid[])
        ) as touches,
        o.rolsuper or o.rolbypassrls as "ownerBypasses",
        coalesce((
          select has_function_privilege(app.oid, p.oid, 'execute') from pg_roles app
          where app.rolname = ${target.appRole}::text
        ), false) as callable
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
      join pg_roles o on o.oid = p.proowner
      where p.prosecdef and p.prokind <> 'a' and n.nspname not in ('pg_catalog', 'information_schema')
        and not exists (
          select from pg_depend e where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e'
        )
      order by 1`,
  });
  return (rows as unknown as FunctionRow[]).flatMap((row) => checkOne(row, target));
}

function checkOne(row: FunctionRow, target: LintTarget): Finding[] {
  const findings: Finding[] = [];
  if (row.touches && !row.pinned) {
    findings.push({
      code: "function-search-path",
      severity: "error",
      object: row.signature,
      message:
        `The security-definer ${row.kind} ${row.signature} works on tenants' tables and takes its caller's search path, ` +
        "which can put other tables and operators in place of those meant.",
      cure: `alter ${row.kind} ${row.signature} set search_path = ${quoteIdentifier(target.schema)}, pg_temp;`,
    });
  }
  if (row.ownerBypasses && row.callable) {
    findings.push({
      code: "function-bypasses",
      severity: row.touches ? "error" : "warning",
      object: row.signature,
      message:
        `The security-definer ${row.kind} ${row.signature} belongs to a role that no policy binds, and the app role may ` +
        `call it${row.touches ? "; it works on tenants' tables." : ". See to it that it reads no tenant's table."}`,
      cure: `alter ${row.kind} ${row.signature} security invoker;`,
    });
  }
  return findings;
}

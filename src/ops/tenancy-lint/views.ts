import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import type { Finding } from "./finding.js";
import type { LintTarget } from "./target.js";

interface ViewRow {
  readonly name: string;
  readonly materialized: boolean;
  readonly invoker: boolean;
  readonly ownerBypasses: boolean;
  readonly readable: boolean;
}

/** Views that read tenants' rows with the rights of their owner, and copies of such rows. */
export async function checkViews(session: Session, target: LintTarget): Promise<Finding[]> {
  const { rows } = await session.execute({
    name: "lint-views",
    sql: sql`
      with recursive over as (
        select unnest(${target.oids}::text[]::oid[]) as oid
        union
        select r.ev_class from over
        join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = over.oid
          and d.classid = 'pg_rewrite'::regclass
        join pg_rewrite r on r.oid = d.objid
      )
      select format('%I.%I', n.nspname, c.relname) as name, c.relkind = 'm' as materialized,
        coalesce((
          select bool_or(value::bool) from pg_options_to_table(c.reloptions) as o (name, value)
          where o.name = 'security_invoker'
        ), false) as invoker,
        o.rolsuper or o.rolbypassrls as "ownerBypasses",
        coalesce((
          select has_any_column_privilege(app.oid, c.oid, 'select') from pg_roles app where app.rolname = ${target.appRole}::text
        ), false) as readable
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_roles o on o.oid = c.relowner
      where c.oid in (select oid from over) and c.relkind in ('v', 'm')
      order by 1`,
  });
  return (rows as unknown as ViewRow[]).flatMap((view) => (view.materialized ? [copied(view, target)] : viewed(view)));
}

function copied(view: ViewRow, { appRole }: LintTarget): Finding {
  const app = quoteIdentifier(appRole);
  if (view.readable) {
    return {
      code: "materialized-view-readable",
      severity: "error",
      object: view.name,
      message: `The materialized view ${view.name} holds rows of tenants, has no row-level security, and ${app} may read it.`,
      cure: `revoke all on ${view.name} from ${app}, public;`,
    };
  }
  return {
    code: "materialized-view",
    severity: "warning",
    object: view.name,
    message:
      `The materialized view ${view.name} holds a copy of tenants' rows without row-level security. ` +
      `${app} may not read it, but deleting a tenant leaves the copy until the next refresh.`,
    cure: `drop materialized view ${view.name};`,
  };
}

function viewed(view: ViewRow): Finding[] {
  if (view.invoker) return [];
  return [
    {
      code: "view-without-security-invoker",
      severity: view.ownerBypasses ? "error" : "warning",
      object: view.name,
      message:
        `The view ${view.name} reads tenants' rows with the rights of its owner` +
        (view.ownerBypasses ? ", whom no policy binds." : ", so what it shows depends on who that is."),
      cure: `alter view ${view.name} set (security_invoker = true);`,
    },
  ];
}

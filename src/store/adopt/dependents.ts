import sql, { join } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { SchemaDriftError } from "../../errors.js";
import type { Layout } from "../../schema/layout.js";
import { alteredColumns } from "./plan.js";
import type { Survey } from "./survey.js";

/**
 * Refuses what Postgres would refuse in the middle: views, policies, triggers, functions and foreign keys that depend on a
 * column whose type changes, and parents and children of the table.
 *
 * @throws SchemaDriftError naming them.
 */
export async function checkDependents(session: Session, survey: Survey, layout: Layout): Promise<void> {
  const table = quoteQualified(survey.state.schema, layout.table);
  const columns = alteredColumns(survey, layout).map((name) => sql`${name}::text`);
  const { rows } = await session.execute({
    name: "adopt-dependents",
    sql: sql`
      select distinct pg_describe_object(d.classid, d.objid, d.objsubid) as what
      from pg_depend d
      join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
      where d.refclassid = 'pg_class'::regclass and d.refobjid = ${table}::regclass and d.deptype = 'n'
        and a.attname in (${join(columns)})
      union
      select format('table %s (inheritance)', case when inhrelid = ${table}::regclass then inhparent else inhrelid end::regclass)
      from pg_inherits where ${table}::regclass in (inhrelid, inhparent)
      order by what`,
  });
  if (rows.length === 0) return;
  throw new SchemaDriftError(
    `The table ${JSON.stringify(layout.table)} cannot be adopted while these depend on it: ` +
      `${rows.map((row) => String(row["what"])).join("; ")}. Drop them, adopt, and create them again.`,
  );
}

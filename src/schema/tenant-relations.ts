import sql, { raw } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { backfillTables, loadsTable, messagesTable, sourceTables, type Layout } from "./layout.js";
import { lexicalTables } from "./lexical.js";

/**
 * The tables of tenant data that a layout names, those of its lexical index included where it has one. Row-level security,
 * the app role's rights, the linter and the leak suite all follow this list, so whatever holds rows of tenants has its
 * place here.
 */
export function tenantRelations(layout: Layout, lexical: boolean): readonly string[] {
  const collections = layout.collectionsTable === undefined ? [] : [layout.collectionsTable];
  const own = [loadsTable(layout), messagesTable(layout), ...sourceTables(layout), ...backfillTables(layout)];
  return [layout.table, ...collections, ...own, ...(lexical ? lexicalTables(layout.table) : [])];
}

/** The restrictive policy of every table of tenant data; its comment names the store. */
export const ACTIVE_POLICY = "langchain_pgvector_active";

/** How the comment on a copy begins that is to become a partition, and repeats rows that are elsewhere. */
export const MOVE_MARK = "langchain-pgvector move: ";

/** A table of tenant data as it is in the database. */
export interface SecuredRelation {
  readonly name: string;
  /** As text, since it may be beyond int4. */
  readonly oid: string;
  /** Columns of the primary key after `tenant_id`, in its order, with their types as SQL. */
  readonly keys: readonly { readonly name: string; readonly type: string }[];
  readonly columns: readonly string[];
  /** Whether the current role may vacuum it; a vacuum without the right is skipped with a mere warning. */
  readonly vacuumable: boolean;
}

/** Whether the current role may vacuum `c`, a row of `pg_class`. */
export const mayVacuum = raw(`(
  pg_has_role(c.relowner, 'usage')
  or case when current_setting('server_version_num')::int4 >= 170000 then has_table_privilege(c.oid, 'maintain') end
  is true
)`);

/**
 * Every table that keeps rows of tenants for one store, the table of chunks first. Read from the database, so that it
 * also has those that this process was not configured with. Partitions come with their table.
 */
export async function findTenantRelations(session: Session, schema: string, store: string): Promise<SecuredRelation[]> {
  const { rows } = await session.execute({
    name: "tenant-relations",
    sql: sql`
      select c.relname::text as name, c.oid::int8::text as oid,
        array(
          select a.attname::text from pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum
        ) as columns,
        coalesce((
          select jsonb_agg(
            jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) order by k.position)
          from pg_index i
          cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
          join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
          where i.indrelid = c.oid and i.indisprimary and a.attname <> 'tenant_id'
        ), '[]') as keys,
        ${mayVacuum} as vacuumable
      from pg_policy p join pg_class c on c.oid = p.polrelid
      where p.polname = ${ACTIVE_POLICY}::text
        and obj_description(p.oid, 'pg_policy') = ${store}::text
        and c.relnamespace = (select oid from pg_namespace where nspname = ${schema}::text)
        and not c.relispartition
        and not starts_with(coalesce(obj_description(c.oid, 'pg_class'), ''), ${MOVE_MARK}::text)
      order by c.relname <> ${store}::text, c.relname`,
  });
  return rows as unknown as SecuredRelation[];
}

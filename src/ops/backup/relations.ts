import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { qualified, quoteQualified } from "../../db/identifiers.js";
import { SchemaVersionError } from "../../errors.js";
import {
  backfillTables,
  loadsTable,
  messagesTable,
  sourceTables,
  MAINTENANCE_TABLE,
  MODELS_TABLE,
  REVISIONS_TABLE,
  TENANTS_TABLE,
} from "../../schema/layout.js";
import { ACTIVE_POLICY, MOVE_MARK } from "../../schema/tenant-relations.js";

export interface BackupColumn {
  readonly name: string;
  /** Filled by the server. */
  readonly generated: boolean;
  /** Of a type of pgvector. */
  readonly vector: boolean;
}

/** A table or partition of the library. */
export interface BackupRelation {
  readonly oid: string;
  readonly name: string;
  /** Qualified, and quoted as far as Postgres itself would. */
  readonly quoted: string;
  /** A partitioned table has no rows of its own. */
  readonly partitioned: boolean;
  /** The table that this is a partition of. */
  readonly parent: string | null;
  readonly owner: string;
  readonly rowSecurity: boolean;
  readonly forced: boolean;
  /** Whether row-level security binds the role that looks. */
  readonly bound: boolean;
  readonly bytes: number;
  readonly primaryKey: readonly string[];
  readonly columns: readonly BackupColumn[];
}

/** All that the library has in one schema: the tables of all of its stores, and what they need. */
export interface StoredObjects {
  readonly schema: string;
  readonly schemaOwner: string;
  readonly relations: readonly BackupRelation[];
  readonly sequences: readonly { readonly oid: string; readonly name: string; readonly quoted: string }[];
  readonly functions: readonly { readonly oid: string; readonly kind: string; readonly signature: string }[];
  /** Quoted and qualified names of what else is in the schema. */
  readonly foreign: readonly string[];
}

/**
 * Finds the schema of the library's registry, where no name is given.
 *
 * @throws SchemaVersionError when there is none.
 */
export async function findSchema(session: Session, schema: string | undefined): Promise<string> {
  const { rows } = await session.execute({
    name: "backup-schema",
    sql: sql`
      select n.nspname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.oid = to_regclass(${quoteQualified(schema, REVISIONS_TABLE)}::text)`,
  });
  const found = rows[0]?.["name"] as string | undefined;
  if (found !== undefined) return found;
  throw new SchemaVersionError(
    `There is no store ${schema === undefined ? "on the search path" : `in the schema ${JSON.stringify(schema)}`} of this ` +
      "database; name another --database-url or --schema.",
  );
}

/**
 * Reads the catalog, and the list of relations that the library has made.
 *
 * @param names further tables that are known to be the library's, though their policies are not there yet.
 */
export async function readStoredObjects(
  session: Session,
  schema: string,
  names: readonly string[] = [],
): Promise<StoredObjects> {
  const { rows: stores } = await session.execute({
    name: "backup-stores",
    sql: sql`select distinct store as table from ${qualified(schema, MODELS_TABLE)}`,
  });
  // Registered or not: a store without tenancy has no policies to be known by.
  const own = (stores as { table: string }[]).flatMap((store) => [
    store.table,
    loadsTable(store),
    messagesTable(store),
    ...sourceTables(store),
    ...backfillTables(store),
  ]);
  const registry = new TextArrayParameter([
    ...own,
    REVISIONS_TABLE,
    MODELS_TABLE,
    MAINTENANCE_TABLE,
    TENANTS_TABLE,
    ...names,
  ]);
  const { rows } = await session.execute({
    name: "backup-relations",
    sql: sql`
      with recursive listed as (
        select relation from ${qualified(schema, REVISIONS_TABLE)}
      ), known as (
        select relation as name from listed
        union select relation || part from listed, unnest(array['_documents', '_segments']) as part
          where right(relation, 8) = '_lexical'
        union select unnest(${registry}::text[])
      ), here as (
        select c.* from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${schema}::text
      ), members as (
        select c.oid, null::oid as parent from here c
        where c.relkind in ('r', 'p') and not c.relispartition and (
          c.relname in (select name from known)
          or starts_with(c.relname, 'langchain_pgvector_')
          or starts_with(coalesce(obj_description(c.oid, 'pg_class'), ''), ${MOVE_MARK}::text)
          or exists (select from pg_policy p where p.polrelid = c.oid and p.polname = ${ACTIVE_POLICY}::text))
        union
        select i.inhrelid, i.inhparent from members m join pg_inherits i on i.inhparent = m.oid
      ), sequences as (
        select c.oid, c.relname from here c
        where c.relkind = 'S' and (
          c.relname in (select relation || '_segment' from listed where right(relation, 8) = '_lexical')
          or exists (
            select from pg_depend d join members m on m.oid = d.refobjid
            where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
              and d.objid = c.oid and d.deptype in ('a', 'i')))
      ), functions as (
        select p.oid, p.prokind, p.oid::regprocedure::text as signature
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = ${schema}::text and (
          starts_with(p.proname, 'langchain_pgvector_')
          or exists (select from listed where right(relation, 8) = '_lexical' and starts_with(p.proname, relation || '_'))
          or exists (select from pg_trigger t join members m on m.oid = t.tgrelid where t.tgfoid = p.oid)
          or exists (
            select from pg_depend d
            left join pg_index i on d.classid = 'pg_class'::regclass and i.indexrelid = d.objid
            left join pg_attrdef a on d.classid = 'pg_attrdef'::regclass and a.oid = d.objid
            left join pg_policy y on d.classid = 'pg_policy'::regclass and y.oid = d.objid
            join members m on m.oid in (i.indrelid, a.adrelid, y.polrelid)
            where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid))
      )
      select
        (select jsonb_agg(jsonb_build_object(
            'oid', c.oid::int8::text, 'name', c.relname, 'quoted', format('%I.%I', n.nspname, c.relname),
            'partitioned', c.relkind = 'p', 'parent', (select relname from pg_class p where p.oid = m.parent),
            'owner', pg_get_userbyid(c.relowner), 'rowSecurity', c.relrowsecurity, 'forced', c.relforcerowsecurity,
            'bound', row_security_active(c.oid), 'bytes', pg_table_size(c.oid),
            'primaryKey', (
              select coalesce(jsonb_agg(a.attname order by k.position), '[]')
              from pg_index i cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
              join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
              where i.indrelid = c.oid and i.indisprimary),
            'columns', (
              select jsonb_agg(jsonb_build_object('name', a.attname, 'generated', a.attgenerated <> '',
                'vector', t.typname in ('vector', 'halfvec', 'sparsevec')) order by a.attnum)
              from pg_attribute a join pg_type t on t.oid = a.atttypid
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped))
          order by c.relname)
          from members m join pg_class c on c.oid = m.oid join pg_namespace n on n.oid = c.relnamespace) as relations,
        (select coalesce(jsonb_agg(jsonb_build_object('oid', s.oid::int8::text, 'name', s.relname,
          'quoted', format('%I.%I', ${schema}::text, s.relname)) order by s.relname), '[]') from sequences s) as sequences,
        (select coalesce(jsonb_agg(jsonb_build_object('oid', f.oid::int8::text, 'kind', f.prokind,
          'signature', f.signature) order by f.oid), '[]') from functions f) as functions,
        (select coalesce(jsonb_agg(format('%s.%s', quote_ident(${schema}::text), '"' || replace(c.relname, '"', '""') || '"')), '[]')
          from here c where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
            and c.oid not in (select oid from members union select oid from sequences)) as "foreign",
        (select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = ${schema}::text) as "schemaOwner"`,
  });
  return { schema, ...(rows[0] as unknown as Omit<StoredObjects, "schema">) };
}

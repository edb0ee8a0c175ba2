import sql, { type Sql } from "sql-template-tag";
import { TextArrayParameter } from "../db/codec.js";
import type { Session } from "../db/database.js";
import { qualified, quoteIdentifier, quoteQualified } from "../db/identifiers.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import { ConfigurationError } from "../errors.js";
import { lexicalTables, type StoredLexicalSettings } from "./lexical.js";
import { readPromotedKeys, type PromotedColumnFacts, type PromotedKey } from "./promoted-keys.js";
import {
  backfillTables,
  loadsTable,
  messagesTable,
  REVISIONS_TABLE,
  sourceTables,
  TENANTS_TABLE,
  type Layout,
  type RegisteredModel,
} from "./layout.js";
import { modelsJson, toStoredModels, type StoredModels } from "./stored-models.js";

/** Facts about the server that statements depend on; they do not change while a store is open. */
export interface ServerInfo {
  /** `server_version_num`, such as 180006. */
  readonly version: number;
  /** The installed pgvector; `undefined` when the database has none yet. */
  readonly vector: VectorExtension | undefined;
}

export interface VectorExtension {
  readonly version: string;
  readonly schema: string;
  /** Type oids of `vector` and of `sparsevec`. */
  readonly oid: number;
  readonly sparseOid: number;
}

/** The role of the connection, and the one that applications are to work as. */
export interface RoleState {
  readonly name: string;
  /** Superuser or BYPASSRLS: row-level security does not bind it. */
  readonly bypasses: boolean;
  readonly appRoleExists: boolean;
  readonly appRoleBypasses: boolean;
  /** Whether the connection may switch to the app role for one transaction. */
  readonly canBecomeAppRole: boolean;
}

export interface RelationState {
  readonly exists: boolean;
  /** Whether row-level security is enabled and forced, so that it binds the owner too. */
  readonly rowSecurity: boolean;
  /** Whether it is partitioned. */
  readonly partitioned: boolean;
  /** Whether the app role may read and write it; true when there is no app role to ask about. */
  readonly granted: boolean;
  /** Highest revision applied by this library; `undefined` when it did not make the table. */
  readonly revision: number | undefined;
  /** Highest revision that a library which does not know it must not work on; 0 when there is none. */
  readonly breakingRevision: number;
  /** Column names and their types as Postgres prints them. */
  readonly columns: ReadonlyMap<string, string>;
}

/** A lexical index: its tables are made together, so the facts are those of all of them. */
export interface LexicalState extends RelationState {
  readonly settings: StoredLexicalSettings;
}

/** What is in the database for one store. */
export interface SchemaState {
  readonly server: ServerInfo;
  /** The schema that the store lives in, or would be created in. */
  readonly schema: string;
  readonly schemaExists: boolean;
  readonly extensionSchemaExists: boolean;
  readonly registryExists: boolean;
  readonly role: RoleState;
  readonly tenants: RelationState;
  readonly chunks: RelationState;
  readonly collections: RelationState | undefined;
  /** The lexical index, when the store has one. */
  readonly lexical: LexicalState | undefined;
  readonly loads: RelationState;
  /** The tables of {@link sourceTables}. */
  readonly sources: RelationState;
  readonly messages: RelationState;
  /** The tables of its backfills, which are made together. */
  readonly backfills: RelationState;
  readonly activeModel: RegisteredModel | undefined;
  /** All versions that have a column, the oldest first. */
  readonly models: readonly RegisteredModel[];
  /** See `EPOCHS_TABLE`; 0 without a registry. */
  readonly epoch: number;
  /** Whether some tenants read another version than the active one. */
  readonly overrides: boolean;
  /** Metadata keys that the table of chunks has a column for. */
  readonly promotedKeys: readonly PromotedKey[];
  /** Bytes of the table of chunks; looked up only when a column has to be added for a promoted key. */
  readonly chunksSize: { readonly rows: number; readonly total: number } | undefined;
}

/**
 * Reads the state of a store's schema in two statements, with no locks that could hold anyone up.
 *
 * Tables are looked up in the catalog and not with `to_regclass`, which sees what others have just committed while the
 * columns beside it are read as they were: half an install would look like a foreign table.
 */
export async function inspectSchema(session: Session, layout: Layout): Promise<SchemaState> {
  const table = quoteQualified(layout.schema, layout.table);
  const { rows } = await session.execute({
    name: "inspect",
    sql: sql`
      with target as (
        select coalesce(
          ${layout.schema ?? null}::text,
          (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.oid = to_regclass(${table}::text)),
          current_schema()
        )::text as name
      ), vector as (
        select e.extversion, n.nspname, t.oid,
          (select s.oid from pg_type s where s.typnamespace = e.extnamespace and s.typname = 'sparsevec') as sparse_oid
        from pg_extension e
        join pg_namespace n on n.oid = e.extnamespace
        join pg_type t on t.typnamespace = e.extnamespace and t.typname = 'vector'
        where e.extname = 'vector'
      ), relations as (
        select c.oid, c.relname::text as relname from pg_class c
        join pg_namespace n on n.oid = c.relnamespace join target on n.nspname = target.name
      )
      select
        current_setting('server_version_num')::int4 as server_version,
        (select jsonb_build_object('version', extversion, 'schema', nspname, 'oid', oid::int8, 'sparseOid', sparse_oid::int8)
          from vector) as vector,
        name as schema,
        exists (select from pg_namespace where nspname = target.name) as schema_exists,
        exists (select from pg_namespace where nspname = ${layout.extensionSchema ?? null}::text) as extension_schema_exists,
        exists (select from relations where relname = ${REVISIONS_TABLE}::text) as registry_exists,
        ${relationFacts(layout.table, layout.appRole)} as chunks,
        ${relationFacts(layout.collectionsTable ?? "", layout.appRole)} as collections,
        ${relationFacts(loadsTable(layout), layout.appRole)} as loads,
        ${relationFacts(sourceTables(layout)[0], layout.appRole)} as sources,
        ${relationFacts(messagesTable(layout), layout.appRole)} as messages,
        ${relationFacts(backfillTables(layout)[0], layout.appRole)} as backfills,
        ${relationFacts(TENANTS_TABLE, layout.appRole)} as tenants,
        ${relationFacts(lexicalTables(layout.table)[0], layout.appRole)} as lexical,
        ${roleFacts(layout.appRole)} as role,
        ${sizeFacts(layout)} as size
      from target`,
  });
  const row = rows[0] as unknown as InspectRow;
  if (row.schema === null) {
    throw new ConfigurationError(
      "The connection's search_path names no existing schema; set `schemaName` or create the schema.",
    );
  }
  const registry = row.registry_exists
    ? await readRegistry(session, row.schema, layout).catch((error: unknown) => {
        throw sqlstateOf(error) === SQLSTATE.insufficientPrivilege ? notGranted(row.role.name, layout, error) : error;
      })
    : undefined;
  return {
    server: {
      version: row.server_version,
      vector: row.vector ?? undefined,
    },
    schema: row.schema,
    schemaExists: row.schema_exists,
    extensionSchemaExists: row.extension_schema_exists,
    registryExists: row.registry_exists,
    role: row.role,
    tenants: toRelation(row.tenants, registry, TENANTS_TABLE),
    chunks: toRelation(row.chunks, registry, layout.table),
    collections:
      layout.collectionsTable === undefined
        ? undefined
        : toRelation(row.collections, registry, layout.collectionsTable),
    lexical: toLexical(row.lexical, registry, lexicalTables(layout.table)[0]),
    loads: toRelation(row.loads, registry, loadsTable(layout)),
    sources: toRelation(row.sources, registry, sourceTables(layout)[0]),
    messages: toRelation(row.messages, registry, messagesTable(layout)),
    backfills: toRelation(row.backfills, registry, backfillTables(layout)[0]),
    activeModel: registry?.models.find((model) => model.state === "active"),
    models: registry?.models ?? [],
    epoch: registry?.epoch ?? 0,
    overrides: registry?.overrides ?? false,
    promotedKeys: readPromotedKeys(layout.table, row.chunks?.promoted ?? []),
    chunksSize: row.size ?? undefined,
  };
}

function notGranted(role: string, layout: Layout, cause: unknown): ConfigurationError {
  const cure =
    layout.appRole === undefined
      ? "set `appRole` when the tables are made, and give it to this role"
      : `run: grant ${quoteIdentifier(layout.appRole)} to ${quoteIdentifier(role)};`;
  return new ConfigurationError(
    `The role ${JSON.stringify(role)} may not read the tables of the store. As their owner, ${cure}`,
    { cause },
  );
}

interface InspectRow {
  server_version: number;
  vector: VectorExtension | null;
  schema: string | null;
  schema_exists: boolean;
  extension_schema_exists: boolean;
  registry_exists: boolean;
  chunks: RelationFacts | null;
  collections: RelationFacts | null;
  loads: RelationFacts | null;
  sources: RelationFacts | null;
  messages: RelationFacts | null;
  backfills: RelationFacts | null;
  tenants: RelationFacts | null;
  lexical: RelationFacts | null;
  role: RoleState;
  size: { rows: number; total: number } | null;
}

interface RelationFacts {
  columns: Record<string, string>;
  promoted: PromotedColumnFacts[];
  rowSecurity: boolean;
  partitioned: boolean;
  granted: boolean;
  comment: string | null;
}

interface Registry extends StoredModels {
  readonly revisions: ReadonlyMap<string, { revision: number; breakingRevision: number }>;
}

function relationFacts(table: string, appRole: string | undefined): Sql {
  return sql`(
    select jsonb_build_object(
      'columns', (
        select jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod))
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      ),
      'comment', obj_description(c.oid, 'pg_class'),
      'promoted', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'column', a.attname, 'comment', d.description, 'type', format_type(a.atttypid, a.atttypmod),
          'stored', a.attgenerated = 's') order by a.attnum), '[]')
        from pg_attribute a
        join pg_description d on d.classoid = 'pg_class'::regclass and d.objoid = c.oid and d.objsubid = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and d.description like '{"promotedKey":%'
      ),
      'rowSecurity', c.relrowsecurity and c.relforcerowsecurity,
      'partitioned', c.relkind = 'p',
      'granted', coalesce((
        select has_table_privilege(app.oid, c.oid, 'insert') and has_schema_privilege(app.oid, c.relnamespace, 'usage')
        from pg_roles app where app.rolname = ${appRole ?? null}::text
      ), ${appRole === undefined}::bool)
    )
    from relations r join pg_class c on c.oid = r.oid where r.relname = ${table}::text
  )`;
}

/** Waits for a lock that a rewrite of the table holds, which is why it is left out where nothing depends on it. */
function sizeFacts(layout: Layout): Sql {
  const wanted = new TextArrayParameter(layout.promotedKeys.map(({ column }) => column));
  return sql`(
    select jsonb_build_object('rows', sum(pg_relation_size(p.oid)), 'total', sum(pg_total_relation_size(p.oid)))
    from relations r cross join lateral (select r.oid union select relid from pg_partition_tree(r.oid::regclass)) p
    where r.relname = ${layout.table}::text and not ${wanted}::text[] <@ array(
      select a.attname::text from pg_attribute a where a.attrelid = r.oid and not a.attisdropped)
    having count(*) > 0
  )`;
}

function roleFacts(appRole: string | undefined): Sql {
  // Since version 16 a membership may come without the right to switch; before, being a member was that right.
  const privilege = sql`case when current_setting('server_version_num')::int4 >= 160000 then 'SET' else 'MEMBER' end`;
  return sql`(
    select jsonb_build_object(
      'name', me.rolname,
      'bypasses', me.rolsuper or me.rolbypassrls,
      'appRoleExists', app.oid is not null,
      'appRoleBypasses', coalesce(app.rolsuper or app.rolbypassrls, false),
      'canBecomeAppRole', coalesce(pg_has_role(current_user, app.oid, ${privilege}), false)
    )
    from pg_roles me left join pg_roles app on app.rolname = ${appRole ?? null}::text
    where me.rolname = current_user
  )`;
}

function toRelation(facts: RelationFacts | null, registry: Registry | undefined, name: string): RelationState {
  const found = registry?.revisions.get(name);
  return {
    exists: facts !== null,
    rowSecurity: facts?.rowSecurity ?? false,
    partitioned: facts?.partitioned ?? false,
    granted: facts?.granted ?? false,
    columns: new Map(Object.entries(facts?.columns ?? {})),
    revision: found?.revision,
    breakingRevision: found?.breakingRevision ?? 0,
  };
}

function toLexical(
  facts: RelationFacts | null,
  registry: Registry | undefined,
  name: string,
): LexicalState | undefined {
  const state = toRelation(facts, registry, name);
  // A table of that name which the library did not make is somebody else's.
  if (!state.exists || state.revision === undefined) return undefined;
  return { ...state, settings: JSON.parse(facts!.comment ?? "{}") as StoredLexicalSettings };
}

async function readRegistry(session: Session, schema: string, layout: Layout): Promise<Registry> {
  const { rows } = await session.execute({
    name: "registry",
    sql: sql`
      select relation, revision, breaking, null as models
      from ${qualified(schema, REVISIONS_TABLE)}
      where relation in (${layout.table}, ${layout.collectionsTable ?? layout.table}, ${loadsTable(layout)},
        ${messagesTable(layout)}, ${sourceTables(layout)[0]}, ${backfillTables(layout)[0]}, ${TENANTS_TABLE},
        ${lexicalTables(layout.table)[0]})
      union all
      select null, null, null, ${modelsJson(schema, layout.table)}`,
  });
  const revisions = new Map<string, { revision: number; breakingRevision: number }>();
  let found: StoredModels = { models: [], epoch: 0, overrides: false };
  for (const row of rows) {
    if (row.models !== null) {
      found = toStoredModels(row.models);
      continue;
    }
    const { relation, revision, breaking } = row as { relation: string; revision: number; breaking: boolean };
    const known = revisions.get(relation);
    revisions.set(relation, {
      revision: Math.max(revision, known?.revision ?? 0),
      breakingRevision: Math.max(breaking ? revision : 0, known?.breakingRevision ?? 0),
    });
  }
  return { revisions, ...found };
}

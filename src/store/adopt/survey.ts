import sql, { empty, raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { identifier, qualified, quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError, SchemaDriftError } from "../../errors.js";
import { inspectSchema, type SchemaState } from "../../schema/inspect.js";
import type { Metric } from "../../schema/layout.js";
import { isBaseClassTable } from "../../schema/plan.js";
import type { ResolvedOptions } from "../options.js";

/** A vector index of the table that is to be adopted. */
export interface VectorIndex {
  readonly name: string;
  readonly m: number | undefined;
  readonly efConstruction: number | undefined;
}

/** What adopting a table of the base class has to know about it. */
export interface Survey {
  readonly state: SchemaState;
  readonly rows: number;
  readonly bytes: number;
  readonly dimensions: number;
  readonly metric: Metric;
  readonly vectorIndexes: readonly VectorIndex[];
  /** Name of the primary key's constraint. */
  readonly primaryKey: string | undefined;
  /** Names of the collections by their uuid; empty when the table has none. */
  readonly collections: ReadonlyMap<string, string>;
}

const OPCLASS_METRICS: Record<string, Metric> = {
  vector_cosine_ops: "cosine",
  vector_l2_ops: "euclidean",
  vector_ip_ops: "innerProduct",
};

/**
 * Reads what adopting needs, and refuses what cannot be adopted as it is.
 *
 * @throws SchemaDriftError when the table is not one that the base class made, or is missing.
 * @throws ConfigurationError when its rows cannot be carried over, naming the cure.
 */
export async function surveyTable(session: Session, options: ResolvedOptions): Promise<Survey> {
  const { layout } = options;
  const name = JSON.stringify(layout.table);
  const state = await inspectSchema(session, layout);
  if (!state.chunks.exists) throw new SchemaDriftError(`There is no table ${name} in ${JSON.stringify(state.schema)}.`);
  if (state.chunks.revision !== undefined) throw new SchemaDriftError(`The table ${name} has been adopted already.`);
  const missing = Object.values(layout.columns).filter((column) => !state.chunks.columns.has(column));
  if (!isBaseClassTable(state.chunks) || missing.length > 0 || state.server.vector === undefined) {
    throw new SchemaDriftError(
      `The table ${name} was not made by LangChain's PGVectorStore, or with other column names: it has ` +
        `${[...state.chunks.columns.keys()].join(", ")}. Set \`columns\` to the names it was created with.`,
    );
  }
  if (state.chunks.columns.has("collection_id") && layout.collectionsTable === undefined) {
    throw new ConfigurationError(`The table ${name} has collections; say where: set \`collectionTableName\`.`);
  }
  const { rows, bytes, dimensions } = await surveyRows(session, options, state);
  const { indexes, primaryKey } = await surveyIndexes(session, layout.table, state.schema);
  const index = indexes.find((candidate) => candidate.opclass in OPCLASS_METRICS);
  return {
    state,
    rows,
    bytes,
    dimensions,
    metric: index === undefined ? options.metric : OPCLASS_METRICS[index.opclass]!,
    vectorIndexes: indexes,
    primaryKey,
    collections: state.collections?.exists ? await surveyCollections(session, options, state) : new Map(),
  };
}

async function surveyRows(session: Session, options: ResolvedOptions, state: SchemaState) {
  const { columns, table } = options.layout;
  const dims = raw(`${quoteQualified(state.server.vector!.schema, "vector_dims")}`);
  const { rows } = await session.execute({
    name: "adopt-survey",
    sql: sql`
      select count(*)::int8::text as rows,
        pg_total_relation_size(${quoteQualified(state.schema, table)}::regclass)::text as bytes,
        array_agg(distinct ${dims}(${identifier(columns.embedding)})) filter (where ${identifier(columns.embedding)} is not null) as dimensions,
        min(${identifier(columns.id)}::text) filter (where jsonb_typeof(${identifier(columns.metadata)}::jsonb) <> 'object') as bad_metadata
      from ${qualified(state.schema, table)}`,
  });
  const row = rows[0] as { rows: string; bytes: string; dimensions: number[] | null; bad_metadata: string | null };
  if (row.bad_metadata !== null) {
    throw new ConfigurationError(`The metadata of row ${row.bad_metadata} is not a JSON object; correct it first.`);
  }
  const found = row.dimensions ?? [];
  if (found.length > 1) {
    throw new ConfigurationError(
      `The table holds vectors of ${found.join(" and ")} dimensions, so of several models. Move all but one model's rows away first.`,
    );
  }
  const declared = /\((\d+)\)$/.exec(state.chunks.columns.get(columns.embedding)!)?.[1];
  const dimensions = found[0] ?? options.dimensions ?? (declared === undefined ? undefined : Number(declared));
  if (dimensions === undefined) {
    throw new ConfigurationError("The table has no vectors and its column no dimensions; set `dimensions`.");
  }
  return { rows: Number(row.rows), bytes: Number(row.bytes), dimensions };
}

async function surveyIndexes(session: Session, table: string, schema: string) {
  const { rows } = await session.execute({
    name: "adopt-indexes",
    sql: sql`
      select c.relname::text as name, i.indisprimary as is_primary, a.amname::text as method, o.opcname::text as opclass,
        (select option_value from pg_options_to_table(c.reloptions) where option_name = 'm')::int4 as m,
        (select option_value from pg_options_to_table(c.reloptions) where option_name = 'ef_construction')::int4 as ef
      from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_am a on a.oid = c.relam
      left join pg_opclass o on o.oid = i.indclass[0]
      where i.indrelid = ${quoteQualified(schema, table)}::regclass
      order by c.relname`,
  });
  const found = rows as { name: string; is_primary: boolean; method: string; opclass: string; m: number; ef: number }[];
  return {
    primaryKey: found.find((row) => row.is_primary)?.name,
    indexes: found
      .filter((row) => row.method === "hnsw" || row.method === "ivfflat")
      .map((row) => ({
        name: row.name,
        opclass: row.opclass,
        m: row.m ?? undefined,
        efConstruction: row.ef ?? undefined,
      })),
  };
}

async function surveyCollections(
  session: Session,
  options: ResolvedOptions,
  state: SchemaState,
): Promise<ReadonlyMap<string, string>> {
  const table = options.layout.collectionsTable!;
  const adopted = state.collections?.revision !== undefined;
  const { rows } = await session.execute({
    name: "adopt-collections",
    sql: sql`select uuid::text as uuid, name::text as name from ${qualified(state.schema, table)}${adopted ? sql` where tenant_id = 'default'` : empty}`,
  });
  const names = new Map<string, string>();
  const seen = new Set<string>();
  for (const { uuid, name } of rows as { uuid: string; name: string | null }[]) {
    if (name === null || name === "" || seen.has(name)) {
      throw new ConfigurationError(
        `The collection ${uuid} in ${JSON.stringify(table)} has ` +
          `${name ? `the same name as another, ${JSON.stringify(name)}` : "no name"}; give it a name of its own first.`,
      );
    }
    seen.add(name);
    names.set(uuid, name);
  }
  return names;
}

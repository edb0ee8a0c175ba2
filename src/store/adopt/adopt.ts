import sql, { raw } from "sql-template-tag";
import { Database, type Session } from "../../db/database.js";
import { identifier, qualified, quoteQualified } from "../../db/identifiers.js";
import { SchemaDriftError } from "../../errors.js";
import { inspectSchema } from "../../schema/inspect.js";
import type { ModelVersion } from "../../schema/layout.js";
import type { SchemaStep } from "../../schema/plan.js";
import { createHnswIndex } from "../hnsw.js";
import { distanceOperator } from "../metric.js";
import { openStore } from "../open.js";
import { resolveOptions, resolvePool, type PostgresVectorStoreArgs, type ResolvedOptions } from "../options.js";
import { PENDING_INDEX, planAdoption } from "./plan.js";
import { surveyTable, type Survey } from "./survey.js";

/** What adopting did, or would do. */
export interface AdoptReport {
  /** SQL by step; it runs in one transaction. */
  readonly steps: readonly SchemaStep[];
  readonly rows: number;
  /** Bytes of the table with its indexes. The rewrite needs about as much free disk again while it runs. */
  readonly bytes: number;
  readonly dimensions: number;
  readonly collections: readonly string[];
  /** Vector indexes that are dropped for the rewrite; one HNSW index is built again afterwards, online. */
  readonly vectorIndexes: readonly string[];
  /** Searches whose results were compared before and after; 0 for a plan. */
  readonly comparedSearches: number;
}

const SAMPLE_QUERIES = 5;
const SAMPLE_K = 10;

/** What adopting would do, without effects. */
export async function planAdopt(config: PostgresVectorStoreArgs): Promise<AdoptReport> {
  return withDatabase(config, async (database, options) => {
    const survey = await database.connection((session) => surveyTable(session, options));
    return toReport(survey, planAdoption(survey, options.layout, modelOf(survey, options)), 0);
  });
}

/**
 * Upgrades a table of LangChain's PGVectorStore in place: rows, ids, collections and embeddings stay. One transaction
 * under an exclusive lock on the table, which is rewritten once; before it commits, the counts and the results of
 * sampled searches are compared with those from before, and any difference rolls everything back. A vector index is
 * built again afterwards, concurrently. Stop writers that still use the base class first.
 *
 * @throws SchemaDriftError when the table is not the base class's, or the comparison fails.
 */
export async function adopt(config: PostgresVectorStoreArgs): Promise<AdoptReport> {
  return withDatabase(config, async (database, options) => {
    const interrupted = await pendingIndex(database, options);
    if (interrupted !== undefined) {
      await rebuildIndex(database, options, interrupted);
      return { steps: [], rows: 0, bytes: 0, dimensions: 0, collections: [], vectorIndexes: [], comparedSearches: 0 };
    }
    const report = await database.transaction({ lock_timeout: "10s" }, async (session) => {
      const table = qualified((await inspectSchema(session, options.layout)).schema, options.layout.table);
      await session.execute({ name: "adopt-lock", sql: sql`lock table ${table} in access exclusive mode` });
      const survey = await surveyTable(session, options);
      const steps = planAdoption(survey, options.layout, modelOf(survey, options));
      const before = await fingerprint(session, survey, options);
      for (const step of steps) await session.execute({ name: `adopt/${step.name}`, sql: raw(step.sql) });
      const after = await fingerprint(session, survey, options);
      verifySame(before, after);
      return toReport(survey, steps, before.searches.length);
    });
    const pending = await pendingIndex(database, options);
    if (pending !== undefined) await rebuildIndex(database, options, pending);
    return report;
  });
}

interface Fingerprint {
  readonly rows: string;
  readonly searches: readonly string[];
}

/** The row count, and for sampled rows the ids and distances of their nearest neighbours, found exactly. */
async function fingerprint(session: Session, survey: Survey, options: ResolvedOptions): Promise<Fingerprint> {
  const { columns, table } = options.layout;
  const chunks = qualified(survey.state.schema, table);
  const embedding = identifier(columns.embedding);
  const id = identifier(columns.id);
  const operator = distanceOperator(survey.metric, survey.state.server.vector!.schema);
  const count = await session.execute({ name: "adopt-count", sql: sql`select count(*)::text as n from ${chunks}` });
  const { rows } = await session.execute({
    name: "adopt-sample",
    sql: sql`
      with sample as materialized (
        select ${id}::text as id, ${embedding} as embedding from ${chunks}
        where ${embedding} is not null order by md5(${id}::text) limit ${SAMPLE_QUERIES}::int8
      )
      select sample.id, (
        select jsonb_agg(jsonb_build_array(hit.id, hit.distance) order by hit.distance, hit.id) from (
          select t.${id}::text as id, (t.${embedding} ${operator} sample.embedding)::float8 as distance
          from ${chunks} t where t.${embedding} is not null order by distance, id limit ${SAMPLE_K}::int8
        ) hit
      )::text as neighbours
      from sample order by sample.id`,
  });
  return {
    rows: count.rows[0]!["n"] as string,
    searches: rows.map((row) => `${String(row["id"])} ${String(row["neighbours"])}`),
  };
}

function verifySame(before: Fingerprint, after: Fingerprint): void {
  if (before.rows !== after.rows) {
    throw new SchemaDriftError(`Adopting was rolled back: ${before.rows} rows before, ${after.rows} after.`);
  }
  const changed = before.searches.findIndex((search, index) => search !== after.searches[index]);
  if (changed !== -1) {
    throw new SchemaDriftError(
      `Adopting was rolled back: a search gave other results. Before: ${before.searches[changed]}; after: ${String(after.searches[changed])}.`,
    );
  }
}

function modelOf(survey: Survey, options: ResolvedOptions): ModelVersion {
  return {
    version: 1,
    column: options.layout.columns.embedding,
    provider: undefined,
    model: options.embeddingModel,
    dimensions: survey.dimensions,
    metric: survey.metric,
    storageType: "vector",
  };
}

async function pendingIndex(database: Database, options: ResolvedOptions): Promise<string | undefined> {
  const { schema } = await database.connection((session) => inspectSchema(session, options.layout));
  const table = quoteQualified(schema, options.layout.table);
  const { rows } = await database.execute({
    name: "adopt-pending",
    sql: sql`select obj_description(to_regclass(${table}::text), 'pg_class') as comment`,
  });
  const comment = rows[0]?.["comment"];
  return typeof comment === "string" && comment.startsWith(PENDING_INDEX) ? comment : undefined;
}

async function rebuildIndex(database: Database, options: ResolvedOptions, comment: string): Promise<void> {
  const config = JSON.parse(comment.slice(PENDING_INDEX.length)) as { m?: number; efConstruction?: number };
  const store = await openStore(database, options, undefined, true);
  await createHnswIndex(store, config);
  await database.execute({ name: "adopt-done", sql: sql`comment on table ${store.table} is null` });
}

async function withDatabase<T>(
  config: PostgresVectorStoreArgs,
  work: (database: Database, options: ResolvedOptions) => Promise<T>,
): Promise<T> {
  const options = resolveOptions(config);
  const { pool, owned } = resolvePool(config);
  const database = new Database(pool);
  try {
    return await work(database, options);
  } finally {
    if (owned) await database.end();
  }
}

function toReport(survey: Survey, steps: readonly SchemaStep[], comparedSearches: number): AdoptReport {
  return {
    steps,
    rows: survey.rows,
    bytes: survey.bytes,
    dimensions: survey.dimensions,
    collections: [...survey.collections.values()],
    vectorIndexes: survey.vectorIndexes.map((index) => index.name),
    comparedSearches,
  };
}

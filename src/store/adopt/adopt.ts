import { setTimeout as sleep } from "node:timers/promises";
import sql, { raw } from "sql-template-tag";
import { Database, type Session } from "../../db/database.js";
import { qualified } from "../../db/identifiers.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { ConfigurationError, DatabaseError } from "../../errors.js";
import { inspectSchema } from "../../schema/inspect.js";
import type { ModelVersion } from "../../schema/layout.js";
import { resolveOptions, resolvePool, type PostgresVectorStoreArgs, type ResolvedOptions } from "../options.js";
import { cancelOnAbort } from "./cancel.js";
import { fingerprint, verifySame } from "./fingerprint.js";
import { buildPendingIndex, findPendingIndex } from "./pending-index.js";
import { planAdoptedTenancy, planAdoption } from "./plan.js";
import type { SchemaStep } from "../../schema/plan.js";
import { checkBaseTable } from "./recognize.js";
import { emptyReport, toReport, type AdoptReport } from "./report.js";
import { surveyTable, type Survey } from "./survey.js";

export type { AdoptReport } from "./report.js";

/** Options of a store, and what only adopting asks. */
export interface AdoptArgs extends PostgresVectorStoreArgs {
  /** Provider of the model that made the embeddings, such as `openai`, recorded beside `embeddingModel`. */
  embeddingProvider?: string;
  /** Metadata key that holds each row's tenant, as text or number; needs tenancy: "rls". Rows keep it there too. */
  tenantKey?: string;
  /** Cancels what is running on the server; the table is then as it was, or lacks only its index. */
  signal?: AbortSignal;
  /** Told what begins: a line for people. */
  onProgress?: (message: string) => void;
}

const LOCK_TIMEOUT = "2s";
const LOCK_ATTEMPTS = 20;
const LOCK_PAUSE_MS = 1_000;

/**
 * What adopting would do, without effects. Reads the table once.
 *
 * @throws as {@link adopt}, for everything that can be known without doing it.
 */
export async function planAdopt(config: AdoptArgs): Promise<AdoptReport> {
  return withDatabase(config, (database, options) =>
    database.connection(async (session) => {
      const state = await inspectSchema(session, options.layout);
      if (state.chunks.revision !== undefined) {
        const pending = await findPendingIndex(session, state, options);
        return emptyReport(pending === undefined ? "already adopted" : "index missing");
      }
      const survey = await surveyTable(session, state, options, config.distanceStrategy, config.tenantKey);
      const { rewrite, secure } = stepsOf(survey, options, config);
      return toReport("planned", survey, [...rewrite, ...secure], 0);
    }),
  );
}

/**
 * Upgrades a table of LangChain's PGVectorStore in place: rows, ids, collections and embeddings stay. One transaction
 * under an exclusive lock on the table, which is rewritten once; before it commits, counts, contents and the results of
 * sampled searches are compared with those from before, and any difference rolls everything back. A vector index is
 * built again afterwards, concurrently. Stop writers that still use the base class first.
 *
 * A table that is adopted already is left alone, but for an index that an interrupted run did not get to.
 *
 * @throws SchemaDriftError when the table is not the base class's, cannot be carried over, or the comparison fails.
 * @throws DatabaseError when the lock cannot be had, or Postgres refuses a statement.
 */
export async function adopt(config: AdoptArgs): Promise<AdoptReport> {
  return withDatabase(config, async (database, options) => {
    const { signal, onProgress } = config;
    const before = await database.connection((session) => inspectSchema(session, options.layout));
    const isNew = before.chunks.revision === undefined;
    if (isNew) checkBaseTable(before, options.layout);
    const report = isNew ? await upgrade(database, options, config) : emptyReport("already adopted");
    const state = await database.connection((session) => inspectSchema(session, options.layout));
    const pending = await database.connection((session) => findPendingIndex(session, state, options));
    if (pending === undefined) return report;
    onProgress?.("building the HNSW index, online");
    await buildPendingIndex(database, state, options, pending, signal);
    return isNew ? report : emptyReport("index built");
  });
}

/** The one transaction. A lock that is not to be had soon is let go of, so that nobody queues behind it for long. */
async function upgrade(database: Database, options: ResolvedOptions, config: AdoptArgs): Promise<AdoptReport> {
  for (let attempt = 1; ; attempt += 1) {
    config.signal?.throwIfAborted();
    try {
      return await database.transaction({ lock_timeout: LOCK_TIMEOUT, statement_timeout: "0" }, (session) =>
        upgradeLocked(database, session, options, config),
      );
    } catch (error) {
      config.signal?.throwIfAborted();
      if (sqlstateOf(error) !== SQLSTATE.lockNotAvailable) throw error;
      if (attempt === LOCK_ATTEMPTS) throw lockError(options, error);
      config.onProgress?.(`the table is in use; trying again (${attempt} of ${LOCK_ATTEMPTS})`);
      await sleep(LOCK_PAUSE_MS, undefined, config.signal === undefined ? {} : { signal: config.signal });
    }
  }
}

async function upgradeLocked(
  database: Database,
  session: Session,
  options: ResolvedOptions,
  config: AdoptArgs,
): Promise<AdoptReport> {
  const { onProgress, signal } = config;
  const stop = await cancelOnAbort(database, session, signal);
  try {
    const { schema } = await inspectSchema(session, options.layout);
    const table = qualified(schema, options.layout.table);
    await session.execute({ name: "adopt-lock", sql: sql`lock table ${table} in access exclusive mode` });
    // Read again, now that nobody can change it any more.
    const state = await inspectSchema(session, options.layout);
    if (state.chunks.revision !== undefined) return emptyReport("already adopted");
    const survey = await surveyTable(session, state, options, config.distanceStrategy, config.tenantKey);
    const { rewrite, secure } = stepsOf(survey, options, config);
    const run = async (steps: readonly SchemaStep[]): Promise<void> => {
      for (const step of steps) await session.execute({ name: `adopt/${step.name}`, sql: raw(step.sql) });
    };
    onProgress?.(`noting counts and searches of ${survey.rows.toLocaleString("en")} rows`);
    const before = await fingerprint(session, survey, options, "before");
    onProgress?.("rewriting the table");
    await run(rewrite);
    onProgress?.("comparing counts and searches");
    const after = await fingerprint(session, survey, options, "after");
    verifySame(before, after);
    await run(secure);
    signal?.throwIfAborted();
    return toReport("adopted", survey, [...rewrite, ...secure], before.searches.length);
  } finally {
    await stop();
  }
}

/** The rewrite, and what closes the table to whoever names no tenant, which comes after the comparison. */
function stepsOf(survey: Survey, options: ResolvedOptions, config: AdoptArgs) {
  const model = modelOf(survey, options, config);
  return {
    rewrite: planAdoption(survey, options.layout, model),
    secure: planAdoptedTenancy(survey, options.layout, model),
  };
}

function modelOf(survey: Survey, options: ResolvedOptions, config: AdoptArgs): ModelVersion {
  return {
    version: 1,
    column: options.layout.columns.embedding,
    provider: config.embeddingProvider,
    model: options.embeddingModel,
    dimensions: survey.dimensions,
    metric: survey.metric,
    storageType: "vector",
  };
}

function lockError(options: ResolvedOptions, cause: unknown): DatabaseError {
  return new DatabaseError(
    `The table ${JSON.stringify(options.layout.table)} was in use at each of ${LOCK_ATTEMPTS} attempts to lock it. ` +
      "Find who holds it in pg_stat_activity (an open transaction, a running backup), then try again.",
    SQLSTATE.lockNotAvailable,
    true,
    { cause },
  );
}

async function withDatabase<T>(
  config: AdoptArgs,
  work: (database: Database, options: ResolvedOptions) => Promise<T>,
): Promise<T> {
  const options = resolveOptions(config);
  if (config.tenantKey !== undefined && options.layout.tenancy === "off") {
    throw new ConfigurationError('`tenantKey` needs tenancy: "rls"; without it, nothing keeps tenants apart.');
  }
  const { pool, owned } = resolvePool(config);
  const database = new Database(pool);
  try {
    return await work(database, options);
  } finally {
    if (owned) await database.end();
  }
}

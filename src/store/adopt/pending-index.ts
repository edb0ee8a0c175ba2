import sql from "sql-template-tag";
import type { Database, Session } from "../../db/database.js";
import { qualified, quoteLiteral, quoteQualified } from "../../db/identifiers.js";
import { createHnswIndex, type HnswConfig } from "../hnsw.js";
import { openStore } from "../open.js";
import type { ResolvedOptions } from "../options.js";
import type { SchemaState } from "../../schema/inspect.js";

/** A column comment that remembers an index still to be built, should the process end in between. */
const PENDING_INDEX = "langchain-pgvector: build the HNSW index again: ";

/** The SQL literal of the comment for an index that is to be built again with the same parameters. */
export function pendingComment(index: { m: number | undefined; efConstruction: number | undefined }): string {
  const { m, efConstruction } = index;
  return quoteLiteral(PENDING_INDEX + JSON.stringify({ m, efConstruction }));
}

/** The index that an earlier, interrupted run left to be built; `undefined` when there is none. */
export async function findPendingIndex(
  session: Session,
  state: SchemaState,
  options: ResolvedOptions,
): Promise<HnswConfig | undefined> {
  const table = quoteQualified(state.schema, options.layout.table);
  const { rows } = await session.execute({
    name: "adopt-pending",
    sql: sql`
      select col_description(attrelid, attnum) as comment from pg_attribute
      where attrelid = to_regclass(${table}::text) and attname = 'content_hash'`,
  });
  const comment = rows[0]?.["comment"];
  if (typeof comment !== "string" || !comment.startsWith(PENDING_INDEX)) return undefined;
  return JSON.parse(comment.slice(PENDING_INDEX.length)) as HnswConfig;
}

/**
 * Builds the index online, in the metric of the store's model, and forgets that it was pending.
 *
 * @throws IndexBuildError when the build fails or `signal` fires; it stays pending.
 */
export async function buildPendingIndex(
  database: Database,
  state: SchemaState,
  options: ResolvedOptions,
  config: HnswConfig,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  const store = await openStore(database, { ...options, metricGiven: false }, undefined, { mustExist: true });
  const cancel = (): void => void cancelBuild(database, state, options).catch(() => undefined);
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    await createHnswIndex(store, config);
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
  const column = sql`${qualified(state.schema, options.layout.table)}.content_hash`;
  await database.execute({ name: "adopt-done", sql: sql`comment on column ${column} is null` });
}

async function cancelBuild(database: Database, state: SchemaState, options: ResolvedOptions): Promise<void> {
  const table = quoteQualified(state.schema, options.layout.table);
  await database.execute({
    name: "adopt-cancel",
    sql: sql`
      select pg_cancel_backend(p.pid) from pg_stat_progress_create_index p
      join pg_stat_activity a using (pid)
      where p.relid = to_regclass(${table}::text) and a.query like '/* langchain-pgvector:create-index */%'`,
  });
}

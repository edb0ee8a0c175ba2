import sql, { empty, type Sql } from "sql-template-tag";
import { pause } from "../db/pause.js";
import type { Settings } from "../db/settings.js";
import { ConfigurationError } from "../errors.js";
import {
  combineFilters,
  compileFilter,
  parseFilter,
  regexFilterError,
  type Filter,
  type FilterNode,
} from "./filter/index.js";
import { findVacuumable, vacuumRelations } from "./vacuum.js";
import { scope, type ScopedStore } from "./open.js";
import { integer } from "./options.js";

export interface ExpireOptions {
  /** Chunks stored longer ago than this, in milliseconds by the server's clock. Replacing a chunk keeps its age. */
  olderThanMs?: number | undefined;
  /** Chunks first stored before this. */
  before?: Date | undefined;
  /** Metadata filter, combined with the store's own and with the age. */
  filter?: Filter | undefined;
  /** Rows of one transaction. @defaultValue 500 */
  batchRows?: number | undefined;
  /** Pause between two transactions, in milliseconds: what searches get of the machine. @defaultValue 20 */
  pauseMs?: number | undefined;
  /** Called after each transaction with the chunks deleted so far. */
  onProgress?: ((deleted: number) => void) | undefined;
  /** Stops between two transactions; another call goes on. */
  signal?: AbortSignal | undefined;
}

/** What is to expire and how, checked. */
export interface Expiry {
  readonly before: Date | undefined;
  readonly olderThanMs: number | undefined;
  readonly filter: FilterNode | undefined;
  readonly batchRows: number;
  readonly pauseMs: number;
}

/** @throws ConfigurationError unless something says what expires: an age, a date or a filter that is not empty. */
export function checkExpiry(options: ExpireOptions): Expiry {
  const { before, filter } = options;
  const olderThanMs = integer("olderThanMs", options.olderThanMs, 0, Number.MAX_SAFE_INTEGER);
  if (before !== undefined && (!(before instanceof Date) || Number.isNaN(before.getTime()))) {
    throw new ConfigurationError(`before must be a valid Date, got ${String(before)}.`);
  }
  if (before !== undefined && olderThanMs !== undefined) {
    throw new ConfigurationError("expire takes `before` or `olderThanMs`, not both.");
  }
  const node = filter === undefined ? undefined : parseFilter(filter);
  if (before === undefined && olderThanMs === undefined && node === undefined) {
    throw new ConfigurationError(
      "expire would delete everything: say which chunks with `olderThanMs`, `before` or a `filter` that is not empty.",
    );
  }
  return {
    before,
    olderThanMs,
    filter: node,
    batchRows: integer("batchRows", options.batchRows, 1, 100_000) ?? 500,
    pauseMs: integer("pauseMs", options.pauseMs, 0, 60_000) ?? 20,
  };
}

/** Deletes what has expired in the store's collection, then vacuums where the role may. @returns how many chunks. */
export async function expireStore(store: ScopedStore, expiry: Expiry, options: ExpireOptions): Promise<number> {
  const { onProgress, signal } = options;
  let deleted = 0;
  for await (const count of expireChunks(store, expiry, store.settings, signal)) {
    deleted += count;
    store.memory.noteRows(store.tenant, count);
    store.keeper.noteRows(store, count);
    onProgress?.(deleted);
  }
  if (deleted === 0) return 0;
  const table = store.options.layout.table;
  const relations = await store.database.connection((session) => findVacuumable(session, store.schema, table));
  const skipped = await vacuumRelations(store, relations, signal);
  if (skipped.length > 0) {
    store.options.logger.info(
      `langchain-pgvector: ${JSON.stringify(table)} was not vacuumed, which this role may not or not for so long; autovacuum will make the space reusable.`,
    );
  }
  return deleted;
}

/** Deletes what has expired in the store's collection in short transactions, and yields how many each deleted. */
export async function* expireChunks(
  store: ScopedStore,
  expiry: Expiry,
  settings: Settings,
  signal: AbortSignal | undefined,
): AsyncGenerator<number> {
  const filter = combineFilters(store.options.filter, expiry.filter);
  let last: string | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const statement = { name: "expire", sql: batchSql(store, expiry, filter, last) };
    const { rows } = await store.database
      .transaction(settings, (session) => session.execute(statement))
      .catch((error: unknown) => {
        throw regexFilterError(error, filter) ?? error;
      });
    const row = rows[0] as { found: number; deleted: number; last: string | null };
    store.database.activity.countChunks("deleted", row.deleted);
    if (row.deleted > 0) yield row.deleted;
    if (row.found < expiry.batchRows || row.last === null) return;
    last = row.last;
    await pause(expiry.pauseMs, signal);
  }
}

/**
 * One batch in the order of ids, which is also the order in which upserts take their locks. The rows are locked first, so
 * that a chunk which a concurrent upsert has made fit to stay stays.
 */
function batchSql(store: ScopedStore, expiry: Expiry, filter: FilterNode | undefined, last: string | undefined): Sql {
  const { id } = store.columns;
  const age =
    expiry.before !== undefined
      ? sql`and created_at < ${expiry.before.toISOString()}::timestamptz`
      : expiry.olderThanMs !== undefined
        ? sql`and created_at < now() - make_interval(secs => ${expiry.olderThanMs}::float8 / 1000)`
        : empty;
  const matching = filter === undefined ? empty : sql`and ${compileFilter(filter, store.columns)}`;
  const behind = last === undefined ? empty : sql`and ${id} > ${last}::text`;
  return sql`
    with batch as materialized (
      select ${id} as key from ${store.table}
      where ${scope(store)} ${behind} ${age} ${matching}
      order by ${id} limit ${expiry.batchRows}::int8
      for update
    ), deleted as (
      delete from ${store.table} where ${scope(store)} and ${id} = any(array(select key from batch)) returning 1
    )
    select count(*)::float8 as found, max(key) as last, (select count(*) from deleted)::float8 as deleted from batch`;
}

import sql, { raw } from "sql-template-tag";
import { applySteps } from "../schema/apply.js";
import { derivedName } from "../schema/partitions.js";
import { ensureIndex, type WantedIndex } from "../store/build-index.js";
import { createHnswIndex } from "../store/hnsw.js";
import { readingVersion, type OpenStore } from "../store/open.js";
import { createPartitionedIndex } from "../store/partition-index.js";
import { vectorIndexes } from "../store/plan-search.js";
import type { StoreHandle } from "../store/store-handle.js";
import { maxDimensions } from "../store/vector-index.js";
import { quoteIdentifier } from "../db/identifiers.js";
import { endEpochSql, liveVersion, lockModelsSql, setStateSql } from "./model-registry.js";

export interface IndexVersionOptions {
  /** Parallel workers beside the building process. */
  readonly workers: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Builds the vector index of a version, and one of the rows that wait for their vector, which makes counting them quick;
 * both concurrently. A complete version that is being added is `ready` then.
 *
 * @returns whether a valid vector index is there.
 */
export async function indexVersion(
  handle: StoreHandle,
  number: number,
  options: IndexVersionOptions,
): Promise<boolean> {
  const store = await handle.open();
  const version = liveVersion(store, number);
  options.signal?.throwIfAborted();
  const reading = readingVersion(store, version);
  if (reading.model.dimensions <= maxDimensions(reading.model)) {
    await createHnswIndex(reading, { workers: options.workers, signal: options.signal });
  }
  await indexMissing(reading, version.column, options.signal);
  store.memory.forgetIndexes();
  if (version.state === "building") {
    const sqlText = lockModelsSql(store) + setStateSql(store, number, "ready") + endEpochSql(store);
    await applySteps(store.database, [{ name: `models/ready ${number}`, sql: sqlText }]);
    await handle.renew(store);
  }
  return hasIndex(await handle.open(), number);
}

/** Whether a version has a valid vector index that its searches use. */
export async function hasIndex(store: OpenStore, number: number): Promise<boolean> {
  const reading = readingVersion(store, liveVersion(store, number));
  reading.memory.forgetIndexes();
  return (await vectorIndexes(reading)).length > 0;
}

/** The name of the index of rows that wait for their vector. */
export function missingIndexName(store: OpenStore, column: string): string {
  return derivedName(store.options.layout.table, column, "missing_idx");
}

/** To be built when the column is full: before, each vector that comes would have to leave it. */
async function indexMissing(store: OpenStore, column: string, signal: AbortSignal | undefined): Promise<void> {
  const index = {
    schema: store.schema,
    table: store.options.layout.table,
    name: missingIndexName(store, column),
    using: sql`using btree (tenant_id, collection) where ${raw(quoteIdentifier(column))} is null`,
  };
  const build = (part: WantedIndex): Promise<boolean> =>
    store.database.connection((session) => ensureIndex(session, part, { signal }), signal);
  if (store.partitioned) await createPartitionedIndex(store, { ...index, build });
  else await build(index);
}

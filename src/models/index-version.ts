import sql, { raw } from "sql-template-tag";
import { applySteps } from "../schema/apply.js";
import { derivedName } from "../schema/partitions.js";
import { createPartitionedIndex, ensureIndex } from "../store/build-index.js";
import { createHnswIndex } from "../store/hnsw.js";
import { readingVersion, type OpenStore } from "../store/open.js";
import { vectorIndexes } from "../store/plan-search.js";
import type { StoreHandle } from "../store/store-handle.js";
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
  if (isIndexable(reading)) await createHnswIndex(reading, { parallelWorkers: options.workers });
  await indexMissing(reading, version.column);
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

function isIndexable({ model }: OpenStore): boolean {
  if (model.quantization === "binary") return true;
  return model.dimensions <= (model.storageType === "vector" ? 2_000 : 4_000);
}

/** The name of the index of rows that wait for their vector. */
export function missingIndexName(store: OpenStore, column: string): string {
  return derivedName(store.options.layout.table, column, "missing_idx");
}

/** To be built when the column is full: before, each vector that comes would have to leave it. */
async function indexMissing(store: OpenStore, column: string): Promise<void> {
  const { table } = store.options.layout;
  const name = missingIndexName(store, column);
  const using = sql`using btree (tenant_id, collection) where ${raw(quoteIdentifier(column))} is null`;
  if (store.partitioned) {
    await createPartitionedIndex(store, name, using, "missing_idx");
    return;
  }
  await store.database.connection((session) => ensureIndex(session, { schema: store.schema, table, name, using }));
}

import { quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError } from "../../errors.js";
import { applySteps } from "../../schema/apply.js";
import { dropIndex, type EnsureIndexOptions } from "../../store/build-index.js";
import type { OpenStore } from "../../store/open.js";
import { chooseIndex, findIndexes, type FoundIndex } from "./find.js";
import type { IndexPlan } from "./plan.js";

/** Drops an index; see `StoreIndexes.drop`. */
export async function dropIndexOf(store: OpenStore, name: string, options: EnsureIndexOptions): Promise<void> {
  options.signal?.throwIfAborted();
  const index = await droppable(store, name);
  if (index.partitioned) await applySteps(store.database, [{ name: "drop-index", sql: dropSql(index) }]);
  else await store.database.connection((session) => dropIndex(session, index, options), options.signal);
  store.memory.forgetIndexes();
}

/** What {@link dropIndexOf} would run. No effects. */
export async function planDropIndex(store: OpenStore, name: string): Promise<IndexPlan> {
  const index = await droppable(store, name);
  const vector = index.method === "hnsw" || index.method === "ivfflat";
  return {
    steps: [{ name: "drop-index", sql: dropSql(index) }],
    warnings: vector ? [`searches that ${name} serves use another index afterwards, or read all rows`] : [],
    rows: 0,
    memory: 0,
  };
}

/** There is no concurrent way for the index of a partitioned table; the lock is waited for in short turns. */
function dropSql(index: FoundIndex): string {
  return `drop index ${index.partitioned ? "" : "concurrently "}${quoteQualified(index.schema, index.name)};\n`;
}

/** @throws ConfigurationError for one that is not there, or that something else needs. */
async function droppable(store: OpenStore, name: string): Promise<FoundIndex> {
  const index = chooseIndex(store, await findIndexes(store), name);
  const quoted = JSON.stringify(name);
  if (index.constraint !== null) {
    throw new ConfigurationError(
      `The constraint ${JSON.stringify(index.constraint)} needs the index ${quoted}; it stays.`,
    );
  }
  if (index.parent !== null) {
    throw new ConfigurationError(
      `The index ${quoted} is a part of ${JSON.stringify(index.parent)}, which is dropped as a whole; name that one.`,
    );
  }
  return index;
}

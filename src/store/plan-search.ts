import { createHash } from "node:crypto";
import { compileFilter, type FilterNode } from "./filter/index.js";
import type { OpenStore, ScopedStore } from "./open.js";
import type { VectorIndex } from "./search-memory.js";
import { chooseStrategy, type SearchStrategy } from "./search-strategy.js";
import { coversTenant, findVectorIndexes, readTenantFacts, sampleShare } from "./table-facts.js";

export interface PlannedSearch {
  readonly k: number;
  readonly filter: FilterNode | undefined;
  readonly efSearch: number;
}

/** Decides how one search is done. Asks the database only for what is not remembered and may matter. */
export async function planSearch(store: ScopedStore, search: PlannedSearch): Promise<SearchStrategy> {
  const indexes = await vectorIndexes(store);
  if (indexes.length === 0 || search.k === 0) return { kind: "exact" };
  const { rows, relation } = await store.memory.tenant(store.tenant, () => readTenantFacts(store));
  const facts = {
    k: search.k,
    efSearch: search.efSearch,
    dimensions: store.model.dimensions,
    rows,
    indexEntries: smallestIndex(store, indexes, relation),
  };
  const unfiltered = chooseStrategy({ ...facts, matching: rows });
  // A filter only ever makes an index less worth while.
  if (search.filter === undefined || unfiltered.kind === "exact") return unfiltered;
  return chooseStrategy({ ...facts, matching: rows * (await shareOf(store, search.filter)) });
}

/** The vector indexes that searches of the store can use, as they were a minute ago at most. */
export function vectorIndexes(store: OpenStore): Promise<VectorIndex[]> {
  return store.memory.indexes(store.options.metric, () => findVectorIndexes(store));
}

function shareOf(store: ScopedStore, filter: FilterNode): Promise<number> {
  const { text, values } = compileFilter(filter, store.columns);
  const key = createHash("sha256")
    .update(JSON.stringify([store.tenant, text, values]))
    .digest("base64");
  return store.memory.share(key, () => sampleShare(store, filter));
}

function smallestIndex(
  store: ScopedStore,
  indexes: readonly VectorIndex[],
  relation: number | undefined,
): number | undefined {
  const sizes = indexes
    .filter((index) => index.relation === relation)
    .filter(({ predicate }) => coversTenant(predicate, store.tenant, store.options.collection))
    .map(({ entries }) => entries);
  return sizes.length === 0 ? undefined : Math.min(...sizes);
}

import { createHash } from "node:crypto";
import { compileFilter, indexedPart, type FilterNode } from "./filter/index.js";
import type { OpenStore, ScopedStore } from "./open.js";
import type { TenantFacts, VectorIndex } from "./search-memory.js";
import { defaultProbes } from "./index-parameters.js";
import { distanceCosts } from "./storage.js";
import { chooseStrategy, type SearchFacts, type SearchStrategy } from "./search-strategy.js";
import { coversTenant, findVectorIndexes, readTenantFacts, sampleShare } from "./table-facts.js";

/** Candidates of an HNSW scan where nothing is known of the index's recall. */
export const DEFAULT_EF_SEARCH = 100;

export interface PlannedSearch {
  readonly k: number;
  readonly filter: FilterNode | undefined;
  readonly efSearch: number | undefined;
  readonly probes: number | undefined;
}

/** Decides how one search is done. Asks the database only for what is not remembered and may matter. */
export async function planSearch(store: ScopedStore, search: PlannedSearch): Promise<SearchStrategy> {
  if (search.k === 0 || (await vectorIndexes(store)).length === 0) return { kind: "exact" };
  const index = await findIndexOf(store);
  const { rows } = await tenantFacts(store);
  const facts = {
    k: search.k,
    efSearch: search.efSearch ?? index?.efSearch ?? DEFAULT_EF_SEARCH,
    ...distanceCosts(store.model),
    // Estimated from its size; an index of one tenant's rows holds no others.
    indexEntries: index && (index.predicate === null ? index.entries : Math.min(index.entries, rows)),
  };
  const probes = search.probes ?? index?.probes ?? (index?.lists && defaultProbes(index.lists));
  const choose = (more: Pick<SearchFacts, "filtered" | "matching" | "rows">): SearchStrategy => {
    const strategy = chooseStrategy({ ...facts, ...more });
    return strategy.kind === "exact" ? strategy : { ...strategy, probes };
  };
  const unfiltered = choose({ filtered: false, matching: rows, rows });
  // A filter only ever makes an index less worth while.
  if (search.filter === undefined || unfiltered.kind === "exact") return unfiltered;
  const indexed = indexedPart(search.filter, store.columns.promoted);
  return choose({
    filtered: true,
    matching: rows * (await shareOf(store, search.filter)),
    rows: indexed === undefined ? rows : rows * (await shareOf(store, indexed)),
  });
}

/** The vector indexes that searches of the store can use, as they were a minute ago at most. */
export function vectorIndexes(store: OpenStore): Promise<VectorIndex[]> {
  return store.memory.indexes(store.model.column, store.options.metric, () => findVectorIndexes(store));
}

/** The same as they are now; a replica may not know of one that has just been built. */
export function presentIndexes(store: OpenStore): Promise<VectorIndex[]> {
  store.memory.forgetIndexes();
  return store.memory.indexes(store.model.column, store.options.metric, () => findVectorIndexes(store, "primary"));
}

function shareOf(store: ScopedStore, filter: FilterNode): Promise<number> {
  const { text, values } = compileFilter(filter, store.columns);
  const key = createHash("sha256")
    .update(JSON.stringify([store.tenant, text, values]))
    .digest("base64");
  return store.memory.share(key, () => sampleShare(store, filter));
}

/** The index that serves the tenant's searches: the smallest that covers its rows. */
export async function findIndexOf(store: ScopedStore): Promise<VectorIndex | undefined> {
  const { relation } = await tenantFacts(store);
  let smallest: VectorIndex | undefined;
  for (const index of await vectorIndexes(store)) {
    const covers = index.relation === relation && coversTenant(index.predicate, store.tenant, store.options.collection);
    if (covers && (smallest === undefined || index.entries < smallest.entries)) smallest = index;
  }
  return smallest;
}

/** The tenant's size and place, as they are remembered. */
export function tenantFacts(store: ScopedStore): Promise<TenantFacts> {
  return store.memory.tenant(store.tenant, () => readTenantFacts(store));
}

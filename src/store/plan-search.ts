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

/** Up to here a bitmap of the tenant's rows is the way to them; of more of them, workers may read a share each. */
const FEW_ROWS = 10_000;

const EXACT: SearchStrategy = { kind: "exact" };
const KEPT_EXACT: SearchStrategy = { kind: "exact", keepsPlan: true };

/** Decides how one search is done. Asks the database only for what is not remembered and may matter. */
export async function planSearch(store: ScopedStore, search: PlannedSearch): Promise<SearchStrategy> {
  if (search.k === 0) return EXACT;
  const indexes = await vectorIndexes(store);
  if (indexes.length === 0) return EXACT;
  const facts = await tenantFacts(store);
  const unfiltered = planUnfiltered(store, search, indexes, facts);
  if (search.filter === undefined) return unfiltered;
  const indexed = indexedPart(search.filter, store.columns.promoted);
  // A filter only ever makes an index less worth while.
  if (unfiltered.kind === "exact") return keptByKey(store, search.filter, indexed, facts.rows) ?? unfiltered;
  const rows = indexed === undefined ? facts.rows : facts.rows * (await shareOf(store, indexed));
  const matching = facts.rows * (await shareOf(store, search.filter));
  const strategy = choose(store, search, indexOf(store, indexes, facts), facts, { filtered: true, matching, rows });
  return (strategy.kind === "exact" && keptByKey(store, search.filter, indexed, rows)) || strategy;
}

/**
 * The exact search of a filter that asks for values of one promoted key: a bitmap over that key's index is the way to few
 * rows, whatever the values. With more of a filter the best index depends on them.
 */
function keptByKey(
  store: ScopedStore,
  filter: FilterNode,
  indexed: FilterNode | undefined,
  rows: number,
): SearchStrategy | undefined {
  const byValue = indexed === filter && (filter.kind === "equals" || filter.kind === "in");
  return byValue && !store.partitioned && rows <= FEW_ROWS ? KEPT_EXACT : undefined;
}

/** The same without a wait, where what is remembered is enough. */
export function planFromMemory(store: ScopedStore, search: PlannedSearch): SearchStrategy | undefined {
  if (search.filter !== undefined) return undefined;
  if (search.k === 0) return EXACT;
  const indexes = store.memory.peekIndexes(store.model.column, store.options.metric);
  if (indexes === undefined || indexes.length === 0) return indexes && EXACT;
  const facts = store.memory.peekTenant(store.tenant);
  if (facts === undefined) return undefined;
  const { k, efSearch, probes } = search;
  const last = LAST_PLANS.get(facts);
  if (last?.indexes === indexes && last.k === k && last.efSearch === efSearch && last.probes === probes) {
    return last.strategy;
  }
  const strategy = planUnfiltered(store, search, indexes, facts);
  LAST_PLANS.set(facts, { indexes, k, efSearch, probes, strategy });
  return strategy;
}

/** How a tenant was searched last without a filter, for as long as the same is remembered of it. */
const LAST_PLANS = new WeakMap<
  TenantFacts,
  Omit<PlannedSearch, "filter"> & { readonly indexes: readonly VectorIndex[]; readonly strategy: SearchStrategy }
>();

function planUnfiltered(
  store: ScopedStore,
  search: PlannedSearch,
  indexes: readonly VectorIndex[],
  facts: TenantFacts,
): SearchStrategy {
  const index = indexOf(store, indexes, facts);
  const { rows } = facts;
  const strategy = choose(store, search, index, facts, { filtered: false, matching: rows, rows });
  if (search.filter !== undefined || store.partitioned) return strategy;
  if (strategy.kind === "exact") return rows <= FEW_ROWS ? KEPT_EXACT : strategy;
  const predicate = index?.predicate ?? undefined;
  // How a backslash is read is a setting of the session.
  return predicate?.includes("\\") ? strategy : { ...strategy, keepsPlan: true, predicate };
}

function choose(
  { model }: ScopedStore,
  search: PlannedSearch,
  index: VectorIndex | undefined,
  facts: TenantFacts,
  more: Pick<SearchFacts, "filtered" | "matching" | "rows">,
): SearchStrategy {
  // Written out, since this is a large part of the client's work for a search and copying would be the most of it.
  const { dimensions, visitDimensions } = distanceCosts(model);
  const strategy = chooseStrategy({
    k: search.k,
    dimensions,
    visitDimensions,
    rows: more.rows,
    matching: more.matching,
    filtered: more.filtered,
    efSearch: search.efSearch ?? index?.efSearch ?? DEFAULT_EF_SEARCH,
    // Estimated from its size; an index of one tenant's rows holds no others.
    indexEntries: index && (index.predicate === null ? index.entries : Math.min(index.entries, facts.rows)),
  });
  const probes = search.probes ?? index?.probes ?? (index?.lists && defaultProbes(index.lists));
  return strategy.kind === "exact" || probes === undefined ? strategy : { ...strategy, probes };
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
  const facts = await tenantFacts(store);
  return indexOf(store, await vectorIndexes(store), facts);
}

function indexOf(
  { tenant, options }: ScopedStore,
  indexes: readonly VectorIndex[],
  { relation }: TenantFacts,
): VectorIndex | undefined {
  let smallest: VectorIndex | undefined;
  for (const index of indexes) {
    const covers = index.relation === relation && coversTenant(index.predicate, tenant, options.collection);
    if (covers && (smallest === undefined || index.entries < smallest.entries)) smallest = index;
  }
  return smallest;
}

/** The tenant's size and place, as they are remembered. */
export function tenantFacts(store: ScopedStore): Promise<TenantFacts> {
  return store.memory.tenant(store.tenant, () => readTenantFacts(store));
}

import type { Settings } from "../db/settings.js";

/** What is known before a search, for deciding how it is done. Estimates may be wrong: that costs time, no results. */
export interface SearchFacts {
  readonly k: number;
  readonly dimensions: number;
  /** What an entry of the index costs to compare, in dimensions. @defaultValue `dimensions` */
  readonly visitDimensions?: number;
  /** Rows that an exact search reads: the tenant's in the collection, or those that an index on a promoted key finds. */
  readonly rows: number;
  /** Those of them that the filter keeps. */
  readonly matching: number;
  /** Entries of the smallest vector index that covers the tenant's rows; `undefined` when none does. */
  readonly indexEntries: number | undefined;
  /** The least number of candidates that the caller wants. */
  readonly efSearch: number;
  /** Whether a filter, and not the tenant alone, decides which rows match. */
  readonly filtered: boolean;
}

export type SearchStrategy =
  | {
      readonly kind: "exact";
      /** Whether the server may keep the plan, since it is the same for any tenant of that size and any vector. */
      readonly keepsPlan?: boolean;
    }
  | {
      readonly kind: "index";
      /** The same, for any vector. */
      readonly keepsPlan?: boolean;
      /** Of a partial index, as Postgres prints it: a plan that is kept needs it in the text of the statement. */
      readonly predicate?: string | undefined;
      /** Candidates of one pass over the index. */
      readonly efSearch: number;
      /** Index entries that are expected to be visited before the search has what it needs. */
      readonly visits: number;
      /** Rows to take from the index, at least `k`; the nearest `k` of them are the result. */
      readonly fetch: number;
      /** With fewer matching rows than this among the candidates the result is not to be trusted. */
      readonly enough: number;
      /** Whether the scan goes on until it has met `fetch` rows that match. */
      readonly iterative: boolean;
      /** Of a scan that goes on. @defaultValue `"relaxed_order"` */
      readonly order?: "relaxed_order" | "strict_order";
      /** Lists of an IVFFlat index that are looked at. */
      readonly probes?: number | undefined;
    };

export const MAX_EF_SEARCH = 1_000;

/**
 * How many of the tenant's matching rows an index scan should come by before it may stop, for each one wanted. With about
 * one, recall@10 was 0.96 to 0.98; with about four, 1.0. See docs/decisions/0007-search-strategy.md.
 */
const CANDIDATES_PER_HIT = 4;

/** A tenant with such a share of the entries, which are estimated from the size of the index, has it to itself. */
const NEARLY_ALL = 0.95;

/** So many more for a filter, or half of the searches would come by fewer than is expected on average. */
const FILTER_HEADROOM = 1.5;
/** An exact search that would take longer, in microseconds, is no remedy for a filter's depleted neighbourhood. */
const MAX_REMEDY = 200_000;

/** Microseconds, measured on two cores; their ratios decide. See docs/decisions/0007-search-strategy.md. */
const COST = {
  /** Fetching a row and looking at its metadata. */
  row: 0.4,
  /** A distance in a row, and for each dimension: beyond about 500 of them the vector has to be fetched from TOAST. */
  distance: 0.2,
  distancePerDimension: 0.002,
  /** An index scan, whatever it finds. */
  scan: 1_000,
  /** An entry of the index with the neighbours that are compared for it, and for each dimension. */
  visit: 8,
  visitPerDimension: 0.0025,
} as const;

/**
 * Exact or by index, whichever is cheaper for a recall of at least 0.99. A search by index pays for all the rows that it
 * meets, other tenants' and those that the filter drops included; an exact one for all rows of its tenant, or for those
 * that an index on a promoted key finds.
 *
 * Rows that a filter keeps may lie together, and far from the query. Its neighbourhood then holds few of them, and those
 * that a scan meets further out are not the nearest. So a scan with a filter looks once, and has to meet enough.
 */
export function chooseStrategy(facts: SearchFacts): SearchStrategy {
  const { k, dimensions, visitDimensions = dimensions, rows, matching, indexEntries, efSearch, filtered } = facts;
  if (indexEntries === undefined || matching === 0 || k === 0) return { kind: "exact" };
  const exactCost = rows * COST.row + matching * (COST.distance + dimensions * COST.distancePerDimension);
  const share = !filtered && matching >= NEARLY_ALL * indexEntries ? 1 : Math.min(1, matching / indexEntries);
  // An index without other tenants' rows needs as many as were measured for ten hits, or were asked for.
  const perHit = share === 1 && !filtered ? Math.min(CANDIDATES_PER_HIT, efSearch / 10) : CANDIDATES_PER_HIT;
  const wanted = Math.ceil(((filtered ? FILTER_HEADROOM : 1) * perHit * k) / share);
  const visits = Math.max(efSearch, wanted, k);
  const indexCost = COST.scan + visits * (COST.visit + visitDimensions * COST.visitPerDimension);
  if (exactCost <= indexCost) return { kind: "exact" };
  const inOnePass = visits <= MAX_EF_SEARCH;
  const checked = filtered && exactCost <= MAX_REMEDY;
  return {
    kind: "index",
    efSearch: Math.min(MAX_EF_SEARCH, visits),
    visits,
    // One pass cannot hold all candidates: asking for more rows makes the scan go on until it has met them.
    fetch: checked || !inOnePass ? CANDIDATES_PER_HIT * k : k,
    enough: checked ? CANDIDATES_PER_HIT * k : k,
    iterative: !inOnePass || (share < 1 && !checked),
  };
}

/**
 * How to make Postgres do what was chosen; its own estimate knows neither TOAST nor how far a scan has to go.
 *
 * @param scope settings that these are added to. The result is the same object as long as both are.
 */
export function strategySettings(
  strategy: SearchStrategy,
  { iterative }: { readonly iterative: boolean },
  scope: Settings = {},
): Settings {
  const last = LAST_SETTINGS.get(scope);
  if (last?.strategy === strategy && last.iterative === iterative) return last.settings;
  const settings = settingsFor(strategy, iterative, scope);
  LAST_SETTINGS.set(scope, { strategy, iterative, settings });
  return settings;
}

/** Those of the last search, by the settings of its scope. */
const LAST_SETTINGS = new WeakMap<
  Settings,
  { readonly strategy: SearchStrategy; readonly iterative: boolean; readonly settings: Settings }
>();

function settingsFor(strategy: SearchStrategy, mayIterate: boolean, scope: Settings): Settings {
  // Bitmap and sequential scans stay possible; a vector index can serve neither.
  if (strategy.kind === "exact") return { ...scope, enable_indexscan: "off" };
  const { efSearch, probes, visits, enough, fetch } = strategy;
  const settings: Record<string, string> = {
    ...scope,
    // Before version 18 a discouraged sort counts as a huge cost, which would start the JIT compiler.
    enable_sort: "off",
    jit: "off",
    "hnsw.ef_search": String(efSearch),
  };
  if (probes !== undefined) settings["ivfflat.probes"] = String(probes);
  if (!mayIterate || !strategy.iterative) return settings;
  settings["hnsw.iterative_scan"] = strategy.order ?? "relaxed_order";
  settings["ivfflat.iterative_scan"] = "relaxed_order";
  if (visits > MAX_EF_SEARCH) {
    // When the estimate was wrong by more than this, an exact search is the cheaper way on, or the only sound one.
    settings["hnsw.max_scan_tuples"] = String(enough === fetch ? visits : 4 * visits);
    settings["hnsw.scan_mem_multiplier"] = String(Math.min(64, Math.ceil(visits / MAX_EF_SEARCH) * 2));
  }
  return settings;
}

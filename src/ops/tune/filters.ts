import type { Filter, FilterNode } from "../../store/filter/index.js";
import type { SearchSetting } from "../../store/index-note.js";
import type { ScopedStore } from "../../store/open.js";
import { planSearch } from "../../store/plan-search.js";
import { askExactly } from "../../store/ask-exactly.js";
import type { Question } from "../../store/recall-questions.js";
import { MAX_EF_SEARCH, type SearchStrategy } from "../../store/search-strategy.js";
import { measureSearches, type Measured } from "./measure.js";
import type { CheckedTuneOptions } from "./options.js";

/** How a filtered search may go. `store`: as the store decides by itself. */
export type FilterWay = "store" | "exact" | "no iterative scan" | "relaxed order" | "strict order";

export interface FilterReport {
  readonly filter: Filter;
  readonly ways: readonly (Measured & { readonly way: FilterWay })[];
  /** The fastest way that reaches the target; `undefined` when none does. */
  readonly fastest: FilterWay | undefined;
}

const MAX_QUESTIONS = 60;

/** Measures a filter in every way that a search can go about it. */
export async function measureFilter(
  store: ScopedStore,
  filter: FilterNode,
  given: Filter,
  setting: SearchSetting,
  questions: readonly Question[],
  { k, target, budgetMs }: CheckedTuneOptions,
  signal: AbortSignal | undefined,
): Promise<FilterReport> {
  const vectors = questions.filter((question) => question.store.tenant === store.tenant).slice(0, MAX_QUESTIONS);
  const asked = await askExactly(
    store,
    vectors.map(({ vector }) => vector),
    { k, filter, deadline: performance.now() + budgetMs, signal },
  );
  const ways: (Measured & { way: FilterWay })[] = [];
  for (const way of WAYS) {
    if (way === "strict order" && setting.probes !== undefined) continue;
    const measured = await measureSearches(asked, k, () => strategyOf(way, store, filter, setting, k), signal);
    ways.push({ way, ...measured });
  }
  const reaching = ways.filter(({ recall }) => recall >= target).toSorted((a, b) => a.p50Ms - b.p50Ms);
  return { filter: given, ways, fastest: reaching[0]?.way };
}

const WAYS: readonly FilterWay[] = ["store", "exact", "no iterative scan", "relaxed order", "strict order"];

async function strategyOf(
  way: FilterWay,
  store: ScopedStore,
  filter: FilterNode,
  { efSearch, probes }: SearchSetting,
  k: number,
): Promise<SearchStrategy> {
  if (way === "exact") return { kind: "exact" };
  if (way === "store") return planSearch(store, { k, filter, efSearch, probes });
  const candidates = Math.min(MAX_EF_SEARCH, Math.max(k, efSearch ?? 100));
  return {
    kind: "index",
    efSearch: candidates,
    visits: candidates,
    fetch: k,
    // What comes is what counts here: an exact search in place of too few would hide the way's own recall.
    enough: 0,
    iterative: way !== "no iterative scan",
    order: way === "strict order" ? "strict_order" : "relaxed_order",
    ...(probes !== undefined && { probes }),
  };
}

import { meanRecall, recallOfHits, searchFor, type Question } from "../../store/recall-questions.js";
import { runSearch } from "../../store/search.js";
import type { SearchStrategy } from "../../store/search-strategy.js";

/** What a number of searches came to. */
export interface Measured {
  /** Mean recall@k against exact searches, 0 to 1. */
  readonly recall: number;
  /** Standard error of that mean. */
  readonly error: number;
  /** Milliseconds of half of the searches, and of all but the slowest twentieth, from call to documents. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly queries: number;
}

/**
 * Asks all questions one after the other, each in the way that `plan` says, and again by an exact search where the store
 * would: when a scan came by too few rows.
 */
export async function measureSearches(
  questions: readonly Question[],
  k: number,
  plan: (question: Question) => Promise<SearchStrategy>,
  signal?: AbortSignal,
): Promise<Measured> {
  const recalls: number[] = [];
  const times: number[] = [];
  for (const question of questions) {
    signal?.throwIfAborted();
    const { store, vector, filter } = question;
    const search = searchFor(vector, { k, filter, signal });
    const started = performance.now();
    const strategy = await plan(question);
    let { hits, met } = await runSearch(store, search, strategy);
    if (strategy.kind === "index" && met < strategy.enough) {
      ({ hits, met } = await runSearch(store, search, { kind: "exact" }));
    }
    times.push(performance.now() - started);
    recalls.push(recallOfHits(question, hits));
  }
  return {
    ...meanRecall(recalls),
    p50Ms: quantile(times, 0.5),
    p95Ms: quantile(times, 0.95),
    queries: questions.length,
  };
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

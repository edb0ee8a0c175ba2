import { maximalMarginalRelevance } from "@langchain/core/utils/math";
import type { MaxMarginalRelevanceSearchOptions } from "@langchain/core/vectorstores";
import { ConfigurationError } from "../errors.js";
import { checkK } from "./search-hit.js";

/** @throws ConfigurationError for a `lambda` outside 0 to 1, and for counts that cannot be served. */
export function checkMmr(options: MaxMarginalRelevanceSearchOptions<unknown>): {
  k: number;
  fetchK: number;
  lambda: number;
} {
  const { k = 4, lambda = 0.5 } = options;
  if (!(lambda >= 0 && lambda <= 1)) throw new ConfigurationError(`lambda must be from 0 to 1, got ${lambda}.`);
  return { k, lambda, fetchK: Math.max(checkK(options.fetchK ?? 20, "fetchK"), checkK(k)) };
}

/** The `k` hits of maximal marginal relevance: near to the query, and unlike those already chosen. */
export function mostDiverse<T extends { embedding?: number[] }>(
  query: readonly number[],
  hits: readonly T[],
  { k, lambda }: { k: number; lambda: number },
): T[] {
  const vectors = hits.map((hit) => hit.embedding!);
  return maximalMarginalRelevance([...query], vectors, lambda, k).map((index) => hits[index]!);
}

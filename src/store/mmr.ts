import { maximalMarginalRelevance } from "@langchain/core/utils/math";
import type { MaxMarginalRelevanceSearchOptions } from "@langchain/core/vectorstores";
import { denseTogether, type VectorInput } from "../db/sparse-vector.js";
import { ConfigurationError } from "../errors.js";
import { embeddedVector, type Embedded } from "./embedding-column.js";
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
export function mostDiverse<T extends Embedded>(
  query: VectorInput,
  hits: readonly T[],
  { k, lambda }: { k: number; lambda: number },
): T[] {
  const [asked, ...vectors] = denseTogether([query, ...hits.map((hit) => embeddedVector(hit)!)]);
  return maximalMarginalRelevance(asked!, vectors, lambda, k).map((index) => hits[index]!);
}

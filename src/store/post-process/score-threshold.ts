import { ConfigurationError } from "../../errors.js";
import type { SearchHit } from "../search-hit.js";
import type { PostProcessor } from "./post-process.js";

/** The figures of a hit that a threshold can be set for, higher is better. */
const MEASURES = {
  score: (hit) => hit.score,
  similarity: (hit) => hit.similarity,
  bm25: (hit) => hit.lexical?.bm25,
  rerank: (hit) => hit.rerank?.score,
} satisfies Record<string, (hit: SearchHit) => number | undefined>;

export type ThresholdMeasure = keyof typeof MEASURES;

/**
 * Leaves out hits whose figure is below `least`, and hits without that figure.
 *
 * - `"score"` is that of the search: the similarity; by words the share of the highest BM25 that the query could reach; in
 *   a hybrid search the fused score, which compares hits of one query and no others. A search that fell back to
 *   similarity has that one's.
 * - `"similarity"` and `"bm25"` mean the same in every query; hits of the other ranking alone are left out.
 * - `"rerank"` is the score that a reranker reports, on its own scale.
 *
 * @throws ConfigurationError for a number that is not finite, or an unknown figure.
 */
export function scoreThreshold(least: number, measure: ThresholdMeasure = "score"): PostProcessor {
  if (!Number.isFinite(least)) {
    throw new ConfigurationError(`scoreThreshold must be a finite number, got ${String(least)}.`);
  }
  if (!Object.hasOwn(MEASURES, measure)) {
    const known = Object.keys(MEASURES).map((name) => `"${name}"`);
    throw new ConfigurationError(`scoreThreshold of ${JSON.stringify(measure)} is unknown; use ${known.join(", ")}.`);
  }
  const figure: (hit: SearchHit) => number | undefined = MEASURES[measure];
  return (_question, hits) => Promise.resolve(hits.filter((hit) => (figure(hit) ?? -Infinity) >= least));
}

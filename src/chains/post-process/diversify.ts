import { cosineSimilarity } from "@langchain/core/utils/math";
import { denseTogether } from "../../db/sparse-vector.js";
import { ConfigurationError } from "../../errors.js";
import { embeddedVector } from "../../store/embedding-column.js";
import type { SearchHit } from "../../store/search-hit.js";
import type { PostProcessor } from "../../store/post-process/post-process.js";

export interface DiversifyOptions {
  /** 1 for relevance alone to 0 for diversity alone. @defaultValue 0.7 */
  lambda?: number;
}

/**
 * Chooses hits that differ from each other by maximal marginal relevance: one after the other, the hit with the greatest
 * `lambda * relevance - (1 - lambda) * likeness`. Relevance is the score of the search, of any mode, from 0 for the last
 * candidate to 1 for the first; after a reranker, the place that it gave. Likeness is the greatest cosine similarity to a
 * hit that was chosen before.
 *
 * @see https://dl.acm.org/doi/10.1145/290941.291025 Carbonell and Goldstein 1998
 */
export function diversify({ lambda = 0.7 }: DiversifyOptions = {}): PostProcessor {
  if (!(lambda >= 0 && lambda <= 1)) throw new ConfigurationError(`lambda must be from 0 to 1, got ${lambda}.`);
  const step = (_question: string, hits: SearchHit[], { k = hits.length }: { k?: number | undefined }) => {
    const given = hits.map((hit) => {
      const vector = embeddedVector(hit);
      if (vector !== undefined) return vector;
      throw new ConfigurationError("diversify compares vectors; search with includeEmbeddings: true.");
    });
    const vectors = denseTogether(given);
    const relevance = relevanceOf(hits);
    const likeness = hits.map(() => 0);
    const left = new Set(hits.keys());
    const chosen: SearchHit[] = [];
    while (chosen.length < k && left.size > 0) {
      const value = (index: number): number => lambda * relevance[index]! - (1 - lambda) * likeness[index]!;
      const next = [...left].reduce((best, index) => (value(index) > value(best) ? index : best));
      left.delete(next);
      chosen.push(hits[next]!);
      for (const index of left) {
        // A vector without a direction is like no other.
        const similarity = cosineSimilarity([vectors[index]!], [vectors[next]!])[0]![0]! || 0;
        likeness[index] = Math.max(likeness[index]!, similarity);
      }
    }
    return Promise.resolve(chosen);
  };
  return Object.assign(step, { needsEmbeddings: true });
}

function relevanceOf(hits: readonly SearchHit[]): number[] {
  const scores = hits.map((hit, index) => (hit.rerank === undefined ? hit.score : hits.length - index));
  const [least, best] = [Math.min(...scores), Math.max(...scores)];
  return scores.map((score) => (best === least ? 1 : (score - least) / (best - least)));
}

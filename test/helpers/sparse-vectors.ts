import type { SparseVector } from "../../src/index.js";
import { seededRandom } from "./vectors.js";

/** As many as BERT's vocabulary has words, which SPLADE models give a weight each. */
export const VOCABULARY = 30_522;

export interface SparseSpace {
  readonly dimensions?: number;
  /** Values of a vector that are not zero. */
  readonly elements?: number;
  readonly topics?: number;
  readonly seed?: number;
}

/** Vectors like those of a SPLADE model: positive weights, mostly of the words of one topic out of many. */
export function sparseVectors(count: number, space: SparseSpace = {}): SparseVector[] {
  const { dimensions = VOCABULARY, elements = 120, topics = 40, seed = 1 } = space;
  const random = seededRandom(seed);
  const draw = (below: number): number => Math.floor(random() * below);
  const words = Array.from({ length: topics }, () => Array.from({ length: 3 * elements }, () => draw(dimensions)));
  return Array.from({ length: count }, (_, i) => {
    const own = words[i % topics]!;
    const weights = new Map<number, number>();
    while (weights.size < elements) {
      const index = random() < 0.8 ? own[draw(own.length)]! : draw(dimensions);
      weights.set(index, Math.fround(0.05 + 2 * random() ** 2));
    }
    return { dimensions, indices: [...weights.keys()], values: [...weights.values()] };
  });
}

export function toDense({ dimensions, indices, values }: SparseVector): number[] {
  const dense = Array.from({ length: dimensions }, () => 0);
  indices.forEach((index, place) => (dense[index] = values[place]!));
  return dense;
}

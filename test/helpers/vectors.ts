import { Embeddings } from "@langchain/core/embeddings";
import { hashedVector } from "./hashed-vector.js";

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** `count` vectors around `clusters` random centres; neighbours in the result belong to different clusters. */
export function clusteredVectors(count: number, dimensions: number, clusters: number, seed: number): number[][] {
  const random = seededRandom(seed);
  const direction = (): number[] => Array.from({ length: dimensions }, () => random() - 0.5);
  const centres = Array.from({ length: clusters }, direction);
  return Array.from({ length: count }, (_, index) =>
    centres[index % clusters]!.map((value) => Math.fround(value + (random() - 0.5) * 0.4)),
  );
}

export function cosineDistance(a: readonly number[], b: readonly number[]): number {
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (let i = 0; i < a.length; i += 1) {
    dot += a[i]! * b[i]!;
    squaresA += a[i]! ** 2;
    squaresB += b[i]! ** 2;
  }
  return 1 - dot / Math.sqrt(squaresA * squaresB);
}

/** Positions of the `k` vectors nearest to `query` by cosine distance, nearest first. */
export function exactNearest(query: readonly number[], vectors: readonly (readonly number[])[], k: number): number[] {
  return vectors
    .map((vector, index) => ({ index, distance: cosineDistance(query, vector) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, k)
    .map(({ index }) => index);
}

/** The share of `wanted` that is in `found`. */
export function recall(found: readonly unknown[], wanted: readonly unknown[]): number {
  const set = new Set(found);
  return wanted.filter((item) => set.has(item)).length / wanted.length;
}

/** A test embedder that says nothing about its model; equal texts have equal vectors, shared words similar ones. */
export class HashedEmbeddings extends Embeddings {
  /** How many texts were embedded. */
  embedded = 0;
  readonly #length: number;

  constructor(length = 16) {
    super({});
    this.#length = length;
  }

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    this.embedded += texts.length;
    return texts.map((text) => hashedVector(text, this.#length));
  }

  override async embedQuery(text: string): Promise<number[]> {
    this.embedded += 1;
    return hashedVector(text, this.#length);
  }
}

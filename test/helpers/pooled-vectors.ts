import { readFileSync } from "node:fs";
import { join } from "node:path";

const DIMENSIONS = 192;

/** The set `pooled-lsa192`: 12 text collections in one space. Zero vectors, which have no direction, are left out. */
export interface PooledVectors {
  readonly dimensions: number;
  readonly documents: readonly { readonly id: string; readonly label: string; readonly vector: Float32Array }[];
  readonly queries: readonly Float32Array[];
}

export function readPooledVectors(folder: string): PooledVectors {
  const labels = readFileSync(join(folder, "docs.tsv"), "utf8").trimEnd().split("\n");
  const documents = readVectors(join(folder, "docs.f32")).map((vector, row) => {
    return { id: String(row), label: labels[row]!.split("\t")[0]!, vector };
  });
  return {
    dimensions: DIMENSIONS,
    documents: documents.filter(({ vector }) => vector.some((value) => value !== 0)),
    queries: readVectors(join(folder, "queries.f32")).filter((vector) => vector.some((value) => value !== 0)),
  };
}

/** Queries with the similarity of their `k`th nearest document, at most 20; all vectors are of unit length. */
export function readPooledTruth(folder: string, k: number): { vector: Float32Array; limit: number }[] {
  const documents = readVectors(join(folder, "docs.f32"));
  const { buffer, byteOffset, byteLength } = readFileSync(join(folder, "gt20.i32"));
  const nearest = new Int32Array(buffer, byteOffset, byteLength / Int32Array.BYTES_PER_ELEMENT);
  return readVectors(join(folder, "queries.f32")).flatMap((vector, row) => {
    if (vector.every((value) => value === 0)) return [];
    const limit = dot(vector, documents[nearest[20 * row + k - 1]!]!);
    return [{ vector, limit }];
  });
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < DIMENSIONS; i += 1) sum += a[i]! * b[i]!;
  return sum;
}

function readVectors(file: string): Float32Array[] {
  const { buffer, byteOffset, byteLength } = readFileSync(file);
  const all = new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT);
  return Array.from({ length: all.length / DIMENSIONS }, (_, row) =>
    all.subarray(row * DIMENSIONS, (row + 1) * DIMENSIONS),
  );
}

/** Similarity of the `k`th nearest among `vectors`, all of unit length. */
export function kthSimilarity(query: Float32Array, vectors: readonly Float32Array[], k: number): number {
  const similarities = Float64Array.from(vectors, (vector) => dot(query, vector));
  return similarities.sort().at(-Math.min(k, similarities.length))!;
}

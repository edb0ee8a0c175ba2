import { isSparse, type VectorInput } from "../db/sparse-vector.js";
import { DimensionMismatchError, InvalidVectorError } from "../errors.js";
import type { Metric, ModelVersion } from "../schema/layout.js";
import { checkDirection, checkElementCount, checkSparseVector, countElements } from "./sparse-check.js";
import { MAX_ELEMENTS } from "./storage.js";

/** The largest value that rounds to a finite float16, and the largest that rounds to zero. */
const HALF_MAX = 65_519.99;
const HALF_ZERO = 2 ** -25;

/**
 * Checks one vector against its embedding column before any I/O.
 *
 * @param label names the vector in errors, such as `vector 3 (id "a")` or `the query vector`.
 * @throws DimensionMismatchError when `vector.length` differs from `model.dimensions`.
 * @throws InvalidVectorError for NaN, Infinity, values beyond the column's type, and, under cosine distance, a vector
 * without a direction: all zeros, or values whose squares vanish or overflow in float32, with which pgvector computes.
 * For a sparse vector where the column is not of such, or with more values than one can have.
 */
export function checkVector(
  vector: VectorInput,
  { dimensions, storageType }: Pick<ModelVersion, "dimensions" | "storageType">,
  metric: Metric,
  label: () => string,
): void {
  if (isSparse(vector)) {
    if (storageType === "sparsevec") return checkSparseVector(vector, dimensions, metric, label);
    throw new InvalidVectorError(
      `${label()} is a sparse vector, the embedding column is of type ${storageType}. Give an array of numbers, or use a ` +
        'store with storageType "sparsevec".',
    );
  }
  if (typeof vector !== "object" || vector === null || typeof vector.length !== "number") {
    throw new InvalidVectorError(`${label()} is ${vector === null ? "null" : typeof vector}, not an array of numbers.`);
  }
  if (vector.length !== dimensions) {
    throw new DimensionMismatchError(
      `${label()} has ${vector.length} dimensions, the embedding column has ${dimensions}. ` +
        "Use the embedding model that filled the store, or another table for this one.",
      dimensions,
      vector.length,
    );
  }
  if (storageType === "sparsevec" && dimensions > MAX_ELEMENTS) {
    checkElementCount(countElements(vector), MAX_ELEMENTS, "a sparse vector can have", label);
  }
  const half = storageType === "halfvec";
  if (isOrdinary(vector, half)) return;
  let squares = 0;
  for (let i = 0; i < dimensions; i += 1) {
    const value = vector[i] as unknown;
    const stored = typeof value === "number" ? Math.fround(value) : Number.NaN;
    if (!Number.isFinite(stored) || (half && Math.abs(stored) > HALF_MAX)) {
      throw new InvalidVectorError(
        `${label()} holds ${String(value)} at position ${i}; every value must be a finite ` +
          `${half ? "float16 number, at most 65,504" : "float32 number"}.`,
      );
    }
    if (!half || Math.abs(stored) > HALF_ZERO) squares = Math.fround(squares + Math.fround(stored * stored));
  }
  checkDirection(squares, metric, label);
}

/** Sums of squares within which nothing can vanish or overflow, whatever the type, the metric and the dimensions. */
const ORDINARY = { vector: [1e-30, 1e30], half: [1e-6, 4e9] } as const;

/** Whether a vector passes every check, found out at a fraction of their cost; `false` for one that needs a closer look. */
function isOrdinary(vector: ArrayLike<number>, half: boolean): boolean {
  let squares = 0;
  if (vector instanceof Float32Array) {
    for (let i = 0; i < vector.length; i += 1) squares += vector[i]! * vector[i]!;
  } else {
    for (let i = 0; i < vector.length; i += 1) {
      const value: unknown = vector[i];
      if (typeof value !== "number") return false;
      squares += value * value;
    }
  }
  const [least, most] = half ? ORDINARY.half : ORDINARY.vector;
  return squares > least && squares < most;
}

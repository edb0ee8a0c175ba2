import { DimensionMismatchError, InvalidVectorError } from "../errors.js";
import type { Metric } from "../schema/layout.js";

/**
 * Checks one vector against its embedding column before any I/O.
 *
 * @param label names the vector in errors, such as `vector 3 (id "a")` or `the query vector`.
 * @throws DimensionMismatchError when `vector.length` differs from `dimensions`.
 * @throws InvalidVectorError for NaN, Infinity, values beyond float32, and all zeros under cosine distance.
 */
export function checkVector(vector: ArrayLike<number>, dimensions: number, metric: Metric, label: () => string): void {
  if (vector.length !== dimensions) {
    throw new DimensionMismatchError(
      `${label()} has ${vector.length} dimensions, the embedding column has ${dimensions}. ` +
        "Use the embedding model that filled the store, or another table for this one.",
      dimensions,
      vector.length,
    );
  }
  let allZero = true;
  for (let i = 0; i < dimensions; i += 1) {
    const value = vector[i] as unknown;
    if (typeof value !== "number" || !Number.isFinite(Math.fround(value))) {
      throw new InvalidVectorError(
        `${label()} holds ${String(value)} at position ${i}; every value must be a finite float32 number.`,
      );
    }
    if (value !== 0) allZero = false;
  }
  if (allZero && metric === "cosine") {
    throw new InvalidVectorError(
      `${label()} is all zeros, which has no direction and therefore no cosine distance. ` +
        'Leave the document out, or use distanceStrategy "euclidean" or "innerProduct".',
    );
  }
}

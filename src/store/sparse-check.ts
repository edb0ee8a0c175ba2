import { isSparse, type SparseVector, type VectorInput } from "../db/sparse-vector.js";
import { DimensionMismatchError, InvalidVectorError } from "../errors.js";
import type { Metric } from "../schema/layout.js";
import { MAX_ELEMENTS } from "./storage.js";

/**
 * Checks a vector in sparse notation before any I/O.
 *
 * @throws DimensionMismatchError, InvalidVectorError naming the place and its value.
 */
export function checkSparseVector(vector: SparseVector, dimensions: number, metric: Metric, label: () => string): void {
  const { indices, values } = vector;
  if (typeof indices?.length !== "number" || indices.length !== values?.length) {
    throw new InvalidVectorError(
      `${label()} has ${describe(indices)} as \`indices\` and ${describe(values)} as \`values\`; they must be arrays of one length.`,
    );
  }
  if (vector.dimensions !== dimensions) {
    throw new DimensionMismatchError(
      `${label()} has ${String(vector.dimensions)} dimensions, the embedding column has ${dimensions}. ` +
        "Use the embedding model that filled the store, or another table for this one.",
      dimensions,
      vector.dimensions,
    );
  }
  checkElementCount(countElements(vector), MAX_ELEMENTS, "a sparse vector can have", label);
  const seen = new Set<number>();
  let squares = 0;
  for (let place = 0; place < indices.length; place += 1) {
    const index = indices[place] as unknown;
    if (!Number.isInteger(index) || (index as number) < 0 || (index as number) >= dimensions) {
      throw new InvalidVectorError(
        `${label()} has the index ${String(index)} at position ${place}; indices are whole numbers from 0 to ${dimensions - 1}.`,
      );
    }
    if (seen.has(index as number)) {
      throw new InvalidVectorError(`${label()} has the index ${String(index)} twice; give one value for each.`);
    }
    seen.add(index as number);
    const value = values[place] as unknown;
    const stored = typeof value === "number" ? Math.fround(value) : Number.NaN;
    if (!Number.isFinite(stored)) {
      throw new InvalidVectorError(
        `${label()} holds ${String(value)} at index ${String(index)}; every value must be a finite float32 number.`,
      );
    }
    squares = Math.fround(squares + Math.fround(stored * stored));
  }
  checkDirection(squares, metric, label);
}

/** @param squares sum of them in float32, with which pgvector computes. @throws InvalidVectorError without a direction. */
export function checkDirection(squares: number, metric: Metric, label: () => string): void {
  if (metric !== "cosine" || (squares > 0 && squares < Number.POSITIVE_INFINITY)) return;
  const reason = squares === 0 ? "all zeros, or nearly" : "too long for float32";
  throw new InvalidVectorError(
    `${label()} is ${reason}: it has no direction and therefore no cosine distance. ` +
      'Leave the document out, or use distanceStrategy "euclidean" or "innerProduct".',
  );
}

/** How many values of a vector are stored in a column of sparse vectors. */
export function countElements(vector: VectorInput): number {
  const values: ArrayLike<number> = isSparse(vector) ? vector.values : vector;
  let count = 0;
  for (let place = 0; place < values.length; place += 1) if (Math.fround(values[place]!) !== 0) count += 1;
  return count;
}

/** @param limit ends in a verb that the number is put behind. @throws InvalidVectorError beyond it. */
export function checkElementCount(count: number, most: number, limit: string, label: () => string, cure = ""): void {
  if (count <= most) return;
  throw new InvalidVectorError(
    `${label()} has ${count.toLocaleString("en")} values that are not zero, ${limit} ${most.toLocaleString("en")}. ` +
      `Keep the ${most.toLocaleString("en")} largest${cure}.`,
  );
}

function describe(value: unknown): string {
  const { length } = (value ?? {}) as { length?: unknown };
  return typeof length === "number" ? `${length} numbers` : value === null ? "null" : typeof value;
}

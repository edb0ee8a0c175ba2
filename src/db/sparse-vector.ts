/**
 * A vector of which only the values that are not zero are written down. What `new SparseVector(...)` of the npm package
 * `pgvector` makes is one.
 */
export interface SparseVector {
  readonly dimensions: number;
  /** Places of the values, from 0, each once. */
  readonly indices: readonly number[];
  /** `values.length === indices.length`. */
  readonly values: readonly number[];
}

/** A vector in either notation. */
export type VectorInput = ArrayLike<number> | SparseVector;

/** Tells the notations apart by their shape: it may come from another copy of a package. */
export function isSparse(vector: unknown): vector is SparseVector {
  return typeof vector === "object" && vector !== null && "indices" in vector;
}

export function dimensionsOf(vector: VectorInput): number {
  return isSparse(vector) ? vector.dimensions : vector.length;
}

/**
 * The values of a vector that are not zero as float32, in the order of their places: what pgvector keeps, and all that its
 * binary format allows.
 */
export function toSparse(vector: VectorInput): SparseVector {
  const indices: number[] = [];
  const values: number[] = [];
  const add = (index: number, value: number): void => {
    const stored = Math.fround(value);
    if (stored === 0) return;
    indices.push(index);
    values.push(stored);
  };
  if (isSparse(vector)) {
    const places = Array.from(vector.indices, (index, place) => ({ index, value: vector.values[place]! }));
    for (const { index, value } of places.sort((a, b) => a.index - b.index)) add(index, value);
  } else {
    for (let index = 0; index < vector.length; index += 1) add(index, vector[index]!);
  }
  return { dimensions: dimensionsOf(vector), indices, values };
}

/** Vectors as arrays in which only those dimensions are left that one of them has a value in: angles and lengths stay. */
export function denseTogether(vectors: readonly VectorInput[]): number[][] {
  if (!vectors.some(isSparse)) return vectors.map((vector) => Array.from(vector as ArrayLike<number>));
  const sparse = vectors.map(toSparse);
  const places = new Map<number, number>();
  for (const { indices } of sparse) {
    for (const index of indices) if (!places.has(index)) places.set(index, places.size);
  }
  return sparse.map(({ indices, values }) => {
    const dense = Array.from({ length: places.size }, () => 0);
    indices.forEach((index, place) => (dense[places.get(index)!] = values[place]!));
    return dense;
  });
}

/** `first + share * second`, divided by `1 + share`. */
export function mix(first: VectorInput, second: VectorInput, share: number): VectorInput {
  if (!isSparse(first) && !isSparse(second)) {
    return Array.from(first, (value, place) => (value + share * second[place]!) / (1 + share));
  }
  const sums = new Map<number, number>();
  for (const [vector, weight] of [
    [first, 1],
    [second, share],
  ] as const) {
    const { indices, values } = toSparse(vector);
    indices.forEach((index, place) => {
      sums.set(index, (sums.get(index) ?? 0) + (weight * values[place]!) / (1 + share));
    });
  }
  return toSparse({ dimensions: dimensionsOf(first), indices: [...sums.keys()], values: [...sums.values()] });
}

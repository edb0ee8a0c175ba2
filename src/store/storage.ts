import { ConfigurationError } from "../errors.js";
import type { Quantization, StorageType } from "../schema/layout.js";

export const STORAGE_TYPES = ["vector", "halfvec", "sparsevec"] as const satisfies readonly StorageType[];

/** Dimensions that a column of each type can have. */
const MAX_STORED: Readonly<Record<StorageType, number>> = {
  vector: 16_000,
  halfvec: 16_000,
  sparsevec: 1_000_000_000,
};
/** Values other than zero that a sparse vector can have, and one that is in an HNSW index. */
export const MAX_ELEMENTS = 16_000;
export const MAX_INDEXED_ELEMENTS = 1_000;
/** Values of a sparse vector where nothing is known of them: what SPLADE models give for a passage. */
export const TYPICAL_ELEMENTS = 128;

export function maxStoredDimensions(storageType: StorageType | undefined): number {
  return MAX_STORED[storageType ?? "vector"];
}

/** How the vectors of a model are kept. */
export interface Storage {
  readonly storageType: StorageType;
  readonly quantization?: Quantization | undefined;
}

/** @throws ConfigurationError for a type that cannot have so many dimensions, or cannot be quantized. */
export function checkStorage({ storageType, quantization, dimensions }: Storage & { dimensions?: number }): void {
  if (storageType === "sparsevec" && quantization === "binary") {
    throw new ConfigurationError(
      'quantization "binary" keeps the signs of all dimensions, and sparse vectors have few that are not zero: leave it out ' +
        'with storageType "sparsevec".',
    );
  }
  const most = MAX_STORED[storageType];
  if (dimensions === undefined || dimensions <= most) return;
  throw new ConfigurationError(
    `A column of type ${storageType} has at most ${most.toLocaleString("en")} dimensions, the vectors have ` +
      `${dimensions.toLocaleString("en")}. ` +
      (storageType === "sparsevec" ? "Use fewer." : 'Vectors that are mostly zeros fit into storageType "sparsevec".'),
  );
}

/** What a distance costs, in dimensions of a vector: a sparse one has a place to every value. */
export function comparedNumbers(vectors: Storage & { readonly dimensions: number }): number {
  return vectors.storageType === "sparsevec" ? storedBytes(vectors) / 4 : vectors.dimensions;
}

/** Bytes of a vector's numbers as it is stored. */
export function storedBytes({ dimensions, storageType }: Storage & { readonly dimensions: number }): number {
  switch (storageType) {
    case "vector":
      return 4 * dimensions;
    case "halfvec":
      return 2 * dimensions;
    case "sparsevec":
      return 8 * Math.min(dimensions, TYPICAL_ELEMENTS) + 8;
  }
}

import { ConfigurationError } from "../errors.js";
import type { Quantization, StorageType } from "../schema/layout.js";
import { WHOLE_ROW_BYTES } from "../schema/partitions.js";

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

/** The type of a new column where none was asked for: the one that an HNSW index can cover. */
export function defaultStorageType(dimensions: number): StorageType {
  return dimensions > 2_000 && dimensions <= 4_000 ? "halfvec" : "vector";
}

/** What a row takes beside its vector, at the least: its header, the columns that all have, and a few words. */
const OTHER_BYTES = 160;

/** @throws ConfigurationError for vectors that are longer than a row that stays whole. */
export function checkInline(vectors: Storage & { readonly dimensions: number }): void {
  const bytes = storedBytes(vectors) + 8;
  if (bytes + OTHER_BYTES <= WHOLE_ROW_BYTES) return;
  const { dimensions, storageType } = vectors;
  throw new ConfigurationError(
    `inlineVectors keeps rows of up to ${WHOLE_ROW_BYTES.toLocaleString("en")} bytes whole, and a vector of ` +
      `${dimensions.toLocaleString("en")} dimensions takes ${bytes.toLocaleString("en")} as ${storageType}. ` +
      `${storageType === "vector" && dimensions < 4_000 ? 'Use storageType "halfvec", or leave' : "Leave"} inlineVectors out.`,
  );
}

/**
 * So many dimensions of a dense vector are compared in the time of one number of a sparse one, whose places have to be
 * matched one after the other; measured at 120 values of 30,522 dimensions against 1,536.
 */
const DIMENSIONS_PER_NUMBER = 40;

/** What a distance costs in dimensions of a dense vector: of a row, which has to be read, and in the graph of an index. */
export function distanceCosts(vectors: Storage & { readonly dimensions: number }): {
  readonly dimensions: number;
  readonly visitDimensions: number;
} {
  const { dimensions, storageType } = vectors;
  if (storageType !== "sparsevec") return { dimensions, visitDimensions: dimensions };
  const numbers = storedBytes(vectors) / 4;
  return { dimensions: numbers, visitDimensions: DIMENSIONS_PER_NUMBER * numbers };
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

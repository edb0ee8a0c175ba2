import { ConfigurationError } from "../../errors.js";
import type { StorageType } from "../../schema/layout.js";
import { integer } from "../../store/options.js";
import {
  defaultStorageType,
  MAX_INDEXED_ELEMENTS,
  maxStoredDimensions,
  TYPICAL_ELEMENTS,
} from "../../store/storage.js";
import { MAX_DIMENSIONS } from "../../store/vector-index.js";

/** What is to be stored, as {@link estimateSize} takes it. */
export interface SizeOptions {
  /** Chunks, each with one vector. */
  vectors: number;
  dimensions: number;
  /** @defaultValue as a new store: `"vector"` up to 2,000 dimensions, `"halfvec"` up to 4,000 */
  storageType?: StorageType;
  /** Values of a sparse vector that are not zero. @defaultValue 128 */
  nonZeros?: number;
  /** Neighbours of an element of the HNSW graph. @defaultValue 16 */
  m?: number;
  /** @defaultValue 1 */
  tenants?: number;
  /** Text of a chunk, in bytes. @defaultValue 1000 */
  textBytes?: number;
  /** Metadata of a chunk, in bytes as JSON. @defaultValue 100 */
  metadataBytes?: number;
  /** Id of a chunk, in bytes. @defaultValue 36 */
  idBytes?: number;
  /** Whether the table keeps vectors in the row, as the option of that name of a store. @defaultValue false */
  inlineVectors?: boolean;
  /** Whether the store keeps a lexical index. @defaultValue false */
  lexical?: boolean;
  /** Searches in a second, at the peak. @defaultValue 50 */
  qps?: number;
}

/** {@link SizeOptions} with nothing left open. */
export type SizeShape = Readonly<Required<SizeOptions>>;

/** @throws ConfigurationError for what cannot be stored or indexed. */
export function checkShape(options: SizeOptions): SizeShape {
  const dimensions = integer("dimensions", options.dimensions, 1, maxStoredDimensions(options.storageType))!;
  const storageType = options.storageType ?? defaultStorageType(dimensions);
  // Estimates of a graph would be of nothing that can be built.
  if (dimensions > MAX_DIMENSIONS[storageType]) {
    throw new ConfigurationError(
      `An HNSW index takes at most ${MAX_DIMENSIONS[storageType].toLocaleString("en")} dimensions of type ${storageType}, ` +
        `got ${dimensions}; ${dimensions <= MAX_DIMENSIONS.halfvec ? 'use type "halfvec"' : "shorten the vectors"}.`,
    );
  }
  return {
    vectors: integer("vectors", options.vectors, 1, 1e12)!,
    dimensions,
    storageType,
    nonZeros: integer("nonZeros", options.nonZeros, 1, MAX_INDEXED_ELEMENTS) ?? Math.min(dimensions, TYPICAL_ELEMENTS),
    m: integer("m", options.m, 2, 100) ?? 16,
    tenants: integer("tenants", options.tenants, 1, 1e9) ?? 1,
    textBytes: integer("textBytes", options.textBytes, 0, 1e9) ?? 1_000,
    metadataBytes: integer("metadataBytes", options.metadataBytes, 0, 1e9) ?? 100,
    idBytes: integer("idBytes", options.idBytes, 1, 2_000) ?? 36,
    inlineVectors: options.inlineVectors ?? false,
    lexical: options.lexical ?? false,
    qps: integer("qps", options.qps, 1, 1e9) ?? 50,
  };
}

/** Bytes of one stored vector, its header among them. */
export function vectorBytes({
  storageType,
  dimensions,
  nonZeros,
}: Pick<SizeShape, "storageType" | "dimensions" | "nonZeros">): number {
  if (storageType === "sparsevec") return 16 + 8 * nonZeros;
  return 8 + dimensions * (storageType === "vector" ? 4 : 2);
}

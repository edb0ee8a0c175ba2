import { hnswBuildBytes, hnswIndexBytes } from "./hnsw.js";
import type { StoreSize } from "./measure.js";
import { checkShape, vectorBytes, type SizeOptions, type SizeShape } from "./shape.js";
import { tableSize, type TableSize } from "./table.js";

/** What a store needs; bytes unless the name says otherwise. */
export interface SizeEstimate {
  readonly shape: SizeShape;
  readonly table: TableSize;
  readonly indexBytes: number;
  readonly lexicalBytes: number;
  /** Table, index and lexical index as files. */
  readonly databaseBytes: number;
  /** `maintenance_work_mem` that holds the graph while it is built. */
  readonly buildMemoryBytes: number;
  readonly buildSeconds: number;
  /** What loading and building write to the log, which replicas and archives receive. */
  readonly walBytes: number;
  /** A compressed dump in `pg_dump`'s custom format. */
  readonly dumpBytes: number;
  /** Disk to plan: files, log, a second index while one is rebuilt, and a fifth to spare. */
  readonly diskBytes: number;
  /** Memory of the machine with which searches find the graph in memory. */
  readonly memoryBytes: number;
  readonly cores: number;
  /** The rule of thumb for the index: vectors x dimensions x 4 bytes x 2.5; of sparse ones, non-zeros x 8 bytes. */
  readonly ruleOfThumbBytes: number;
}

/** A lexical index in the steady state against the text, for one tenant and for many; see docs/decisions/0013. */
const LEXICAL_SHARE = { one: 1.7, many: 2.5 };
/** Bytes of one number in a compressed dump: digits of a float4, of a float2, or of a place and its float4. */
const DUMPED_NUMBER = { vector: 4.9, halfvec: 4.2, sparsevec: 7.5 };
const DUMPED_TEXT = 0.45;
/** Milliseconds that two cores need for one row of a graph, and for each of its dimensions, with the graph in memory. */
const BUILD_ROW_MS = 0.2;
const BUILD_DIMENSION_MS = 0.0002;
/** The same for a value of a sparse vector, whose places are matched one after the other; and of a search, in its share. */
const BUILD_VALUE_MS = 0.05;
const SEARCH_VALUE_SHARE = 0.014;
/** Time of a core for a search, in milliseconds, at 1,536 dimensions with the index in memory. */
const SEARCH_MS = 2.5;
/** A core that is busier than this makes searches wait. */
const BUSY = 0.6;
const MIB = 2 ** 20;
/** Share of the machine that the server caches pages in by itself. */
export const SHARED_BUFFERS = 0.4;
/** Fewer rows than this are mostly the overhead of empty pages. */
const MEASURABLE_ROWS = 1_000;

/**
 * What a store of a given shape needs, by formulas that the benchmark `operations` holds against real builds (15 % for the
 * sizes and the build memory; times depend on the machine). No I/O.
 *
 * @throws ConfigurationError for what cannot be stored or indexed.
 */
export function estimateSize(options: SizeOptions): SizeEstimate {
  const shape = checkShape(options);
  const table = tableSize(shape);
  const indexBytes = hnswIndexBytes(shape);
  const share = shape.tenants > 1 ? LEXICAL_SHARE.many : LEXICAL_SHARE.one;
  const lexicalBytes = shape.lexical ? Math.ceil(shape.vectors * shape.textBytes * share) : 0;
  return complete(shape, table, indexBytes, lexicalBytes);
}

/**
 * As {@link estimateSize}, for a store that is there: its parts grow as they are now, row by row. What has no index on its
 * vectors yet, or too few rows to tell, is taken from the formulas.
 *
 * @param vectors how many chunks to plan for. @defaultValue as many as there are
 */
export function projectSize(measured: StoreSize, options: Omit<SizeOptions, "dimensions">): SizeEstimate {
  const { dimensions, storageType } = measured.model;
  const estimate = estimateSize({ storageType, ...options, dimensions });
  if (measured.rows < MEASURABLE_ROWS) return estimate;
  const scale = options.vectors / measured.rows;
  const { table, indexBytes, lexicalBytes } = measured;
  return complete(
    estimate.shape,
    {
      heapBytes: Math.ceil(table.heapBytes * scale),
      toastBytes: Math.ceil(table.toastBytes * scale),
      primaryKeyBytes: Math.ceil(table.primaryKeyBytes * scale),
    },
    indexBytes === 0 ? estimate.indexBytes : Math.ceil(indexBytes * scale),
    lexicalBytes === 0 ? estimate.lexicalBytes : Math.ceil(lexicalBytes * scale),
  );
}

/** Everything that follows from the sizes of the parts. */
function complete(shape: SizeShape, table: TableSize, indexBytes: number, lexicalBytes: number): SizeEstimate {
  const tableBytes = table.heapBytes + table.toastBytes + table.primaryKeyBytes;
  const databaseBytes = tableBytes + indexBytes + lexicalBytes;
  const buildMemoryBytes = hnswBuildBytes(shape);
  const walBytes = Math.ceil(databaseBytes * 1.05);
  const hot = indexBytes + table.primaryKeyBytes + table.heapBytes + lexicalBytes;
  return {
    shape,
    table,
    indexBytes,
    lexicalBytes,
    databaseBytes,
    buildMemoryBytes,
    buildSeconds: buildSeconds(shape),
    walBytes,
    dumpBytes: dumpBytes(shape),
    diskBytes: Math.ceil((databaseBytes + indexBytes + Math.min(walBytes, 16 * 1_024 * MIB)) * 1.2),
    // Half a gigabyte for the system and the connections, a quarter of the machine for what changes; and the graph in
    // shared buffers, which are 0.4 of the machine.
    memoryBytes: Math.ceil(Math.max((hot + 512 * MIB) / 0.75, indexBytes / SHARED_BUFFERS)),
    cores: Math.max(2, Math.ceil((shape.qps * SEARCH_MS * searchShare(shape)) / 1_000 / BUSY)),
    ruleOfThumbBytes:
      shape.vectors * (shape.storageType === "sparsevec" ? shape.nonZeros * 8 : shape.dimensions * 4) * 2.5,
  };
}

function buildSeconds(shape: SizeShape): number {
  const { vectors, dimensions, storageType, nonZeros } = shape;
  const compared = storageType === "sparsevec" ? BUILD_VALUE_MS * nonZeros : BUILD_DIMENSION_MS * dimensions;
  return (vectors * (BUILD_ROW_MS + compared)) / 1_000;
}

function dumpBytes(shape: SizeShape): number {
  const { vectors, dimensions, storageType, nonZeros, textBytes, metadataBytes, idBytes } = shape;
  const numbers = storageType === "sparsevec" ? nonZeros : dimensions;
  const texts = (textBytes + metadataBytes) * DUMPED_TEXT;
  // A hash in hexadecimal does not compress below its own length.
  return Math.ceil(vectors * (numbers * DUMPED_NUMBER[storageType] + texts + 36 + idBytes * 0.6));
}

/** A search costs what it reads: mostly the vectors it compares. */
function searchShare(shape: SizeShape): number {
  if (shape.storageType === "sparsevec") return 0.2 + SEARCH_VALUE_SHARE * shape.nonZeros;
  return 0.2 + (0.8 * vectorBytes(shape)) / (8 + 1_536 * 4);
}

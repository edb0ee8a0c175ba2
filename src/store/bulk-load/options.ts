import type { DocumentInterface } from "@langchain/core/documents";
import type { SparseVector } from "../../db/sparse-vector.js";
import { ConfigurationError } from "../../errors.js";
import { integer } from "../options.js";

/** A document to be embedded on the way, or one with its vector, which must stay as it is until the load is done. */
export type BulkLoadItem =
  | DocumentInterface
  | { readonly document: DocumentInterface; readonly embedding: number[] | Float32Array | SparseVector }
  /** A row that the source could not read: it is rejected with this cause. */
  | Error;

/** Arrays, iterables, async iterables, and readable streams in object mode. */
export type BulkLoadSource = Iterable<BulkLoadItem> | AsyncIterable<BulkLoadItem>;

/** A row that was not stored. */
export interface RejectedRow {
  /** Position in the source, from 0. */
  readonly row: number;
  readonly id: string | undefined;
  readonly cause: Error;
}

export interface BulkLoadProgress {
  /** `embedding` comes in with `loading`; `indexing` and `vacuuming` follow it. */
  readonly phase: "loading" | "indexing" | "vacuuming";
  /** Stored by this call. */
  readonly rows: number;
  readonly rejected: number;
  /** Bytes of the stored rows as they were sent. */
  readonly bytes: number;
  /** Over the whole call. */
  readonly rowsPerSecond: number;
  /** Rows of the source, those of an earlier call included, when their number is known. */
  readonly total: number | undefined;
  /** Estimate of the time until the last row is stored, when `total` is known. */
  readonly remainingMs: number | undefined;
}

/** How documents without a vector are embedded. */
export interface BulkEmbedOptions {
  /** Texts of one request. @defaultValue 256 */
  batchSize?: number | undefined;
  /** Requests in flight. @defaultValue 4 */
  concurrency?: number | undefined;
  /** Further attempts after a failure that may pass, beside those that the embedder makes. @defaultValue 3 */
  retries?: number | undefined;
  /** Upper bound on the requests begun in any minute. @defaultValue none */
  requestsPerMinute?: number | undefined;
}

export interface BulkLoadOptions {
  /**
   * What a row that cannot be stored does: `"fail"` ends the load, `"skip"` goes on without it and reports it.
   * @defaultValue `"fail"`
   */
  onError?: "fail" | "skip" | undefined;
  /** Called for each rejected row. The result lists the first 1,000 of them and counts all. */
  onReject?: ((rejected: RejectedRow) => void) | undefined;
  /**
   * Name under which the database keeps how far the load has come. A call with the same name and the same source goes on
   * behind the last stored batch. Forgotten when the load has ended.
   */
  checkpoint?: string | undefined;
  /** Rows of the source, for the estimate of the time left. @defaultValue known for arrays only */
  total?: number | undefined;
  /** Most rows of one transaction. @defaultValue as many as 8 MB hold (4 MB by way of a temporary table), 100 to 10,000 */
  batchRows?: number | undefined;
  embed?: BulkEmbedOptions | undefined;
  /**
   * What becomes of vector indexes while rows are loaded: `"keep"` adds each row to them, `"rebuild"` drops them and
   * builds them again afterwards, `"auto"` chooses the latter for a load of at least 10,000 rows (`total`) that is larger
   * than the table, where the role may.
   * @defaultValue `"auto"`
   */
  indexes?: "keep" | "rebuild" | "auto" | undefined;
  /**
   * Whether the table is vacuumed and analyzed at the end, where the role may; for several loads it is enough after the last.
   * @defaultValue true
   */
  vacuum?: boolean | undefined;
  /** Called after each batch. */
  onProgress?: ((progress: BulkLoadProgress) => void) | undefined;
  /** Ends the load: the batch on its way is rolled back, those before it stay. */
  signal?: AbortSignal | undefined;
}

export interface BulkLoadResult {
  /** Rows stored by this call. An id that came twice counts twice; its last row is what is stored. */
  readonly rows: number;
  /** Rows of the source that an earlier call had dealt with. */
  readonly resumedFrom: number;
  readonly rejected: number;
  /** The first 1,000 of them. */
  readonly rejectedRows: readonly RejectedRow[];
  readonly bytes: number;
  readonly seconds: number;
  /** How rows were written: `COPY` into the table, `COPY` into a temporary table and an upsert, or binary arrays. */
  readonly path: "copy" | "staging" | "arrays";
  /** Names of the vector indexes that were dropped and built again. */
  readonly rebuiltIndexes: readonly string[];
}

/** Checked and complete. */
export interface BulkLoadPlan {
  readonly onError: "fail" | "skip";
  readonly checkpoint: string | undefined;
  readonly total: number | undefined;
  readonly batchRows: number | undefined;
  readonly embed: {
    readonly batchSize: number;
    readonly concurrency: number;
    readonly retries: number;
    readonly requestsPerMinute: number | undefined;
  };
  readonly indexes: "keep" | "rebuild" | "auto";
  readonly vacuum: boolean;
}

const MAX_CHECKPOINT_BYTES = 200;

/** @throws ConfigurationError naming the option, its value and what to write instead. No I/O. */
export function checkBulkLoad(source: BulkLoadSource, options: BulkLoadOptions): BulkLoadPlan {
  checkSource(source);
  const { embed = {} } = options;
  return {
    onError: oneOf("onError", options.onError, ["fail", "skip"]) ?? "fail",
    checkpoint: options.checkpoint === undefined ? undefined : checkCheckpoint(options.checkpoint),
    total:
      integer("total", options.total, 0, Number.MAX_SAFE_INTEGER) ??
      (Array.isArray(source) ? source.length : undefined),
    batchRows: integer("batchRows", options.batchRows, 1, 100_000),
    embed: {
      batchSize: integer("embed.batchSize", embed.batchSize, 1, 10_000) ?? 256,
      concurrency: integer("embed.concurrency", embed.concurrency, 1, 64) ?? 4,
      retries: integer("embed.retries", embed.retries, 0, 100) ?? 3,
      requestsPerMinute: integer("embed.requestsPerMinute", embed.requestsPerMinute, 1, 1_000_000),
    },
    indexes: oneOf("indexes", options.indexes, ["keep", "rebuild", "auto"]) ?? "auto",
    vacuum: options.vacuum ?? true,
  };
}

function checkSource(source: unknown): void {
  const iterable =
    typeof source === "object" && source !== null && (Symbol.iterator in source || Symbol.asyncIterator in source);
  if (iterable && !ArrayBuffer.isView(source)) return;
  throw new ConfigurationError(
    "bulkLoad takes an array, an iterable, an async iterable or a readable stream of documents, got " +
      `${source === null ? "null" : ArrayBuffer.isView(source) ? "binary data" : typeof source}.`,
  );
}

function checkCheckpoint(name: unknown): string {
  const storable = typeof name === "string" && name !== "" && !name.includes("\0") && name.isWellFormed();
  if (storable && Buffer.byteLength(name) <= MAX_CHECKPOINT_BYTES) return name;
  throw new ConfigurationError(
    `checkpoint must be a non-empty string of at most ${MAX_CHECKPOINT_BYTES} bytes, got ${JSON.stringify(name)}.`,
  );
}

function oneOf<const T extends string>(name: string, value: T | undefined, known: readonly T[]): T | undefined {
  if (value === undefined || known.includes(value)) return value;
  throw new ConfigurationError(
    `${name} ${JSON.stringify(value)} is unknown; use ${known.map((k) => `"${k}"`).join(" or ")}.`,
  );
}

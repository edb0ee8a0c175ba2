import type { SparseVector } from "../../db/sparse-vector.js";
import { ConfigurationError } from "../../errors.js";
import { integer } from "../../store/options.js";

/** A vector that is there already, to be taken over for the row of that id. */
export interface AdoptedVector {
  readonly id: string;
  readonly embedding: readonly number[] | Float32Array | SparseVector;
  /** @defaultValue the tenant of the store */
  readonly tenantId?: string | undefined;
  /** @defaultValue the store's collection */
  readonly collection?: string | undefined;
}

export interface BackfillOptions {
  /** @defaultValue the version that is being added; another live one has its missing vectors filled */
  version?: number | undefined;
  /** Texts of one request. @defaultValue 64 */
  batchTexts?: number | undefined;
  /** Requests in flight. @defaultValue 4 */
  concurrency?: number | undefined;
  /** Further attempts after a failure that may pass. @defaultValue 5 */
  retries?: number | undefined;
  /** @defaultValue none */
  requestsPerMinute?: number | undefined;
  /** About four characters are one. @defaultValue none */
  tokensPerMinute?: number | undefined;
  /** Ends the call, to be gone on with by another, once so many tokens were sent. @defaultValue none */
  tokenBudget?: number | undefined;
  /** How long one request may take. @defaultValue 120,000 */
  timeoutMs?: number | undefined;
  /** Most rows of one transaction, no two of them on a page. @defaultValue 200 */
  batchRows?: number | undefined;
  /** Pages of one lease. @defaultValue 1,024 */
  leasePages?: number | undefined;
  /** Bytes that a replica may be behind before the backfill waits for it. @defaultValue 64 MiB */
  maxLagBytes?: number | undefined;
  /**
   * How many times the time of searches before it their 95th percentile may grow to before the backfill slows down. Also
   * bounds the share of the time that it spends writing: 0.1 at the default, 0.4 at 2. `false` for full speed.
   * @defaultValue 1.25
   */
  maxSlowdown?: number | false | undefined;
  /** Whether rows that were set aside are tried again. @defaultValue false */
  retrySetAside?: boolean | undefined;
  /** Vectors to take over instead of embedding; rows without one stay missing. */
  vectors?: AsyncIterable<AdoptedVector> | Iterable<AdoptedVector> | undefined;
  /** Whether the index is built when no vector is missing. @defaultValue true */
  index?: boolean | undefined;
  /** Parallel workers of the index build beside its own process. @defaultValue 0, which leaves searches their cores */
  indexWorkers?: number | undefined;
  onProgress?: ((progress: BackfillProgress) => void) | undefined;
  /** Stops after the transaction that runs; another call, of any process, goes on. */
  signal?: AbortSignal | undefined;
}

export interface BackfillProgress {
  readonly phase: "filling" | "paused" | "indexing" | "done";
  /** Filled by this call. */
  readonly filled: number;
  /** That were missing when the call began. */
  readonly total: number;
  readonly setAside: number;
  readonly rowsPerSecond: number;
  /** Estimate, from the speed so far. */
  readonly remainingMs: number | undefined;
  /** Why it is paused: who holds an old snapshot, how far a replica is behind. */
  readonly reason: string | undefined;
}

export interface BackfillResult {
  readonly version: number;
  readonly filled: number;
  /** Rows that still wait for their vector, those set aside included. */
  readonly missing: number;
  /** Rows that could not be embedded, by now: the first hundred, and why. */
  readonly setAside: readonly SetAsideRow[];
  readonly setAsideCount: number;
  /** Share of the updates that stayed on their page and touched no index, 0 to 1; 1 where there were none. */
  readonly hotRatio: number;
  /** In the database. */
  readonly writeSeconds: number;
  readonly seconds: number;
  readonly pausedSeconds: number;
  readonly tokens: number;
  /** Whether the index is there and valid. */
  readonly indexed: boolean;
  readonly state: string;
}

export interface SetAsideRow {
  readonly tenant: string;
  readonly collection: string;
  readonly id: string;
  readonly reason: string;
}

/** Checked and complete. */
export interface BackfillPlan {
  readonly batchTexts: number;
  readonly concurrency: number;
  readonly retries: number;
  readonly requestsPerMinute: number | undefined;
  readonly tokensPerMinute: number | undefined;
  readonly tokenBudget: number | undefined;
  readonly timeoutMs: number;
  readonly batchRows: number;
  readonly leasePages: number;
  readonly maxLagBytes: number;
  readonly maxSlowdown: number | false;
}

/** @throws ConfigurationError naming the option and its value. No I/O. */
export function checkBackfill(options: BackfillOptions): BackfillPlan {
  const { maxSlowdown = 1.25 } = options;
  if (maxSlowdown !== false && !(maxSlowdown > 1)) {
    throw new ConfigurationError(`maxSlowdown must be false or above 1, got ${String(maxSlowdown)}.`);
  }
  const most = Number.MAX_SAFE_INTEGER;
  integer("indexWorkers", options.indexWorkers, 0, 64);
  return {
    batchTexts: integer("batchTexts", options.batchTexts, 1, 10_000) ?? 64,
    concurrency: integer("concurrency", options.concurrency, 1, 64) ?? 4,
    retries: integer("retries", options.retries, 0, 100) ?? 5,
    requestsPerMinute: integer("requestsPerMinute", options.requestsPerMinute, 1, 1_000_000),
    tokensPerMinute: integer("tokensPerMinute", options.tokensPerMinute, 1, most),
    tokenBudget: integer("tokenBudget", options.tokenBudget, 1, most),
    timeoutMs: integer("timeoutMs", options.timeoutMs, 1, 2_147_483_647) ?? 120_000,
    batchRows: integer("batchRows", options.batchRows, 1, 10_000) ?? 200,
    leasePages: integer("leasePages", options.leasePages, 1, 1_000_000) ?? 1_024,
    maxLagBytes: integer("maxLagBytes", options.maxLagBytes, 0, most) ?? 64 * 2 ** 20,
    maxSlowdown,
  };
}

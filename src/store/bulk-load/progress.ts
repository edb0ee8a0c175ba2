import type { BulkLoadProgress } from "./options.js";
import type { Rejects } from "./rejects.js";

export interface StoredBatch {
  readonly written: number;
  /** Rows that were to be written: one for each id. */
  readonly distinct: number;
  /** Rows that were taken from the source. */
  readonly taken: number;
  readonly bytes: number;
}

/** Counts what a load has stored, and says so after each batch. */
export class ProgressReport {
  rows = 0;
  bytes = 0;
  readonly #started = performance.now();

  constructor(
    private readonly total: number | undefined,
    private readonly resumedFrom: number,
    private readonly rejects: Rejects,
    private readonly onProgress: ((progress: BulkLoadProgress) => void) | undefined,
  ) {}

  get seconds(): number {
    return (performance.now() - this.#started) / 1_000;
  }

  /** To be called when a batch is stored. */
  stored({ written, distinct, taken, bytes }: StoredBatch): void {
    this.rows += taken - (distinct - written);
    this.bytes += bytes;
    this.say("loading");
  }

  say(phase: BulkLoadProgress["phase"]): void {
    const { rows, bytes, seconds } = this;
    const dealtWith = rows + this.rejects.count;
    const left = this.total === undefined ? undefined : Math.max(0, this.total - this.resumedFrom - dealtWith);
    this.onProgress?.({
      phase,
      rows,
      rejected: this.rejects.count,
      bytes,
      rowsPerSecond: rows / seconds,
      total: this.total,
      remainingMs: left === undefined || dealtWith === 0 ? undefined : (left * seconds * 1_000) / dealtWith,
    });
  }
}

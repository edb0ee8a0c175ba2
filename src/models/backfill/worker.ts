import type { Session } from "../../db/database.js";
import { pause } from "../../db/pause.js";
import type { ScopedStore } from "../../store/open.js";
import { isStale } from "../../store/versions/fence.js";
import type { LiveVersion } from "../../store/versions/store-models.js";
import type { BatchEmbedder } from "./embed-batch.js";
import { findWaiting, type Lease, type Leases } from "./leases.js";
import type { BackfillPlan } from "./options.js";
import type { Pacer } from "./pacer.js";
import { strideBatches, type WaitingRow } from "./stride.js";
import {
  deriveRows,
  fillRows,
  readContents,
  setAside,
  type FilledRow,
  type ReadRow,
  type Written,
} from "./write-batch.js";

/** Rows of a sweep that follows the leases. */
const SWEEP_ROWS = 5_000;

/** A batch on its way: embedded outside of any transaction, while others are written. */
type Prepared =
  | {
      readonly kind: "embedded";
      readonly rows: readonly FilledRow[];
      readonly faulty: readonly (ReadRow & { fault: Error })[];
    }
  | { readonly kind: "derived"; readonly rows: readonly WaitingRow[] };

/** Fills the vectors of tenants' rows, one batch at a time, with the embedding of further ones ahead of it. */
export class BackfillWorker {
  filled = 0;
  inPlace = 0;
  setAside = 0;
  writeMs = 0;
  #lastXid: string | undefined;

  constructor(
    private readonly version: LiveVersion,
    private readonly source: LiveVersion | undefined,
    private readonly plan: BackfillPlan,
    private readonly embedder: BatchEmbedder,
    private readonly leases: Leases,
    private readonly pacer: Pacer,
    private readonly onBatch: () => void,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Fills a tenant's leases until none is left that is nobody's. */
  async fillLeases(store: ScopedStore): Promise<void> {
    await this.leases.prepare(store, this.plan.leasePages);
    for (;;) {
      this.signal?.throwIfAborted();
      const lease = await this.leases.take(store);
      if (lease === undefined) return;
      let done = false;
      try {
        done = await this.#fill(store, await findWaiting(store, this.version, { lease }), lease);
      } finally {
        // Where the connection is gone the lease runs out by itself.
        await this.leases.release(store, lease, done).catch(() => undefined);
      }
      if (this.embedder.spent) return;
    }
  }

  /** Fills what is missing wherever it is: rows that moved, and that were written without their vector meanwhile. */
  async sweep(store: ScopedStore): Promise<void> {
    while (!this.embedder.spent) {
      this.signal?.throwIfAborted();
      const rows = await findWaiting(store, this.version, { limit: SWEEP_ROWS });
      const before = this.filled + this.setAside;
      await this.#fill(store, rows, undefined);
      // What cannot be filled, such as a vector made from one that is missing itself, is left and counted.
      if (rows.length < SWEEP_ROWS || this.filled + this.setAside === before) return;
    }
  }

  /** @returns whether all of them were dealt with. */
  async #fill(store: ScopedStore, rows: readonly WaitingRow[], lease: Lease | undefined): Promise<boolean> {
    const batches = strideBatches(rows, this.plan.batchRows);
    const ahead: Promise<Prepared>[] = [];
    const inFlight = Math.max(1, Math.ceil((this.plan.concurrency * this.plan.batchTexts) / this.plan.batchRows));
    let next = 0;
    try {
      for (;;) {
        while (ahead.length < inFlight && next < batches.length && !this.embedder.spent) {
          const prepared = this.#prepare(store, batches[next]!);
          // Looked at in its turn; until then a failure is nobody's.
          prepared.catch(() => undefined);
          ahead.push(prepared);
          next += 1;
        }
        const prepared = await ahead.shift();
        if (prepared === undefined) return next === batches.length;
        if (!(await this.#write(store, prepared, lease))) return false;
        this.onBatch();
      }
    } finally {
      await Promise.allSettled(ahead);
    }
  }

  async #prepare(store: ScopedStore, rows: readonly WaitingRow[]): Promise<Prepared> {
    if (this.source !== undefined) return { kind: "derived", rows };
    const read = await readContents(store, rows);
    const parts: ReadRow[][] = [];
    for (let start = 0; start < read.length; start += this.plan.batchTexts) {
      parts.push(read.slice(start, start + this.plan.batchTexts));
    }
    const embedded = await Promise.all(parts.map((part) => this.embedder.embed(part.map(({ content }) => content))));
    const outcomes = embedded.flat();
    const filled: FilledRow[] = [];
    const faulty: (ReadRow & { fault: Error })[] = [];
    read.forEach((row, index) => {
      const outcome = outcomes[index]!;
      if ("vector" in outcome) filled.push({ ...row, vector: outcome.vector });
      else faulty.push({ ...row, fault: outcome.fault });
    });
    return { kind: "embedded", rows: filled, faulty };
  }

  /** @returns false when the lease has run out and the pages are another worker's. */
  async #write(store: ScopedStore, prepared: Prepared, lease: Lease | undefined): Promise<boolean> {
    await this.pacer.next(this.#lastXid);
    if (prepared.kind === "embedded" && prepared.faulty.length > 0) {
      await setAside(store, this.version, prepared.faulty);
      this.setAside += prepared.faulty.length;
    }
    if (prepared.rows.length === 0) return true;
    const began = performance.now();
    const { written, ours } = await this.pacer.during(() => this.#transact(store, prepared, lease));
    this.writeMs += performance.now() - began;
    this.filled += written.filled;
    this.inPlace += written.inPlace;
    this.#lastXid = written.xid;
    return ours;
  }

  async #transact(
    store: ScopedStore,
    prepared: Prepared,
    lease: Lease | undefined,
  ): Promise<{ written: Written; ours: boolean }> {
    const work = async (session: Session): Promise<{ written: Written; ours: boolean }> => {
      const written =
        prepared.kind === "embedded"
          ? await fillRows(session, store, this.version, prepared.rows)
          : await deriveRows(session, store, this.version, this.source!, prepared.rows);
      const ours =
        lease === undefined || (await this.leases.renew(session, store, lease, written.filled, written.inPlace));
      return { written, ours };
    };
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await store.database.transaction(store.settings, work);
      } catch (error) {
        if (isStale(error) || attempt === 3 || !(error instanceof Error) || !isRetryable(error)) throw error;
        await pause(200 * 2 ** attempt, this.signal);
      }
    }
  }
}

function isRetryable(error: Error): boolean {
  return "retryable" in error && error.retryable === true;
}

import sql from "sql-template-tag";
import { pause } from "../../db/pause.js";
import type { Session } from "../../db/database.js";
import type { Settings } from "../../db/settings.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { DatabaseError } from "../../errors.js";
import { refreshModels, scopeTo, type ScopedStore } from "../open.js";
import { explainRefusal } from "../tenants/refusal.js";
import { isStale } from "../versions/fence.js";
import type { LiveVersion } from "../versions/store-models.js";
import type { Batch, BatchRow } from "./batch.js";
import type { Rejects } from "./rejects.js";
import { stagingWriter, type RowWriter } from "./write-rows.js";

const MAX_ATTEMPTS = 4;
/** Classes of errors that a value can cause: data, constraints, what a trigger raises, program limits. */
const DATA_ERRORS: ReadonlySet<string> = new Set(["22", "23", "P0", "54"]);

/** What the transaction of a batch does besides, such as recording how far the load has come. */
export type RecordBatch = (session: Session, batch: Batch) => Promise<void>;

/** One batch's place among the others. */
interface Turn {
  /** Settles when the batch is stored, or will never be. */
  readonly stored: Promise<void>;
  /** Resolves when the batch needs another attempt, and therefore a connection. */
  readonly stumbled: Promise<void>;
}

interface Task {
  readonly batch: Batch;
  readonly before: Turn;
  readonly stumble: () => void;
}

/** A staged batch lets go of its connection: it may be the one that the batch before it waits for. */
const GIVE_WAY = new Error("The batch before needs another attempt.");

/**
 * Writes batches, each in one transaction: staged beside each other where the path allows it, stored one after the other
 * in the order of the source, so that the last row of an id wins and what is stored is always a beginning of the source.
 */
export class BatchWriter {
  readonly #settings: Settings;
  #previous: Turn = { stored: Promise.resolve(), stumbled: new Promise(() => undefined) };

  constructor(
    private store: ScopedStore,
    /** Those that the batches have a slab for, in its order. */
    private readonly versions: readonly LiveVersion[],
    private writer: RowWriter,
    private readonly rejects: Rejects,
    private readonly record: RecordBatch,
    private readonly signal: AbortSignal | undefined,
  ) {
    // Nothing is reported as done before `flush`, until which a crash of the server may cost batches from the end of what
    // was stored, together with the record that they were.
    this.#settings = { ...store.settings, synchronous_commit: "off" };
  }

  get path(): RowWriter["path"] {
    return this.writer.path;
  }

  /** @returns how many rows were stored, once they are. */
  write(batch: Batch): Promise<number> {
    const before = this.#previous;
    const { promise: stumbled, resolve: stumble } = withResolvers();
    const count = this.#attempt({ batch, before, stumble }, batch.sorted());
    const stored = count.then(() => undefined);
    stored.catch(() => undefined);
    this.#previous = { stored, stumbled };
    return count;
  }

  /** Waits until everything that was stored is on disk: a commit is behind all that were made before it. */
  async flush(): Promise<void> {
    const flush = { name: "bulk-flush", sql: sql`select pg_current_xact_id()` };
    await this.store.database.transaction({}, (session) => session.execute(flush));
  }

  /** @param whole that the rows are all of the batch, so that its end can be recorded with them. */
  async #attempt(task: Task, rows: readonly BatchRow[], whole = true): Promise<number> {
    for (let attempt = 1; ;) {
      // The batch before may find out that rows are there already, which then goes for all that follow.
      if (this.writer.stage === undefined) await task.before.stored;
      const { writer } = this;
      try {
        await this.#transact(writer, task, rows, whole);
        this.store.memory.noteRows(this.store.tenant, rows.length);
        this.store.keeper.noteRows(this.store, rows.length);
        this.store.database.activity.countChunks("written", rows.length);
        return rows.length;
      } catch (error) {
        task.stumble();
        this.signal?.throwIfAborted();
        await task.before.stored;
        if (error === GIVE_WAY) continue;
        if (writer.path === "copy" && sqlstateOf(error) === SQLSTATE.uniqueViolation) {
          this.writer = stagingWriter(this.store, this.versions);
        } else if (isStale(error)) {
          await this.#refresh();
        } else if (this.rejects.skips && isDataError(error)) {
          const stored = await this.#divide(task, rows, error);
          if (whole) await this.#transaction((session) => this.record(session, task.batch));
          return stored;
        } else if (!(error instanceof DatabaseError) || !error.retryable || attempt === MAX_ATTEMPTS) {
          throw await explainRefusal(this.store, error);
        } else {
          await pause(250 * 2 ** attempt * (0.5 + Math.random()), this.signal);
          attempt += 1;
        }
      }
    }
  }

  /** Goes on with the versions that are still there; those that have come since are for their backfill. */
  async #refresh(): Promise<void> {
    const store = scopeTo(await refreshModels(this.store), this.store.tenant);
    this.store = { ...store, settings: this.store.settings };
    this.writer = this.writer.renew(this.store);
  }

  async #transact(writer: RowWriter, task: Task, rows: readonly BatchRow[], whole: boolean): Promise<void> {
    const { batch, before, stumble } = task;
    await this.#transaction(async (session) => {
      try {
        await writer.stage?.(session, batch, rows);
        const givenUp = before.stumbled.then(() => Promise.reject(GIVE_WAY));
        givenUp.catch(() => undefined);
        await Promise.race([before.stored, givenUp]);
        await writer.store(session, batch, rows);
        if (whole) await this.record(session, batch);
      } catch (error) {
        // The transaction may be run again right away.
        stumble();
        throw error;
      }
    });
  }

  #transaction(work: (session: Session) => Promise<void>): Promise<void> {
    return this.store.database.transaction(this.#settings, work, this.signal);
  }

  /** Halves until the row that the database refuses stands alone. */
  async #divide(task: Task, rows: readonly BatchRow[], error: Error): Promise<number> {
    if (rows.length === 1) {
      this.rejects.reject(rows[0]!.row, rows[0]!.id, error);
      return 0;
    }
    const middle = rows.length >>> 1;
    const first = await this.#attempt(task, rows.slice(0, middle), false);
    return first + (await this.#attempt(task, rows.slice(middle), false));
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

function isDataError(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && !error.retryable && DATA_ERRORS.has(error.sqlstate?.slice(0, 2) ?? "");
}

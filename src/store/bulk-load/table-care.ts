import sql from "sql-template-tag";
import { pause } from "../../db/pause.js";
import { quoteQualified } from "../../db/identifiers.js";
import type { ScopedStore } from "../open.js";
import { storedBytes } from "../storage.js";
import { findVacuumable, vacuumRelations } from "../vacuum.js";
import {
  dropVectorIndexes,
  isAbandoned,
  keepAlive,
  mayMaintain,
  pauseAutovacuum,
  readRecords,
  restore,
  type MaintenanceRecord,
} from "./maintenance.js";
import type { BulkLoadPlan } from "./options.js";

/** By then a load that is alive has been heard of, and is left to restore what is its own. */
const LONGEST_WAIT_SECONDS = 16;
/** From here on autovacuum would begin to work on the table while it is loaded. */
const LARGE_ROWS = 100_000;
/** Below it dropping and building indexes is not worth the searches without them. */
const REBUILD_ROWS = 10_000;

/** What a load does about its table beside storing rows: indexes, autovacuum, statistics. */
export class TableCare {
  readonly rebuilt: string[] = [];
  /** Names in the records of this load. */
  readonly #own: string[] = [];
  #paused: Promise<void> | undefined;
  #stopBeating: (() => void) | undefined;

  /** Whether the role may change the table; otherwise it stays as it is. */
  #allowed = false;

  constructor(private readonly store: ScopedStore) {}

  /** Drops vector indexes when the load is to do without. What was dropped is restored whether or not this succeeds. */
  async begin(plan: BulkLoadPlan, resumedFrom: number): Promise<void> {
    const { store } = this;
    this.#allowed = await mayMaintain(store);
    if (!(await this.#shouldRebuild(plan, resumedFrom))) return;
    await dropVectorIndexes(store, (name) => {
      this.#own.push(name);
      this.#beat();
    });
    if (this.#own.length === 0) return;
    store.options.logger.info(
      `langchain-pgvector: dropped ${this.#own.join(", ")} for the time of the load; searches are exact until it is built again.`,
    );
  }

  /** To be called with the rows stored so far. */
  noteRows(rows: number): void {
    if (!this.#allowed || rows < LARGE_ROWS || this.#paused !== undefined) return;
    this.#paused = this.#pauseAutovacuum();
  }

  /** Vacuums or at least analyzes, so that the planner knows the rows and index-only scans work. */
  async vacuum(signal: AbortSignal | undefined): Promise<void> {
    const { store } = this;
    const { table } = store.options.layout;
    const relations = await store.database.connection((session) => findVacuumable(session, store.schema, table));
    const skipped = await vacuumRelations(store, relations, signal);
    if (skipped.length === 0) return;
    if (relations.every(({ vacuumable }) => vacuumable)) {
      await store.database.execute({ name: "analyze", sql: sql`analyze ${store.table}` }, { signal });
    } else {
      store.options.logger.info(
        `langchain-pgvector: ${JSON.stringify(table)} was not vacuumed, which this role may not; autovacuum will do it.`,
      );
    }
  }

  /**
   * Undoes what this load has changed, and what loads that died have left behind.
   *
   * @param indexes whether indexes are built, which takes long.
   */
  async restore(indexes: boolean, signal: AbortSignal | undefined): Promise<void> {
    await this.#paused;
    this.#stopBeating?.();
    if (!this.#allowed) return;
    for (const record of await this.#due(indexes, signal)) {
      if (record.kind === "index" && !indexes) {
        this.store.options.logger.warn(
          `langchain-pgvector: the index ${JSON.stringify(record.name)} is still to be built again; the next bulkLoad or ` +
            "`langchain-pgvector doctor --fix` will.",
        );
      } else if ((await restore(this.store, record, signal)) && record.kind === "index") {
        this.rebuilt.push(record.name);
      }
    }
  }

  /** What this load has to restore: its own, and with `wait` that of a load which may have died just now. */
  async #due(wait: boolean, signal: AbortSignal | undefined): Promise<MaintenanceRecord[]> {
    for (let seconds = 0; ; seconds += 1) {
      const records = await readRecords(this.store);
      const due = records.filter((record) => isAbandoned(record) || this.#own.includes(record.name));
      if (!wait || due.length === records.length || seconds >= LONGEST_WAIT_SECONDS) return due;
      await pause(1_000, signal);
    }
  }

  async #pauseAutovacuum(): Promise<void> {
    const { store } = this;
    try {
      if (!(await pauseAutovacuum(store))) return;
      this.#own.push(store.options.layout.table);
      this.#beat();
    } catch (error) {
      // The load does without: it is slower beside an autovacuum, and no less right.
      store.options.logger.warn(`langchain-pgvector: autovacuum stays on: ${String(error)}`);
    }
  }

  #beat(): void {
    this.#stopBeating ??= keepAlive(this.store, this.#own);
  }

  async #shouldRebuild({ indexes, total }: BulkLoadPlan, resumedFrom: number): Promise<boolean> {
    if (!this.#allowed || indexes === "keep") return false;
    if (indexes === "rebuild") return true;
    const coming = (total ?? 0) - resumedFrom;
    return coming >= REBUILD_ROWS && coming >= (await this.#rowsAtMost());
  }

  /** An upper bound from the size of the table, which is there before any statistics. */
  async #rowsAtMost(): Promise<number> {
    const { model, options, schema, database } = this.store;
    const { rows } = await database.execute({
      name: "table-size",
      sql: sql`select pg_table_size(to_regclass(${quoteQualified(schema, options.layout.table)}::text))::float8 as bytes`,
    });
    return (rows[0]!["bytes"] as number) / storedBytes(model);
  }
}

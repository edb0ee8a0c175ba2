import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import { pause } from "../../db/pause.js";
import type { ScopedStore } from "../../store/open.js";
import { readingVersion } from "../../store/open.js";
import { embeddingAsText, readEmbedding } from "../../store/embedding-column.js";
import { denseSearch } from "../../store/search.js";
import { activeVersion } from "../model-registry.js";
import { tenantRows } from "../tenant-scopes.js";
import type { BackfillPlan } from "./options.js";

/** Searches that the present speed is judged by. */
const WINDOW = 20;
const PROBE_EVERY_MS = 250;
const LAG_EVERY_MS = 1_000;
const LONGEST_DELAY_MS = 2_000;

/** What keeps the vectors of old versions of rows from being cleaned away. */
export interface HeldSnapshot {
  readonly pid: number | undefined;
  readonly description: string;
}

/**
 * Finds a snapshot older than a transaction, of whoever holds it: while there is one, updates find no room on their page.
 * Other roles' snapshots are seen by superusers and members of pg_read_all_stats only.
 */
export async function findHeldSnapshot(session: Session, xid: string): Promise<HeldSnapshot | undefined> {
  const { rows } = await session.execute({
    name: "held-snapshot",
    sql: sql`
      select pid, description from (
        select pid, backend_xmin as xmin, format('%s (pid %s, %s)', coalesce(nullif(application_name, ''), backend_type), pid,
          coalesce(state, 'running')) as description
        from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()
          and (datname = current_database() or backend_type = 'walsender')
        union all select null, transaction, 'prepared transaction ' || gid from pg_prepared_xacts where database = current_database()
        union all select null, xmin, 'replication slot ' || slot_name from pg_replication_slots where xmin is not null
      ) held
      where age(xmin) >= age((${xid}::text::int8 & 4294967295)::text::xid)
      order by age(xmin) desc limit 1`,
  });
  const row = rows[0] as { pid: number | null; description: string } | undefined;
  return row && { pid: row.pid ?? undefined, description: row.description };
}

/** Keeps a backfill from being felt: waits for replicas, for old snapshots to end, and for searches to stay fast. */
export class Pacer {
  /** Time spent waiting, in milliseconds. */
  waitedMs = 0;
  #before: number | undefined;
  #recent: number[] = [];
  #question: VectorInput | undefined;
  #delayMs = 0;
  #probedAt = 0;
  #lagSeenAt = 0;

  constructor(
    private readonly store: ScopedStore,
    private readonly plan: BackfillPlan,
    private readonly onWait: (reason: string) => void,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Measures searches before anything is written. */
  async begin(): Promise<void> {
    if (this.plan.maxSlowdown === false) return;
    const store = this.#searching();
    const { rows } = await store.database.execute(
      {
        name: "pace-question",
        sql: sql`select ${embeddingAsText(store)} as embedding from ${store.table} where ${tenantRows(store)} and ${store.columns.embedding} is not null limit 1`,
      },
      { settings: store.settings },
    );
    if (rows[0] === undefined) return;
    this.#question = readEmbedding(rows[0]["embedding"] as string, store.model);
    // The first ones find out about indexes and sizes.
    for (let i = 0; i < 5; i += 1) await this.#search();
    const times: number[] = [];
    for (let i = 0; i < WINDOW; i += 1) times.push(await this.#search());
    this.#before = percentile95(times);
  }

  /** To be called between two transactions. */
  async next(session: Session, lastXid: string | undefined): Promise<void> {
    const began = performance.now();
    if (lastXid !== undefined) await this.#snapshots(session, lastXid);
    await this.#replicas(session);
    await this.#searches();
    if (this.#delayMs > 0) await pause(this.#delayMs, this.signal);
    this.waitedMs += performance.now() - began;
  }

  async #snapshots(session: Session, xid: string): Promise<void> {
    for (let wait = 2; ; wait = Math.min(250, wait * 2)) {
      const held = await findHeldSnapshot(session, xid);
      if (held === undefined) return;
      if (wait >= 250) this.onWait(`an old snapshot is held by ${held.description}`);
      await pause(wait, this.signal);
    }
  }

  async #replicas(session: Session): Promise<void> {
    if (performance.now() - this.#lagSeenAt < LAG_EVERY_MS) return;
    for (;;) {
      const { rows } = await session.execute({
        name: "replica-lag",
        sql: sql`
          select case when pg_is_in_recovery() then 0 else coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0) end::float8 as lag
          from pg_stat_replication where replay_lsn is not null`,
      });
      const lag = rows[0]!["lag"] as number;
      this.#lagSeenAt = performance.now();
      if (lag <= this.plan.maxLagBytes) return;
      this.onWait(`a replica is ${Math.round(lag / 2 ** 20)} MiB behind`);
      await pause(250, this.signal);
    }
  }

  /** Slower by half again while searches take too long, faster by a tenth while they do not. */
  async #searches(): Promise<void> {
    const limit = this.plan.maxSlowdown;
    if (limit === false || this.#before === undefined || performance.now() - this.#probedAt < PROBE_EVERY_MS) return;
    this.#recent = [...this.#recent, await this.#search()].slice(-WINDOW);
    this.#probedAt = performance.now();
    if (this.#recent.length < 5) return;
    // Below a millisecond a busy processor decides, not the backfill.
    const slow = percentile95(this.#recent) > Math.max(limit * this.#before, this.#before + 1);
    this.#delayMs = slow
      ? Math.min(LONGEST_DELAY_MS, Math.max(10, this.#delayMs * 1.5))
      : this.#delayMs < 1
        ? 0
        : this.#delayMs * 0.8;
  }

  async #search(): Promise<number> {
    const began = performance.now();
    await denseSearch(this.#searching(), {
      vector: this.#question!,
      k: 10,
      filter: undefined,
      includeEmbeddings: false,
      efSearch: undefined,
      probes: undefined,
      timeoutMs: undefined,
      signal: this.signal,
    });
    return performance.now() - began;
  }

  #searching(): ScopedStore {
    return readingVersion(this.store, activeVersion(this.store));
  }
}

function percentile95(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))]!;
}

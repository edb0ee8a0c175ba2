import sql from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { pause } from "../../db/pause.js";
import type { ScopedStore } from "../../store/open.js";
import type { BackfillPlan } from "./options.js";
import { SearchLoad } from "./search-load.js";

const LAG_EVERY_MS = 1_000;

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
  readonly #searches: SearchLoad | undefined;
  #lagSeenAt = 0;

  constructor(
    private readonly store: ScopedStore,
    private readonly plan: BackfillPlan,
    private readonly onWait: (reason: string) => void,
    private readonly signal: AbortSignal | undefined,
  ) {
    // The embedded database serves nobody beside the backfill.
    const paced = plan.maxSlowdown !== false && !store.database.embedded;
    this.#searches = paced ? new SearchLoad(store, plan.maxSlowdown) : undefined;
  }

  /** Measures searches before anything is written. To be followed by {@link end}. */
  async begin(): Promise<void> {
    await this.#searches?.begin(this.signal);
  }

  async end(): Promise<void> {
    await this.#searches?.end();
  }

  /** Runs a transaction that writes. */
  async during<T>(write: () => Promise<T>): Promise<T> {
    return this.#searches === undefined ? write() : this.#searches.during(write);
  }

  /** To be called between two transactions. */
  async next(lastXid: string | undefined): Promise<void> {
    const began = performance.now();
    await pause(this.#searches?.restMs ?? 0, this.signal);
    await this.store.database.connection(async (session) => {
      if (lastXid !== undefined) await this.#snapshots(session, lastXid);
      await this.#replicas(session);
    }, this.signal);
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
}

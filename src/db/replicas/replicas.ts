import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "../pool.js";
import { ask, parsePosition, Replica, type LogPosition } from "./replica.js";

/** How searches are spread over standbys. */
export interface ReplicaOptions {
  /** A replica that is further behind takes no searches. */
  readonly maxLagMs: number;
  /** How long a search that has to see earlier writes waits for a replica before it goes to the primary. */
  readonly catchUpMs: number;
  /** Called when a replica stops taking searches, and when it takes them again. */
  readonly onChange: (message: string) => void;
  /** Pools that end with {@link Replicas.end}. */
  readonly owned: readonly Pool[];
}

/** What {@link Replicas.status} says of one replica. */
export interface ReplicaStatus {
  readonly name: string;
  readonly healthy: boolean;
  /** Milliseconds behind the primary; `undefined` while that is not known. */
  readonly lagMs: number | undefined;
  readonly fault: string | undefined;
}

const CHECK_EVERY_MS = 500;
const POLL_MS = 4;
/** Positions of the primary that are remembered, to tell how old a replica's data are. */
const MAX_SAMPLES = 512;

/**
 * Standbys of one primary: which of them may answer now. Their state is asked for when searches come, twice a second at
 * most, and never behind a timer of its own, so nothing keeps a process alive.
 */
export class Replicas {
  readonly #replicas: readonly Replica[];
  readonly #samples: { readonly at: number; readonly position: LogPosition }[] = [];
  #checked = Number.NEGATIVE_INFINITY;
  #checking: Promise<void> | undefined;
  #turn = 0;
  /** Whether something was written since {@link #written} was asked for. */
  #dirty = false;
  #written: LogPosition = 0n;

  constructor(
    private readonly primary: Pool,
    pools: readonly Pool[],
    private readonly options: ReplicaOptions,
  ) {
    this.#replicas = pools.map((pool, index) => new Replica(`replica ${index + 1}`, pool));
  }

  get pools(): readonly { readonly name: string; readonly pool: Pool }[] {
    return this.#replicas;
  }

  /** To be called before and after whatever may write. */
  wrote(): void {
    this.#dirty = true;
  }

  /**
   * A replica that may take a search, each in its turn; `undefined` sends it to the primary.
   *
   * @param readYourWrites only one that has what was written through this object before.
   * @param except those that have failed for this very search.
   */
  async choose(readYourWrites: boolean, except: ReadonlySet<Replica>): Promise<Replica | undefined> {
    if (performance.now() - this.#checked >= CHECK_EVERY_MS) {
      const checking = this.#refresh();
      if (this.#checked === Number.NEGATIVE_INFINITY) await checking;
    }
    const usable = this.#replicas.filter((replica) => !except.has(replica) && this.#isUsable(replica));
    if (usable.length === 0) return undefined;
    this.#turn += 1;
    const next = usable[this.#turn % usable.length]!;
    return readYourWrites ? this.#caughtUp([next, ...usable.filter((other) => other !== next)]) : next;
  }

  /** A search has failed on it for a reason of its own. */
  failed(replica: Replica, error: unknown): void {
    const before = replica.fault;
    replica.fail(error);
    if (before === undefined) this.options.onChange(`${replica.name} takes no searches: ${replica.fault ?? ""}`);
  }

  /** What is known now, without asking anyone. */
  status(): ReplicaStatus[] {
    return this.#replicas.map((replica) => ({
      name: replica.name,
      healthy: this.#isUsable(replica),
      lagMs: this.#lagOf(replica),
      fault: replica.fault ?? (this.#isUsable(replica) ? undefined : "it is too far behind"),
    }));
  }

  async end(): Promise<void> {
    await Promise.all(this.options.owned.map((pool) => pool.end()));
  }

  #isUsable(replica: Replica): boolean {
    return replica.fault === undefined && (this.#lagOf(replica) ?? 0) <= this.options.maxLagMs;
  }

  /** Milliseconds since the primary was last seen at a place that the replica has reached. */
  #lagOf({ replayed }: Replica): number | undefined {
    if (replayed === undefined || this.#samples.length === 0) return undefined;
    const ahead = this.#samples.find(({ position }) => position > replayed);
    // The first place that it lacks was written at the earliest after the sample before.
    return ahead === undefined ? 0 : performance.now() - ahead.at;
  }

  #refresh(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
      this.#checked = performance.now();
    });
    return this.#checking;
  }

  async #check(): Promise<void> {
    const faults = this.#replicas.map(({ fault }) => fault);
    // The primary first: a replica asked later cannot seem to be ahead of it.
    const at = performance.now();
    const position = await currentPosition(this.primary).catch(() => undefined);
    if (position !== undefined) this.#remember(at, position.flushed);
    await Promise.all(this.#replicas.map((replica) => replica.check()));
    this.#replicas.forEach((replica, index) => {
      if (replica.fault === faults[index]) return;
      if (replica.fault === undefined) this.options.onChange(`${replica.name} takes searches`);
      else if (faults[index] === undefined)
        this.options.onChange(`${replica.name} takes no searches: ${replica.fault}`);
    });
  }

  #remember(at: number, position: LogPosition): void {
    const last = this.#samples.at(-1);
    // While nothing is written, the first time at a place is what counts.
    if (last?.position === position) return;
    this.#samples.push({ at, position });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }

  /** One of these that has replayed what was written; waits for the first of them. */
  async #caughtUp(replicas: readonly Replica[]): Promise<Replica | undefined> {
    const written = await this.#positionWritten();
    if (written === undefined) return undefined;
    const there = replicas.find(({ replayed }) => replayed !== undefined && replayed >= written);
    if (there !== undefined) return there;
    const [replica] = replicas as [Replica];
    const deadline = performance.now() + this.options.catchUpMs;
    do {
      await replica.check();
      if (replica.fault !== undefined || replica.replayed === undefined) return undefined;
      if (replica.replayed >= written) return replica;
      await sleep(POLL_MS);
    } while (performance.now() < deadline);
    return undefined;
  }

  /** Where the log was after the last write through this object; `undefined` when the primary does not say. */
  async #positionWritten(): Promise<LogPosition | undefined> {
    if (!this.#dirty) return this.#written;
    this.#dirty = false;
    try {
      this.#written = (await currentPosition(this.primary)).inserted;
      return this.#written;
    } catch {
      this.#dirty = true;
      return undefined;
    }
  }
}

/**
 * Ends of the log: of all that is written, commits that are not on disk yet among it, and of what is on disk. Only the
 * second is always a place that a replica can reach while nothing more is written.
 */
async function currentPosition(primary: Pool): Promise<{ inserted: LogPosition; flushed: LogPosition }> {
  const row = await ask(
    primary,
    "select /* langchain-pgvector:log-position */ pg_current_wal_insert_lsn()::text as inserted, pg_current_wal_flush_lsn()::text as flushed",
  );
  return { inserted: parsePosition(row["inserted"] as string), flushed: parsePosition(row["flushed"] as string) };
}

import type pg from "pg";
import { cancelBackend, orAbort } from "./abort.js";
import { copyIn, type CopySource } from "./copy-in.js";
import { canRunScoped, CLEAN_SESSION, runScoped } from "./scoped-query.js";
import { pause } from "./pause.js";
import { PreparedStatements } from "./prepared.js";
import { isReplicaFault, isReplicaLate, type Replica } from "./replicas/replica.js";
import type { Replicas } from "./replicas/replicas.js";
import { applySettings, type Settings } from "./settings.js";
import { toRequest, type Statement } from "./statement.js";
import { Activity } from "../telemetry/activity.js";
import { callNotes } from "../telemetry/call.js";
import { isEmbedded, type Pool, type PoolClient, type QueryReply, type QueryRequest } from "./pool.js";
import { isRowsMoving, losesConnection, SQLSTATE, sqlstateOf, toDatabaseError } from "./sqlstate.js";

export interface ExecuteOptions {
  /** Settings for this statement alone. */
  readonly settings?: Settings;
  /** Cancels the statement on the server. */
  readonly signal?: AbortSignal | undefined;
  /** Upper bound on the server's time for this statement, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** With `settings`: whether what the statement leaves in its session (temporary tables, cursors) goes with it. */
  readonly cleanSession?: boolean;
  /** With `settings`: whether the statement's transaction ends with a rollback, whatever it did. */
  readonly rollBack?: boolean;
  /**
   * With `settings`: has the server keep the parsed statement, which must only read; for texts that come again. `"generic"`
   * keeps the plan as well: for statements whose lookups are by index whatever the values and the sizes.
   */
  readonly prepare?: boolean | "generic";
  /** For a statement that only reads: which replicas may answer it. Without, the primary does. */
  readonly replica?: ReadRoute | undefined;
}

/** Any replica that is healthy, or one that has everything that was written through this object. */
export type ReadRoute = "any" | "caught-up";

/** Where statements go: one connection, inside or outside a transaction. */
export interface Session {
  execute(statement: Statement): Promise<QueryReply>;
  /** Runs a `copy ... from stdin`; not there when the driver cannot. */
  readonly copyIn?: (statement: Statement, source: CopySource) => Promise<void>;
}

/** A plan for these very values: a generic one knows no tenant's size. */
const OWN_PLAN: Settings = { plan_cache_mode: "force_custom_plan" };
/** Made while a table was small, it must do when the table has grown. */
const KEPT_PLAN: Settings = { plan_cache_mode: "force_generic_plan", enable_seqscan: "off" };
const NONE: Settings = Object.freeze({});
const MAX_ATTEMPTS = 5;
/** Of a statement that only reads, on connections that are lost. */
const MAX_READS = 3;
/** Several times as long as a tenant's writes may be held up while its rows change partitions. */
const MOVE_PATIENCE_MS = 30_000;

/** All of the library's I/O: statements, transactions and exclusive connections over any pool. */
export class Database {
  readonly #prepared = new PreparedStatements();
  #primary: Database | undefined;

  /**
   * @param replicas standbys that take statements which say so.
   * @param activity where is counted what is done.
   */
  constructor(
    readonly pool: Pool,
    readonly replicas?: Replicas,
    readonly activity = new Activity(),
  ) {}

  /** The same without replicas. */
  get primary(): Database {
    if (this.replicas === undefined) return this;
    this.#primary ??= new Database(this.pool, undefined, this.activity);
    return this.#primary;
  }

  get embedded(): boolean {
    return isEmbedded(this.pool);
  }

  /** Runs one statement in a transaction of its own, in one round trip where the driver allows it. */
  execute(statement: Statement, options: ExecuteOptions = {}): Promise<QueryReply> {
    return this.run(toRequest(statement), statement.name, options);
  }

  /** As {@link execute}, for a statement that is text already. */
  async run(request: QueryRequest, name: string, options: ExecuteOptions = {}): Promise<QueryReply> {
    const { replica, signal } = options;
    signal?.throwIfAborted();
    const run = (pool: Pool): Promise<QueryReply> =>
      this.#withClient((client) => this.#run(client, request, name, options), signal, pool);
    if (replica === undefined) return this.#writing(() => run(this.pool));
    if (this.replicas !== undefined) return this.#runOnReplica(this.replicas, options, run);
    return this.#reading(() => run(this.pool), signal);
  }

  async #run(client: PoolClient, request: QueryRequest, name: string, options: ExecuteOptions): Promise<QueryReply> {
    const { settings = NONE, timeoutMs, signal, prepare = false } = options;
    const limit: Settings = timeoutMs === undefined ? NONE : { statement_timeout: String(timeoutMs) };
    signal?.throwIfAborted();
    const stopWatching = this.#cancelOnAbort(client, signal);
    try {
      if (prepare !== false && canRunScoped(client)) {
        return await this.#runPrepared(client, planning(settings, limit, prepare === "generic"), request, name);
      }
      const after = options.rollBack ? [{ text: "rollback" }] : options.cleanSession ? CLEAN_SESSION : [];
      return await runWithSettings(client, { ...settings, ...limit }, request, name, after);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      await stopWatching?.();
    }
  }

  /** On one replica after the other while they fail for reasons of their own, and on the primary in the end. */
  async #runOnReplica(
    replicas: Replicas,
    options: Pick<ExecuteOptions, "replica" | "signal">,
    run: (pool: Pool) => Promise<QueryReply>,
  ): Promise<QueryReply> {
    const failed = new Set<Replica>();
    for (;;) {
      const replica = await replicas.choose(options.replica === "caught-up", failed);
      if (replica === undefined) return this.#reading(() => run(this.pool), options.signal);
      try {
        return await run(replica.pool);
      } catch (error) {
        options.signal?.throwIfAborted();
        const late = isReplicaLate(error);
        if (!late && !isReplicaFault(error)) throw error;
        failed.add(replica);
        if (!late) replicas.failed(replica, error);
      }
    }
  }

  /** Reads again when a connection is lost on the way, which for a write would not be safe: it may have been committed. */
  async #reading(read: () => Promise<QueryReply>, signal: AbortSignal | undefined): Promise<QueryReply> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await read();
      } catch (error) {
        signal?.throwIfAborted();
        if (!losesConnection(error) || attempt === MAX_READS) throw error;
        this.#noteRetry();
        await pause(25 * 2 ** attempt * (0.5 + Math.random()), signal);
      }
    }
  }

  /** Tells the replicas that what was written has to reach them. */
  async #writing<T>(work: () => Promise<T>): Promise<T> {
    if (this.replicas === undefined) return work();
    try {
      return await work();
    } finally {
      this.replicas.wrote();
    }
  }

  /**
   * Runs `work` in one transaction and commits it. A deadlock or serialization failure runs `work` again, and so do writes
   * of a tenant whose rows change partitions at this moment, so `work` must be repeatable and must not call user code.
   *
   * @param signal cancels the running statement and rolls back.
   */
  async transaction<T>(settings: Settings, work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const began = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#writing(() =>
          this.#withClient((client) => this.#transact(client, settings, work, signal), signal),
        );
      } catch (error) {
        signal?.throwIfAborted();
        const sqlstate = sqlstateOf(error);
        if (isRowsMoving(error) && performance.now() - began < MOVE_PATIENCE_MS) {
          this.#noteRetry();
          await sleep(25 + Math.random() * 50);
          continue;
        }
        const retry = sqlstate === SQLSTATE.deadlock || sqlstate === SQLSTATE.serializationFailure;
        if (!retry || attempt === MAX_ATTEMPTS) throw error;
        this.#noteRetry();
        await sleep(10 * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }

  #noteRetry(): void {
    this.activity.retried();
    const notes = callNotes();
    if (notes !== undefined) notes.retries += 1;
  }

  async #transact<T>(
    client: PoolClient,
    settings: Settings,
    work: (session: Session) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const stopWatching = this.#cancelOnAbort(client, signal);
    try {
      return await inTransaction(client, settings, work, signal);
    } finally {
      await stopWatching?.();
    }
  }

  /**
   * Lends one connection outside a transaction, for statements that refuse to run in one.
   *
   * @param signal cancels the statement that runs when it fires, and no later one.
   */
  async connection<T>(work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#writing(() =>
      this.#withClient(async (client) => {
        const stopWatching = this.#cancelOnAbort(client, signal);
        try {
          return await work(sessionOf(client));
        } catch (error) {
          signal?.throwIfAborted();
          throw error;
        } finally {
          await stopWatching?.();
        }
      }, signal),
    );
  }

  /** Runs a request as it is, without settings. */
  async query(request: QueryRequest): Promise<QueryReply> {
    return this.#withClient((client) => send(client, request, "query"));
  }

  async end(): Promise<void> {
    await this.pool.end();
  }

  /** By name. */
  async #runPrepared(
    client: pg.Client,
    { plain, planner }: Planning,
    request: QueryRequest,
    name: string,
  ): Promise<QueryReply> {
    const [scope, body] = [this.#prepared.named(plain), this.#prepared.named(request, planner)];
    try {
      return await runScoped(client, scope, body).catch((error: unknown) => {
        if ((scope.name ?? body.name) === undefined || !this.#prepared.failedBy(error)) throw error;
        return runScoped(client, plain, request);
      });
    } catch (error) {
      throw toDatabaseError(error, name);
    }
  }

  async #withClient<T>(
    work: (client: PoolClient) => Promise<T>,
    signal?: AbortSignal,
    pool: Pool = this.pool,
  ): Promise<T> {
    const client = await connect(pool, signal);
    // A pool listens to idle connections only; an event without a listener would end the process, and the statement
    // that was running reports the loss anyway.
    client.on?.("error", ignore);
    let broken = false;
    try {
      return await work(client);
    } catch (error) {
      broken = losesConnection(error);
      throw error;
    } finally {
      if (!broken) client.off?.("error", ignore);
      client.release(broken || isInTransaction(client));
    }
  }

  /** Cancels the running statement when `signal` fires; the returned function waits until no cancel can hit later. */
  #cancelOnAbort(client: PoolClient, signal: AbortSignal | undefined): (() => Promise<void>) | undefined {
    if (signal === undefined || this.embedded) return undefined;
    let cancelled = Promise.resolve();
    const cancel = (): void => void (cancelled = cancelBackend(client));
    signal.addEventListener("abort", cancel, { once: true });
    return async () => {
      signal.removeEventListener("abort", cancel);
      await cancelled;
    };
  }
}

/** The statement that applies settings to one that is prepared, and what of them its plan depends on, if it is kept. */
interface Planning {
  readonly plain: QueryRequest;
  readonly planner: string | undefined;
}

/** The last by its settings: those of a search are the same for the next one of its tenant. */
const LAST_PLANNING = new WeakMap<Settings, Planning & { readonly limit: Settings; readonly kept: boolean }>();

function planning(settings: Settings, limit: Settings, kept: boolean): Planning {
  const last = LAST_PLANNING.get(settings);
  if (last?.limit === limit && last.kept === kept) return last;
  const plain = applySettings(settings, limit, kept ? KEPT_PLAN : OWN_PLAN)!;
  const made = { plain, planner: kept ? plannerOf(settings) : undefined, limit, kept };
  LAST_PLANNING.set(settings, made);
  return made;
}

/** The settings by which a plan is made: one that is kept must not serve a search that wants another. */
function plannerOf(settings: Settings): string {
  let planner = "";
  for (const name of Object.keys(settings)) if (name.startsWith("enable_")) planner += `${name}=${settings[name]} `;
  return planner;
}

async function connect(pool: Pool, signal: AbortSignal | undefined): Promise<PoolClient> {
  let connecting: Promise<PoolClient> | undefined;
  try {
    connecting = pool.connect();
    return await orAbort(connecting, signal);
  } catch (error) {
    if (signal?.aborted) {
      connecting?.then(
        (client) => client.release(),
        () => undefined,
      );
      throw signal.reason;
    }
    throw toDatabaseError(error, "connect");
  }
}

/** Whether a statement has opened a transaction and left it open; its settings must not reach the next borrower. */
function isInTransaction(client: PoolClient): boolean {
  const { getTransactionStatus } = client as { getTransactionStatus?: () => string | null };
  const status = getTransactionStatus?.call(client);
  return status === "T" || status === "E";
}

function sessionOf(client: PoolClient, signal?: AbortSignal): Session {
  return {
    execute: async (statement) => {
      signal?.throwIfAborted();
      return send(client, toRequest(statement), statement.name);
    },
    ...(canRunScoped(client) && {
      copyIn: (statement: Statement, source: CopySource) =>
        copyIn(client, toRequest(statement).text, source, signal).catch((error: unknown) => {
          signal?.throwIfAborted();
          throw toDatabaseError(error, statement.name);
        }),
    }),
  };
}

function send(client: PoolClient, request: QueryRequest, name: string): Promise<QueryReply> {
  return client.query(request).catch((error: unknown) => {
    throw toDatabaseError(error, name);
  });
}

async function runWithSettings(
  client: PoolClient,
  settings: Settings,
  request: QueryRequest,
  name: string,
  after: readonly QueryRequest[],
): Promise<QueryReply> {
  const scope = applySettings(settings);
  if (scope === undefined) return send(client, request, name);
  if (!canRunScoped(client)) {
    return inTransaction(client, settings, async () => {
      const reply = await send(client, request, name);
      for (const next of after) await send(client, next, "clean-session");
      return reply;
    });
  }
  return runScoped(client, scope, request, after).catch((error: unknown) => {
    throw toDatabaseError(error, name);
  });
}

async function inTransaction<T>(
  client: PoolClient,
  settings: Settings,
  work: (session: Session) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  await send(client, { text: "begin" }, "begin");
  try {
    const scope = applySettings(settings);
    if (scope !== undefined) await send(client, scope, "settings");
    const result = await work(sessionOf(client, signal));
    await send(client, { text: "commit" }, "commit");
    return result;
  } catch (error) {
    // A connection that is already gone cannot roll back; the error that brought us here is the one to report.
    await client.query({ text: "rollback" }).catch(() => undefined);
    throw error;
  }
}

function ignore(): void {}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

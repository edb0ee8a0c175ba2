import type { PGlite } from "@electric-sql/pglite";
import type { EmbeddedPool, QueryRequest } from "../db/pool.js";
import { ConfigurationError } from "../errors.js";
import { type EmbeddedClient, type EmbeddedQuery, type EmbeddedReply, EmbeddedSession } from "./session.js";

/**
 * The embedded database, shaped like a `pg.Pool`. There is one backend: sessions are exclusive and served first come,
 * first served, so a caller that holds one and asks for another waits for itself.
 */
export interface EmbeddedPostgres extends EmbeddedPool, EmbeddedQuery {
  /** Folder of the database; `undefined` when it lives in memory. */
  readonly dataDir: string | undefined;
  connect(): Promise<EmbeddedClient>;
  /** Waits for the sessions already asked for, closes the database and frees its folder. Safe to call twice. */
  end(): Promise<void>;
}

/** @internal Use `openEmbeddedPostgres`. */
export class EmbeddedPostgresPool implements EmbeddedPostgres {
  readonly embedded = true as const;
  #turn: Promise<void> = Promise.resolve();
  #unusable: Error | undefined;
  #ended: Promise<void> | undefined;

  constructor(
    private readonly database: PGlite,
    readonly dataDir: string | undefined,
    private readonly unlock: () => Promise<void>,
  ) {}

  async connect(): Promise<EmbeddedClient> {
    if (this.#ended) throw new ConfigurationError("The embedded database was closed with end(); open it again.");
    const turn = this.#turn;
    const { promise, resolve: finish } = deferred();
    this.#turn = promise;
    await turn;
    if (this.#unusable) {
      finish();
      throw this.#unusable;
    }
    return new EmbeddedSession(this.database, (cleaned) => {
      cleaned.catch((error: unknown) => this.fail(toError(error))).finally(finish);
    });
  }

  async query(request: string | QueryRequest, values?: readonly unknown[]): Promise<EmbeddedReply> {
    const session = await this.connect();
    try {
      return await session.query(request, values);
    } finally {
      session.release();
    }
  }

  end(): Promise<void> {
    this.#ended ??= this.#close(this.#turn);
    return this.#ended;
  }

  async #close(lastSession: Promise<void>): Promise<void> {
    await lastSession;
    try {
      await this.database.close();
    } finally {
      await this.unlock();
    }
  }

  /** Makes every later session fail with `error`: the state of the backend, or the ownership of its folder, is lost. */
  fail(error: Error): void {
    this.#unusable ??= error;
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

import type { PGlite, Results } from "@electric-sql/pglite";
import type { PoolClient, QueryReply, QueryRequest } from "../db/pool.js";
import { ConfigurationError } from "../errors.js";
import { encodeParameter } from "./parameters.js";

/** What a statement gives back; `rows` and `rowCount` as in `pg`. */
export interface EmbeddedReply extends QueryReply {
  /** First word of the command tag, such as `SELECT`; `null` for an empty statement. */
  readonly command: string | null;
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

export interface EmbeddedQuery {
  /**
   * Runs one statement, or several without parameters (they then share an implicit transaction, and the reply is the one
   * of the last).
   */
  query(request: string | QueryRequest, values?: readonly unknown[]): Promise<EmbeddedReply>;
}

/** An exclusive session: nobody else's statement runs until it is released. */
export interface EmbeddedClient extends EmbeddedQuery, Pick<PoolClient, "release"> {}

/** @internal Sessions are handed out by the pool, one at a time. */
export class EmbeddedSession implements EmbeddedClient {
  #tail: Promise<unknown> = Promise.resolve();
  #released = false;

  constructor(
    private readonly database: PGlite,
    private readonly giveBack: (cleaned: Promise<void>) => void,
  ) {}

  query(request: string | QueryRequest, values?: readonly unknown[]): Promise<EmbeddedReply> {
    if (this.#released) {
      return Promise.reject(
        new ConfigurationError("This session of the embedded database was released; call connect() for another one."),
      );
    }
    const text = typeof request === "string" ? request : request.text;
    const parameters = values ?? (typeof request === "string" ? undefined : request.values);
    const single = typeof request !== "string" && request.queryMode === "extended";
    const reply = this.#tail.then(() => runStatement(this.database, text, parameters, single));
    this.#tail = reply.catch(() => undefined);
    return reply;
  }

  /**
   * Ends the session after its last statement. An open transaction is rolled back; `destroy` also discards session
   * settings, temporary tables, advisory locks and the role, as closing a connection would.
   */
  release(destroy?: boolean | Error): void {
    if (this.#released) throw new ConfigurationError("This session of the embedded database was already released.");
    this.#released = true;
    this.giveBack(this.#tail.then(() => resetSession(this.database, Boolean(destroy))));
  }
}

async function runStatement(
  database: PGlite,
  text: string,
  values: readonly unknown[] | undefined,
  single: boolean,
): Promise<EmbeddedReply> {
  try {
    if (single || (values !== undefined && values.length > 0)) {
      return toReply(await database.query<Record<string, unknown>>(text, (values ?? []).map(encodeParameter)));
    }
    const replies = await database.exec(text);
    return toReply(replies[replies.length - 1]);
  } catch (error) {
    throw withoutParameters(error);
  }
}

function toReply(results: Results | undefined): EmbeddedReply {
  return {
    rows: results?.rows ?? [],
    rowCount: results?.rowCount ?? null,
    command: results?.command ?? null,
    fields: results?.fields ?? [],
  };
}

/** PGlite puts the statement and its values on the error, where a logger would print documents and vectors. */
function withoutParameters(error: unknown): unknown {
  if (error instanceof Error) {
    for (const key of ["query", "params", "queryOptions"]) Reflect.deleteProperty(error, key);
  }
  return error;
}

async function resetSession(database: PGlite, discard: boolean): Promise<void> {
  if (database.isInTransaction()) await database.exec("rollback");
  if (discard) await database.exec("discard all");
}

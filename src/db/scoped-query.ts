import pg from "pg";
import type { QueryReply, QueryRequest } from "./pool.js";

/** What `pg` hands to a submitted query; not in its published types. */
interface Connection {
  parse(message: { text: string; name: string }): void;
  bind(message: { portal: string; statement: string; values: unknown[] }): void;
  execute(message: { portal: string; rows: number }): void;
}

interface DriverQuery {
  prepare(connection: Connection): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: Connection): void;
}

type Callback = (error: Error | null, reply: QueryReply) => void;

const DriverQuery = pg.Query as unknown as new (
  config: { text: string; values: unknown[]; queryMode: "extended" },
  values: undefined,
  callback: Callback,
) => DriverQuery;

/**
 * Two statements under one Sync: the settings, then the statement itself. Postgres runs them as one implicit
 * transaction, so `set_config(..., true)` holds for the statement and ends with it, in a single network round trip.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
class ScopedQuery extends DriverQuery {
  #scope: QueryRequest;
  #scopeDone = false;

  constructor(scope: QueryRequest, request: QueryRequest, callback: Callback) {
    super({ text: request.text, values: [...(request.values ?? [])], queryMode: "extended" }, undefined, callback);
    this.#scope = scope;
  }

  override prepare(connection: Connection): void {
    connection.parse({ text: this.#scope.text, name: "" });
    connection.bind({ portal: "", statement: "", values: [...(this.#scope.values ?? [])] });
    connection.execute({ portal: "", rows: 0 });
    super.prepare(connection);
  }

  override handleDataRow(message: unknown): void {
    if (this.#scopeDone) super.handleDataRow(message);
  }

  override handleCommandComplete(message: unknown, connection: Connection): void {
    if (this.#scopeDone) super.handleCommandComplete(message, connection);
    else this.#scopeDone = true;
  }
}

/** Whether this client is the JavaScript one, whose protocol messages can be composed (`pg-native` is not). */
export function canRunScoped(client: object): client is pg.Client {
  return "connection" in client && typeof client.connection === "object";
}

/** Runs `request` with the settings of `scope` in one round trip. */
export function runScoped(client: pg.Client, scope: QueryRequest, request: QueryRequest): Promise<QueryReply> {
  return new Promise((resolve, reject) => {
    const query = new ScopedQuery(scope, request, (error, reply) => (error ? reject(error) : resolve(reply)));
    client.query(query as unknown as pg.Submittable);
  });
}

import pg from "pg";
import type { QueryReply, QueryRequest } from "./pool.js";

/** What `pg` hands to a submitted query; not in its published types. */
interface Connection {
  parse(message: { text: string; name: string }): void;
  bind(message: { portal: string; statement: string; values: unknown[] }): void;
  execute(message: { portal: string; rows: number }): void;
  close(message: { type: "S"; name: string }): void;
  sync(): void;
  /** Texts by name, as the driver believes them to be prepared. */
  readonly parsedStatements: Record<string, string | undefined>;
}

/** Empties a session of what a statement may have left in it for the next borrower of the connection. */
export const CLEAN_SESSION: readonly QueryRequest[] = [{ text: "close all" }, { text: "discard temp" }];

interface DriverQuery {
  queryMode?: "extended";
  name?: string | undefined;
  prepare(connection: Connection): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: Connection): void;
  handleEmptyQuery(connection: Connection): void;
}

type Callback = (error: Error | null, reply: QueryReply) => void;

const DriverQuery = pg.Query as unknown as new (
  text: string,
  values: readonly unknown[] | undefined,
  callback: Callback,
) => DriverQuery;

/**
 * Statements under one Sync: the settings, the statement itself, and what cleans up after it. Postgres runs them as one
 * implicit transaction, so `set_config(..., true)` holds for the statement and ends with it, in one network round trip.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
class ScopedQuery extends DriverQuery {
  readonly #scope: QueryRequest;
  readonly #request: QueryRequest;
  readonly #after: readonly QueryRequest[];
  #completed = 0;

  constructor(scope: QueryRequest, request: QueryRequest, after: readonly QueryRequest[], callback: Callback) {
    // The driver would copy a configuration, property by property.
    super(request.text, request.values, callback);
    this.queryMode = "extended";
    this.name = request.name;
    this.#scope = scope;
    this.#request = request;
    this.#after = after;
  }

  override prepare(connection: Connection): void {
    submit(connection, this.#scope);
    if (this.#request.name !== undefined) parse(connection, this.#request);
    if (this.#after.length === 0) return super.prepare(connection);
    // The driver ends its messages with the Sync, in front of which the further statements belong.
    const sync = (): void => {
      for (const request of this.#after) submit(connection, request);
      connection.sync();
    };
    return super.prepare(Object.create(connection, { sync: { value: sync } }) as Connection);
  }

  override handleDataRow(message: unknown): void {
    if (this.#completed === 1) super.handleDataRow(message);
  }

  override handleCommandComplete(message: unknown, connection: Connection): void {
    this.#completed += 1;
    if (this.#completed === 2) super.handleCommandComplete(message, connection);
  }

  override handleEmptyQuery(connection: Connection): void {
    this.#completed += 1;
    super.handleEmptyQuery(connection);
  }
}

function submit(connection: Connection, request: QueryRequest): void {
  const { values = [], name = "" } = request;
  parse(connection, request);
  connection.bind({ portal: "", statement: name, values: [...values] });
  connection.execute({ portal: "", rows: 0 });
}

function parse(connection: Connection, { text, name }: QueryRequest): void {
  if (name === undefined) return connection.parse({ text, name: "" });
  if (connection.parsedStatements[name] !== undefined) return;
  // A call that failed may have left the statement behind; closing one that is not there is no error.
  connection.close({ type: "S", name });
  connection.parse({ text, name });
  connection.parsedStatements[name] = text;
}

/** Whether this client is the JavaScript one, whose protocol messages can be composed (`pg-native` is not). */
export function canRunScoped(client: object): client is pg.Client {
  return "connection" in client && typeof client.connection === "object";
}

/** Runs `request` with the settings of `scope`, and `after` behind it, in one round trip. */
export function runScoped(
  client: pg.Client,
  scope: QueryRequest,
  request: QueryRequest,
  after: readonly QueryRequest[] = [],
): Promise<QueryReply> {
  return new Promise((resolve, reject) => {
    const query = new ScopedQuery(scope, request, after, (error, reply) => {
      if (error === null) return resolve(reply);
      // Whether the names got as far as the server is not known now.
      const { connection } = client as unknown as { connection: Connection };
      for (const { name } of [scope, request]) if (name !== undefined) delete connection.parsedStatements[name];
      reject(error);
    });
    client.query(query as unknown as pg.Submittable);
  });
}

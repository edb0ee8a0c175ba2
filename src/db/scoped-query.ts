import pg from "pg";
import type { QueryReply, QueryRequest } from "./pool.js";

/** What `pg` hands to a submitted query; not in its published types. */
interface Connection {
  parse(message: { text: string; name: string }): void;
  bind(message: { portal: string; statement: string; values: unknown[] }): void;
  execute(message: { portal: string; rows: number }): void;
  describe(message: { type: "P"; name: string }): void;
  close(message: { type: "S"; name: string }): void;
  sync(): void;
  /** Texts by name, as the driver believes them to be prepared. */
  readonly parsedStatements: Record<string, string | undefined>;
}

/** Empties a session of what a statement may have left in it for the next borrower of the connection. */
export const CLEAN_SESSION: readonly QueryRequest[] = [{ text: "close all" }, { text: "discard temp" }];

/** What the driver knows of the columns of a result, and makes of that to read its rows. */
interface Columns {
  readonly fields: readonly unknown[];
  readonly _parsers: unknown;
  readonly _prebuiltEmptyResultObject: unknown;
}

interface DriverQuery {
  queryMode?: "extended";
  name?: string | undefined;
  readonly _result: Columns;
  _accumulateRows: boolean;
  prepare(connection: Connection): void;
  handleRowDescription(message: unknown): void;
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
  #columns: Map<string, Columns> | undefined;
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
    const { name } = this.#request;
    submit(connection, this.#scope);
    if (name === undefined) return super.prepare(this.#finishing(connection));
    parse(connection, this.#request);
    const { columns, undescribed } = knownOf(connection);
    this.#columns = columns;
    const known = columns.get(name);
    if (known === undefined) return super.prepare(this.#finishing(connection));
    Object.assign(this._result, known);
    this._accumulateRows = true;
    return super.prepare(this.#finishing(undescribed));
  }

  /** The driver ends its messages with the Sync, in front of which the further statements belong. */
  #finishing(connection: Connection): Connection {
    if (this.#after.length === 0) return connection;
    const sync = (): void => {
      for (const request of this.#after) submit(connection, request);
      connection.sync();
    };
    return Object.create(connection, { sync: { value: sync } }) as Connection;
  }

  override handleRowDescription(message: unknown): void {
    super.handleRowDescription(message);
    const { fields, _parsers, _prebuiltEmptyResultObject } = this._result;
    this.#columns?.set(this.#request.name!, { fields, _parsers, _prebuiltEmptyResultObject });
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

/** What is known of a connection. */
interface Known {
  /** Columns of its named statements: the server refuses one whose columns have changed, so they need not be asked for again. */
  readonly columns: Map<string, Columns>;
  /** The connection to one who would ask. */
  readonly undescribed: Connection;
}

const KNOWN = new WeakMap<Connection, Known>();

function knownOf(connection: Connection): Known {
  let known = KNOWN.get(connection);
  if (known === undefined) {
    const undescribed = Object.create(connection, { describe: { value: () => undefined } }) as Connection;
    KNOWN.set(connection, (known = { columns: new Map(), undescribed }));
  }
  return known;
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
  KNOWN.get(connection)?.columns.delete(name);
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

import type { Database } from "../db/database.js";
import type { QueryReply, QueryRequest } from "../db/pool.js";

/**
 * What `store.pool` is: a queryable within the store's own scope, never the raw pool, so that no setting, transaction
 * or connection of one caller reaches another. It keeps the connection options out of sight.
 */
export class StorePool {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Runs one statement. Values are parameters; there is no other way to pass them. */
  async query(statement: string | QueryRequest, values?: readonly unknown[]): Promise<QueryReply> {
    return this.#database.query(typeof statement === "string" ? { text: statement, values: values ?? [] } : statement);
  }
}

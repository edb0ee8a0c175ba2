import type { Database } from "../db/database.js";
import type { QueryReply, QueryRequest } from "../db/pool.js";
import type { Settings } from "../db/settings.js";
import { ConfigurationError } from "../errors.js";

/** Behind any comments: a statement that waits for data from the client, which nobody would send. */
const COPY_FROM_CLIENT = /^(\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*copy\b[\s\S]*\bfrom\s+stdin\b/i;

/**
 * What `store.pool` is: a queryable within the store's own scope, its tenant's with tenancy, and never the raw pool, so
 * that no setting, transaction or connection of one caller reaches another. It keeps the connection options out of sight.
 */
export class StorePool {
  readonly #database: Database;
  readonly #settings: () => Promise<Settings>;

  constructor(database: Database, settings: () => Promise<Settings>) {
    this.#database = database;
    this.#settings = settings;
  }

  /**
   * Runs one statement. Values are parameters; there is no other way to pass them. Temporary tables and cursors end with
   * the statement, since the next caller on the connection may be another tenant.
   *
   * @throws ConfigurationError for `copy ... from stdin`, which needs a stream of data.
   */
  async query(statement: string | QueryRequest, values?: readonly unknown[]): Promise<QueryReply> {
    const request = typeof statement === "string" ? { text: statement, values: values ?? [] } : statement;
    if (COPY_FROM_CLIENT.test(request.text)) {
      throw new ConfigurationError(
        "store.pool cannot send data to `copy ... from stdin`; add documents with the store.",
      );
    }
    // One statement only: a second one could follow a commit, and run outside the scope.
    const single: QueryRequest = { text: request.text, values: request.values ?? [], queryMode: "extended" };
    return this.#database.run(single, "query", { settings: await this.#settings(), cleanSession: true });
  }
}

import { Database, type ExecuteOptions } from "../../db/database.js";
import type { Statement } from "../../db/statement.js";
import type { QueryReply } from "../../db/pool.js";

/** A statement that a search ran, with all that decided how it ran. */
export interface RecordedStatement {
  readonly statement: Statement;
  readonly options: ExecuteOptions;
}

/** The statements that read chunks; what a search asks beside them says nothing about its own speed. */
const SEARCHES: ReadonlySet<string> = new Set(["search", "search-lexical", "search-hybrid"]);

/** A database that keeps the searches that go through it. */
export class RecordingDatabase extends Database {
  readonly recorded: RecordedStatement[] = [];
  readonly #inner: Database;

  constructor(inner: Database) {
    super(inner.pool, inner.replicas, inner.activity);
    this.#inner = inner;
  }

  override execute(statement: Statement, options: ExecuteOptions = {}): Promise<QueryReply> {
    if (SEARCHES.has(statement.name)) this.recorded.push({ statement, options });
    // Its own knows which statements are prepared.
    return this.#inner.execute(statement, options);
  }
}

import pg from "pg";
import { Database } from "../../db/database.js";
import type { ToolOptions } from "./options.js";

/** Does `work` with the pool of the options, else with one of its own that it ends. */
export async function withDatabase<T>(options: ToolOptions, work: (database: Database) => Promise<T>): Promise<T> {
  if (options.pool !== undefined) return work(new Database(options.pool));
  const pool = new pg.Pool({
    connectionString: options.connectionString,
    application_name: "langchain-pgvector",
    max: 4,
  });
  // The next statement reports a lost connection; an idle one must not end the process.
  pool.on("error", () => undefined);
  try {
    return await work(new Database(pool));
  } finally {
    await pool.end();
  }
}

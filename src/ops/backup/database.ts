import { Database } from "../../db/database.js";
import { openPool } from "../../db/open-pool.js";
import type { ToolOptions } from "./options.js";

/** Does `work` with the pool of the options, else with one of its own that it ends. */
export async function withDatabase<T>(options: ToolOptions, work: (database: Database) => Promise<T>): Promise<T> {
  if (options.pool !== undefined) return work(new Database(options.pool));
  const pool = openPool({
    connectionString: options.connectionString,
    application_name: "langchain-pgvector",
    max: 4,
  });
  try {
    return await work(new Database(pool));
  } finally {
    await pool.end();
  }
}

/** A process that loads rows until it is killed: the database's URL, the options of the store, and how many rows. */
import pg from "pg";
import { PostgresVectorStore, type BulkLoadOptions, type PostgresVectorStoreArgs } from "../../src/index.js";
import { bulkItems } from "./bulk-items.js";
import { HashedEmbeddings } from "./vectors.js";

interface Job {
  readonly url: string;
  readonly args: PostgresVectorStoreArgs;
  readonly rows: number;
  readonly dimensions: number;
  readonly options: BulkLoadOptions;
}

const { url, args, rows, dimensions, options } = JSON.parse(process.argv[2]!) as Job;
const pool = new pg.Pool({ connectionString: url, max: 4, application_name: "bulk-child" });
const store = await PostgresVectorStore.initialize(new HashedEmbeddings(dimensions), { ...args, pool });
await store.bulkLoad(bulkItems(rows, dimensions), {
  ...options,
  onProgress: ({ phase, rows: stored }) => process.stdout.write(`${JSON.stringify({ phase, stored })}\n`),
});
await store.end();
await pool.end();

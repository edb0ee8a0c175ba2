/** A process that brings a store into step with a folder until it is killed: the database's URL, the store's options, the rest. */
import pg from "pg";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { syncDocuments, type SyncOptions } from "../../src/loaders/index.js";

interface Job {
  readonly url: string;
  readonly args: PostgresVectorStoreArgs;
  readonly dimensions: number;
  readonly folder: string;
  readonly options: SyncOptions;
}

const { url, args, dimensions, folder, options } = JSON.parse(process.argv[2]!) as Job;
const pool = new pg.Pool({ connectionString: url, max: 4 });
const store = await PostgresVectorStore.initialize(new OfflineEmbeddings({ dimensions }), { ...args, pool });
process.stdout.write("ready\n");
await syncDocuments(store, ".", {
  ...options,
  cwd: folder,
  onProgress: ({ embedded }) => process.stdout.write(`${embedded}\n`),
});
await store.end();
await pool.end();

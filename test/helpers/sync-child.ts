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
  /** Texts that are embedded at once; the call after them never ends, so that a kill meets a run that is under way. */
  readonly texts?: number;
}

const { url, args, dimensions, folder, options, texts: allowed = Infinity } = JSON.parse(process.argv[2]!) as Job;

class StallingEmbeddings extends OfflineEmbeddings {
  #embedded = 0;

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    if (this.#embedded >= allowed) await new Promise(() => undefined);
    this.#embedded += texts.length;
    return super.embedDocuments(texts);
  }
}

const pool = new pg.Pool({ connectionString: url, max: 4 });
const store = await PostgresVectorStore.initialize(new StallingEmbeddings({ dimensions }), { ...args, pool });
process.stdout.write("ready\n");
await syncDocuments(store, ".", {
  ...options,
  cwd: folder,
  onProgress: ({ embedded }) => process.stdout.write(`${embedded}\n`),
});
await store.end();
await pool.end();

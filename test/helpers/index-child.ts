/** A process that works on the indexes of a store until it is killed: the database's URL, the store, and what to do. */
import pg from "pg";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { HashedEmbeddings } from "./vectors.js";

interface Job {
  readonly url: string;
  readonly args: PostgresVectorStoreArgs;
  readonly dimensions: number;
  readonly action: "create" | "rebuild" | "drop";
  readonly options: Record<string, unknown>;
  readonly name: string;
}

const { url, args, dimensions, action, options, name } = JSON.parse(process.argv[2]!) as Job;
const pool = new pg.Pool({ connectionString: url, max: 2 });
const store = await PostgresVectorStore.initialize(new HashedEmbeddings(dimensions), { ...args, pool });
process.stdout.write("begins\n");
if (action === "create") await store.indexes.create(options);
else if (action === "rebuild") await store.indexes.rebuild(options);
else await store.indexes.drop(name);
await store.end();
await pool.end();

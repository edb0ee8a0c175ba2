/** A process that writes to a store at random until it is killed, and prints a line for each call that is done. */
import pg from "pg";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { churn, readTexts, throughOutages } from "./lexical-churn.js";
import { HashedEmbeddings } from "./vectors.js";

interface Job {
  readonly url: string;
  readonly args: PostgresVectorStoreArgs;
  readonly folder: string;
  readonly seed: number;
}

const { url, args, folder, seed } = JSON.parse(process.argv[2]!) as Job;
const pool = new pg.Pool({ connectionString: url, max: 2 });
pool.on("error", () => {});
const store = await throughOutages(() => PostgresVectorStore.initialize(new HashedEmbeddings(), { ...args, pool }));
await churn(store, readTexts(folder, "corpus"), {
  seed,
  calls: Infinity,
  onCall: () => process.stdout.write("done\n"),
});

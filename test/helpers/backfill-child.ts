/** A process that fills a model version until it is killed: the database's URL and the table. */
import pg from "pg";
import { PostgresVectorStore } from "../../src/index.js";
import { ModelEmbeddings } from "./model-embeddings.js";

const { url, tableName } = JSON.parse(process.argv[2]!) as { url: string; tableName: string };
const next = new ModelEmbeddings("next", 64, async (_, embed) => {
  await new Promise((resolve) => setTimeout(resolve, 10));
  return embed();
});
const pool = new pg.Pool({ connectionString: url, max: 4 });
pool.on("error", () => undefined);
const store = await PostgresVectorStore.initialize(new ModelEmbeddings("old", 32), {
  pool,
  tableName,
  embedders: { [next.fingerprint]: next },
});
await store.models.backfill({
  maxSlowdown: false,
  leasePages: 16,
  batchRows: 20,
  batchTexts: 20,
  index: false,
  onProgress: ({ filled }) => process.stdout.write(`${filled}\n`),
});
await store.end();
await pool.end();

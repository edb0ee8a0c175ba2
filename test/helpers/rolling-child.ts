/**
 * A process of a rolling deployment: searches for planted texts, on a primary writes too, until its input ends. Prints a
 * line for every search, and what went wrong as JSON in the end.
 */
import pg from "pg";
import { PostgresVectorStore } from "../../src/index.js";
import { ModelEmbeddings } from "./model-embeddings.js";
import { plantedText, ROLLING_DIMENSIONS, type RollingJob, type RollingReport } from "./rolling.js";

const job = JSON.parse(process.argv[2]!) as RollingJob;
const models = {
  old: new ModelEmbeddings("old", ROLLING_DIMENSIONS),
  next: new ModelEmbeddings("next", ROLLING_DIMENSIONS),
};
const main = job.embedders === "next" ? models.next : models.old;
const pool = new pg.Pool({ connectionString: job.url, max: 3 });
pool.on("error", () => undefined);
const store = await PostgresVectorStore.fromExistingIndex(main, {
  pool,
  tableName: job.tableName,
  ...(job.embedders === "both" && { embedders: { [models.next.fingerprint]: models.next } }),
});
const failures: string[] = [];
const written: string[] = [];
let reads = 0;
let mixed = 0;
// Rows of processes with one embedder keep a switch waiting, so that those write less often.
const WRITE_EVERY = job.embedders === "both" ? 10 : 50;
let going = true;
process.stdin.once("end", () => (going = false)).resume();
for (let turn = 0; going; turn += 1) {
  const text = plantedText(turn % job.rows);
  try {
    const [hit] = await store.search(text, { k: 1 });
    // Two texts may have one vector; a vector of the other model is never near.
    if (hit === undefined || hit.distance! > 1e-5) mixed += 1;
  } catch (error) {
    failures.push(`search: ${String(error)}`);
  }
  reads += 1;
  if (job.writes && turn % WRITE_EVERY === 0) {
    const id = `${job.embedders} ${process.pid} ${turn}`;
    try {
      await store.addDocuments([{ id, pageContent: `written ${id}`, metadata: {} }]);
      written.push(id);
    } catch (error) {
      failures.push(`write: ${String(error)}`);
    }
  }
  process.stdout.write("read\n");
}
await store.end();
await pool.end();
process.stdout.write(`${JSON.stringify({ reads, mixed, failures, written } satisfies RollingReport)}\n`);

/**
 * Kills backfills of a model version with SIGKILL at random points: by turns the process that fills, a process of the
 * server, which makes all of it recover, and the server's first process, after which it is started again. Looks each
 * time whether what is stored is right and the next one goes on.
 *
 *   npm run test:kill-backfill -- [--kills n] [--rows n]
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { PostgresVectorStore } from "../src/index.js";
import { ModelEmbeddings } from "../test/helpers/model-embeddings.js";
import { openStandaloneDatabase } from "../test/helpers/open-database.js";
import { startStandby } from "../test/helpers/standby.js";

const { values } = parseArgs({ options: { kills: { type: "string" }, rows: { type: "string" } } });
const kills = Number(values.kills ?? 20);
const rows = Number(values.rows ?? 30_000);
const tableName = "killed";
const [old, next] = [new ModelEmbeddings("old", 32), new ModelEmbeddings("next", 64)];

const database = await openStandaloneDatabase({ synchronous_commit: "on" });
if (database.kind !== "server") throw new Error("There is no PostgreSQL server; see test/helpers/server.ts.");
// A server of its own that can be killed and started: a standby that was promoted.
const server = await startStandby(database.url);
const url = server.at(database.url);
const VICTIMS = ["process", "backend", "server"] as const;
const outcomes: string[] = [];
try {
  const client = await connected();
  await client.query("select pg_promote()");
  await client.end();
  await withStore(async (store) => {
    await store.bulkLoad(
      Array.from({ length: rows }, (_, index) => ({ id: String(index), pageContent: `thing ${index}`, metadata: {} })),
    );
    await store.models.add({ embeddings: next });
  });
  let filled = 0;
  for (let kill = 1; kill <= kills; kill += 1) {
    const what = VICTIMS[kill % VICTIMS.length]!;
    await killOne(what);
    const now = await check();
    if (now < filled)
      throw new Error(`After kill ${kill} (${what}) ${now} rows have their vector, ${filled} had before.`);
    outcomes.push(`${what}: ${filled} -> ${now}`);
    process.stderr.write(`kill ${kill} of ${kills}, ${outcomes.at(-1)}\n`);
    filled = now;
  }
  await withStore(async (store) => {
    // Leases of the killed run out by themselves; what they held is swept.
    const result = await store.models.backfill({ maxSlowdown: false });
    if (result.missing !== 0) throw new Error(`${result.missing} rows are missing at the end.`);
    await store.models.cutover();
    const [hit] = await store.search("thing 77", { k: 1 });
    // Texts may share a vector; one of another model is never so near.
    if (!(hit!.distance! < 1e-5)) throw new Error(`A search found ${hit?.document.id} at ${hit?.distance}.`);
  });
  const complete = await check();
  process.stdout.write(`${JSON.stringify({ kills, rows, complete, outcomes })}\n`);
} finally {
  await server.remove();
  await database.close();
}

async function withStore(work: (store: PostgresVectorStore) => Promise<void>): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  pool.on("error", () => undefined);
  const store = await PostgresVectorStore.initialize(old, { pool, tableName, embedders: { [next.fingerprint]: next } });
  await work(store);
  await store.end();
  await pool.end();
}

/** Begins a backfill and kills it, after what it runs on where that is the victim. */
async function killOne(what: (typeof VICTIMS)[number]): Promise<void> {
  const file = join(import.meta.dirname, "../test/helpers/backfill-child.ts");
  const child = spawn(process.execPath, ["--import", "tsx", file, JSON.stringify({ url, tableName })], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await Promise.race([ended, new Promise((resolve) => child.stdout.once("data", resolve))]);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 400));
  if (what === "server") {
    await server.kill("SIGKILL");
    await server.start();
  }
  if (what === "backend") {
    const client = await connected();
    const { rows: found } = await client.query<{ pid: number }>(
      "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' limit 1",
    );
    await client.end();
    if (found[0] !== undefined) process.kill(found[0].pid, "SIGKILL");
  }
  child.kill("SIGKILL");
  await ended;
}

/** Waits for the server, and counts the rows with the right vector. @throws Error for a wrong one. */
async function check(): Promise<number> {
  const client = await connected();
  const { rows: found } = await client.query<{ text: string; vector: string }>(
    `select text, embedding_v2::text as vector from ${tableName} where embedding_v2 is not null`,
  );
  await client.end();
  for (const { text, vector } of found) {
    const wanted = next.vectorOf(text);
    const stored = JSON.parse(vector) as number[];
    if (stored.some((value, i) => Math.abs(value - wanted[i]!) > 1e-5))
      throw new Error(`The vector of ${text} is wrong.`);
  }
  return found.length;
}

async function connected(): Promise<pg.Client> {
  for (let attempt = 0; ; attempt += 1) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (attempt === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

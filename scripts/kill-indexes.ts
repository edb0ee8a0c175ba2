/**
 * Kills processes that build, rebuild and drop an index with SIGKILL at random points, and looks each time whether the
 * next call repairs what they left.
 *
 *   npm run test:kill-indexes -- [--kills n] [--rows n]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { PostgresVectorStore } from "../src/index.js";
import { bulkItems } from "../test/helpers/bulk-items.js";
import { openStandaloneDatabase } from "../test/helpers/open-database.js";
import { HashedEmbeddings } from "../test/helpers/vectors.js";

const { values } = parseArgs({ options: { kills: { type: "string" }, rows: { type: "string" } } });
const kills = Number(values.kills ?? 60);
const rows = Number(values.rows ?? 6_000);
const DIMENSIONS = 64;
const TABLE = "killed";
const NAME = `${TABLE}_embedding_hnsw_idx`;
const BUILD = { m: 12, efConstruction: 60 };
const ACTIONS = ["create", "rebuild", "drop"] as const;

const database = await openStandaloneDatabase();
if (database.kind !== "server") throw new Error("There is no PostgreSQL server; see test/helpers/server.ts.");
const { pool, url } = database;
const watcher = new pg.Pool({ connectionString: url, max: 1 });
const store = await PostgresVectorStore.initialize(new HashedEmbeddings(DIMENSIONS), { pool, tableName: TABLE });
const phases = new Map<string, number>();
try {
  await store.bulkLoad(bulkItems(rows, DIMENSIONS), { indexes: "keep" });
  const times = new Map<string, number>();
  for (const action of ACTIONS) {
    const child = start(action);
    await child.begun;
    const began = performance.now();
    await child.ended;
    times.set(action, performance.now() - began);
  }
  for (let kill = 0; kill < kills; kill += 1) {
    const action = ACTIONS[kill % ACTIONS.length]!;
    await prepare(action);
    const child = start(action);
    await child.begun;
    // Up to the time that the whole takes, so that each step has its share.
    await Promise.race([
      child.ended,
      new Promise((resolve) => setTimeout(resolve, Math.random() * times.get(action)!)),
    ]);
    const phase = `${action}: ${await phaseNow()}`;
    child.kill();
    await child.ended;
    phases.set(phase, (phases.get(phase) ?? 0) + 1);
    await repair(action, phase);
    process.stderr.write(`kill ${kill + 1} of ${kills}, ${phase}\n`);
  }
  process.stdout.write(`${JSON.stringify({ kills, rows, phases: Object.fromEntries([...phases].toSorted()) })}\n`);
} finally {
  await store.end();
  await watcher.end();
  await database.close();
}

function start(action: string): { begun: Promise<unknown>; ended: Promise<unknown>; kill: () => void } {
  const options = action === "drop" ? {} : { ...BUILD, ...(action === "rebuild" && { efConstruction: 61 }) };
  const job = { url, args: { tableName: TABLE }, dimensions: DIMENSIONS, action, options, name: NAME };
  const child = spawn(process.execPath, ["--import", "tsx", "test/helpers/index-child.ts", JSON.stringify(job)], {
    cwd: join(import.meta.dirname, ".."),
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { begun: once(child.stdout, "data"), ended: once(child, "exit"), kill: () => child.kill("SIGKILL") };
}

/** There is an index for what rebuilds or drops it, and none for what creates it. */
async function prepare(action: (typeof ACTIONS)[number]): Promise<void> {
  if (action !== "create") await store.indexes.create({ ...BUILD, targetRecall: false });
  else if ((await vectorIndexes()).length > 0) await store.indexes.drop(NAME);
}

async function repair(action: (typeof ACTIONS)[number], phase: string): Promise<void> {
  const before = await vectorIndexes();
  if (action === "rebuild" && !before.some(({ name, valid }) => name === NAME && valid)) {
    throw new Error(`${phase}: a killed rebuild left the table without its index.`);
  }
  if (action === "rebuild") await store.indexes.rebuild(BUILD);
  else await store.indexes.create({ ...BUILD, targetRecall: false });
  const after = await vectorIndexes();
  const advice = await store.indexes.advice();
  if (after.length !== 1 || !after[0]!.valid || advice.length > 0) {
    throw new Error(`${phase}: not repaired: ${JSON.stringify({ after, advice })}`);
  }
  const { length } = await store.search(
    Array.from({ length: DIMENSIONS }, (_, i) => Math.sin(i)),
    { k: 10 },
  );
  if (length !== 10) throw new Error(`${phase}: a search found ${length} rows.`);
}

async function vectorIndexes(): Promise<{ name: string; valid: boolean }[]> {
  const found = (await store.indexes.list()).filter(({ type }) => type === "hnsw");
  return found.map(({ name, valid }) => ({ name, valid }));
}

/** What the server does for the process: a phase of a build, another statement of the library, or nothing. */
async function phaseNow(): Promise<string> {
  const { rows: found } = await watcher.query<{ phase: string }>(
    `select coalesce(p.phase, substring(a.query from 'langchain-pgvector:([a-z-]+)'), left(a.query, 30)) as phase
     from pg_stat_activity a left join pg_stat_progress_create_index p using (pid)
     where a.datname = current_database() and a.pid <> pg_backend_pid() and a.state = 'active'
       and a.backend_type = 'client backend'`,
  );
  return found[0]?.phase ?? "between statements";
}

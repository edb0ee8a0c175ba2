/**
 * Random writes to a lexical index by several processes that are killed, on a server that is killed, too; and how far
 * rankings and scores are from those of an index built afresh over the same rows.
 *
 *   npm run test:lexical-churn -- [--operations n] [--processes n] [--seed s]
 *
 * Needs the cranfield collection beside the repository, and a PostgreSQL that it may start. Prints a table, and one JSON
 * object as the last line. Exit code 1 when a bar is missed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { readSet } from "../bench/hybrid/sets.js";
import { table } from "../bench/harness.js";
import { PostgresVectorStore } from "../src/index.js";
import { mean, ndcg } from "../src/ops/eval/metrics.js";
import { largestDifference, scoresOf } from "../test/helpers/lexical-churn.js";
import { openStandaloneDatabase } from "../test/helpers/open-database.js";
import { sharedData } from "../test/helpers/shared-data.js";
import { HashedEmbeddings, seededRandom } from "../test/helpers/vectors.js";

const { values } = parseArgs({
  options: { operations: { type: "string" }, processes: { type: "string" }, seed: { type: "string" } },
});
const operations = Number(values.operations ?? 10_000);
const processes = Number(values.processes ?? 3);
const seed = Number(values.seed ?? 1);
const PHASES = 10;
const KILL_EVERY = 200;
const TABLE = "churn";
const args = { lexical: true } as const;

const folder = sharedData("cranfield");
const set = readSet("cranfield");
if (folder === undefined || set === undefined) throw new Error("The cranfield collection is not there.");
const database = await openStandaloneDatabase();
if (database.kind !== "server" || database.source !== "native") {
  await database.close();
  throw new Error("The run kills server processes, so it needs a PostgreSQL to start: set POSTGRES_BIN.");
}
const { url } = database;
const pool = database.newPool();
const random = seededRandom(seed);
const queries = set.questions.map(({ text }) => text);
let done = 0;
let spawned = 0;
let killedProcesses = 0;
let killedServers = 0;
const children = new Set<ChildProcess>();

function startChild(): void {
  spawned += 1;
  const job = JSON.stringify({ url, args: { ...args, tableName: TABLE }, folder, seed: seed * 1_000 + spawned });
  const child = spawn(process.execPath, ["--import", "tsx", "test/helpers/lexical-churn-child.ts", job], {
    cwd: join(import.meta.dirname, ".."),
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  createInterface(child.stdout).on("line", () => (done += 1));
  child.on("exit", (code) => {
    children.delete(child);
    // Nobody but us ends a child.
    if (code !== null) throw new Error(`A writer ended with ${code}.`);
  });
}

async function killChild(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  killedProcesses += 1;
}

/** A backend that dies takes all others with it, and the server recovers from its log. */
async function killServer(): Promise<void> {
  const { rows } = await retried(() =>
    pool.query<{ pid: number }>(
      "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1",
    ),
  );
  if (rows.length === 0) return;
  process.kill(rows[0]!.pid, "SIGKILL");
  killedServers += 1;
  await retried(() => pool.query("select 1"));
}

async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 200) throw error;
      await sleep(100);
    }
  }
}

const open = (tableName: string): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(new HashedEmbeddings(), { ...args, tableName, pool });

/** An index over the very rows that are there now. */
async function openFresh(number: number): Promise<PostgresVectorStore> {
  const fresh = await open(`fresh_${number}`);
  await pool.query(`insert into fresh_${number} select * from ${TABLE}`);
  return fresh;
}

async function quality(store: PostgresVectorStore): Promise<number> {
  const each: number[] = [];
  for (const { text, relevance } of set!.questions) {
    each.push(ndcg([...(await scoresOf(store, text, 10)).keys()], relevance, 10));
  }
  return mean(each);
}

const report: Record<string, string | number>[] = [];
let worstQuality = 0;
let worstScore = 0;
try {
  const store = await open(TABLE);
  for (let phase = 1; phase <= PHASES; phase += 1) {
    for (let i = children.size; i < processes; i += 1) startChild();
    const until = (operations / PHASES) * phase;
    let kill = done + KILL_EVERY;
    while (done < until) {
      await sleep(20);
      if (done < kill) continue;
      kill = done + KILL_EVERY;
      if (random() < 0.5) {
        await killChild([...children][0]!);
        startChild();
      } else await killServer();
    }
    for (const child of children) await killChild(child);
    await retried(() => pool.query("select 1"));
    const state = await store.lexical.state();
    const fresh = await openFresh(phase);
    const [kept, afresh] = [await quality(store), await quality(fresh)];
    worstQuality = Math.max(worstQuality, Math.abs(kept - afresh));
    let difference: string | number = "-";
    if (phase % (PHASES / 2) === 0) {
      await store.lexical.compact();
      difference = await largestDifference(store, fresh, queries);
      worstScore = Math.max(worstScore, difference);
      difference = difference.toExponential(1);
    }
    report.push({
      operations: done,
      chunks: state.chunks,
      dead: state.dead,
      segments: state.segments,
      "nDCG@10": kept.toFixed(4),
      afresh: afresh.toFixed(4),
      difference: Math.abs(kept - afresh).toFixed(4),
      "scores once compacted": difference,
    });
    process.stderr.write(`${JSON.stringify(report.at(-1))}\n`);
  }
} finally {
  for (const child of children) await killChild(child);
  await database.close();
}
table("Against an index built afresh", report);
const ok = worstQuality <= 0.005 && worstScore <= 1e-9;
process.stdout.write(
  `\n${JSON.stringify({ operations: done, processes, seed, killedProcesses, killedServers, worstQuality, worstScore, ok })}\n`,
);
process.exit(ok ? 0 : 1);

import { spawn } from "node:child_process";
import { join } from "node:path";
import type pg from "pg";
import { PostgresVectorStore } from "../src/index.js";
import type { TrafficJob, TrafficReport } from "./reembed/traffic.js";
import { NaiveCopy } from "./reembed/naive.js";
import { PlantedEmbeddings } from "./reembed/planted.js";
import { measureSpace } from "./reembed/space.js";
import {
  atLeast,
  atMost,
  type Bar,
  type BenchOptions,
  type BenchResult,
  describeMachine,
  openBenchDatabase,
  progress,
  quantile,
  table,
} from "./harness.js";

const TABLE = "reembed";

/** From one model to another of twice the dimensions, with readers and writers at work all the time. */
export async function run({ quick, rows = quick ? 3_000 : 50_000 }: BenchOptions): Promise<BenchResult> {
  const dimensions = quick ? ([1_024, 2_048] as const) : ([1_536, 3_072] as const);
  const database = await openBenchDatabase();
  try {
    const pool = database.newPool({ max: 8 });
    await pool.query("create extension if not exists pg_stat_statements");
    const [old, next] = [
      new PlantedEmbeddings("old", dimensions[0], 1),
      new PlantedEmbeddings("next", dimensions[1], 2),
    ];
    const config = { pool, tableName: TABLE, embedders: { [next.fingerprint]: next } };
    const store = await PostgresVectorStore.initialize(old, config);
    progress(`loading ${rows} rows and building the live index`);
    await store.bulkLoad(documents(rows));
    await store.createHnswIndex({ targetRecall: false });
    const naive = new NaiveCopy(pool, dimensions[1]);
    const naiveRows = quick ? 300 : 2_000;
    await naive.make(TABLE);
    const rate = Math.max(2, 0.3 * (await capacity(store, rows)));
    progress(`searches at ${rate.toFixed(0)} a second, 30 % of what the store can do`);
    const traffic = startTraffic({ url: database.url, tableName: TABLE, dimensions, rows, searches: rate, writes: 5 });
    const phases: Record<string, [number, number]> = {};
    const phase = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      progress(name);
      const began = Date.now();
      const result = await work();
      phases[name] = [began, Date.now()];
      return result;
    };
    await traffic.ready;
    const naiveMs = await naive.fill(naiveRows);
    await naive.drop();
    await pool.query("checkpoint");
    await phase("before", () => seconds(quick ? 4 : 20));
    await store.models.add({ embeddings: next });
    const heapBefore = await heapBytes(pool);
    let held = { paused: 0, filledWhileHeld: -1 };
    const filled = await phase("backfill", async () => {
      const hold = holdSnapshot(pool, quick ? 2_500 : 4_000);
      const result = await store.models.backfill({ index: false, onProgress: hold.onProgress });
      held = await hold.done();
      return result;
    });
    const server = await executionTimes(pool);
    const heapAfter = await heapBytes(pool);
    await phase("index", () => store.models.index());
    await phase("cutover", () => store.models.cutover());
    await phase("after", () => seconds(quick ? 2 : 10));
    await phase("rollback", () => store.models.rollback());
    await store.models.cutover({ version: 2 });
    const report = await traffic.stop();
    const lost = await lostWrites(pool, report.written);
    const space = await measureSpace(store, pool, TABLE, dimensions[0]).catch((error: unknown) => {
      progress(`the space could not be measured: ${String(error)}`);
      return { freed: Number.NaN, reuse: Number.NaN, rewritten: Number.NaN };
    });
    const p95 = (name: string): number => {
      const [from, to] = phases[name]!;
      return quantile([...report.searches.filter(([at]) => at >= from && at < to).map(([, ms]) => ms), 0], 0.95);
    };
    table(
      "Searches, open loop",
      Object.entries(phases).map(([name, [from, to]]) => ({
        phase: name,
        seconds: (to - from) / 1_000,
        "p95 ms": p95(name),
      })),
    );
    const perRow = {
      naive: server.naive / naiveRows,
      backfill: server.backfill / filled.filled,
      naiveByClock: naiveMs / naiveRows,
      backfillByClock: (filled.writeSeconds * 1_000) / filled.filled,
    };
    const bars: Bar[] = [
      atMost("failed reads and writes", report.failures.length, 0),
      atMost("reads of mixed versions", report.mixed, 0),
      atMost("lost writes", lost, 0),
      atMost("p95 during the backfill, of that before", p95("backfill") / p95("before"), 1.5),
      atMost("p95 during the index build, of that before", p95("index") / p95("before"), 1.5),
      atLeast("HOT updates, %", filled.hotRatio * 100, 98),
      atMost("growth of the heap, %", (heapAfter / heapBefore - 1) * 100, 15),
      atLeast("paused while a snapshot was held, ms", held.paused, 500),
      atMost("rows filled while it was held", held.filledWhileHeld, 400),
      atLeast("database time against filling at the default fillfactor, times", perRow.naive / perRow.backfill, 8),
      atMost("growth by the next version after retire, %", space.reuse * 100, 5),
      atMost("size after retire --rewrite, of a table that never had it, %", Math.abs(space.rewritten - 1) * 100, 5),
    ];
    const figures = {
      rows,
      dimensions,
      filled: { ...filled, setAside: undefined },
      phases,
      msPerRow: perRow,
      space,
      held,
      searches: report.searches.length,
      missed: report.missed,
      failures: report.failures.slice(0, 5),
    };
    return { machine: await describeMachine(database), figures, bars };
  } finally {
    await database.close();
  }
}

function* documents(rows: number) {
  for (let index = 0; index < rows; index += 1) {
    yield { id: String(index), pageContent: `planted ${index} ${"of some length ".repeat(20)}`, metadata: { index } };
  }
}

/** Searches a second, four at a time. */
async function capacity(store: PostgresVectorStore, rows: number): Promise<number> {
  let done = 0;
  const until = performance.now() + 3_000;
  const loop = async (): Promise<void> => {
    while (performance.now() < until) {
      await store.search(`planted ${Math.floor(Math.random() * rows)}`, { k: 10 });
      done += 1;
    }
  };
  await Promise.all([loop(), loop(), loop(), loop()]);
  return done / 3;
}

function startTraffic(job: TrafficJob): { ready: Promise<void>; stop: () => Promise<TrafficReport> } {
  const file = join(import.meta.dirname, "reembed/traffic.ts");
  // Room for what is young, as for any service of many small requests: the collector stops it less often.
  const child = spawn(process.execPath, ["--max-semi-space-size=64", ...process.execArgv, file, JSON.stringify(job)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  let isReady!: () => void;
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  child.stdout.on("data", (chunk: Buffer) => {
    text += String(chunk);
    if (text.startsWith("ready\n")) isReady();
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    ready,
    stop: async () => {
      child.stdin.end();
      await ended;
      return JSON.parse(text.slice("ready\n".length)) as TrafficReport;
    },
  };
}

/** Holds an old snapshot for a while in the middle of a backfill, and counts what is filled meanwhile. */
function holdSnapshot(pool: pg.Pool, ms: number) {
  let state: "before" | "held" | "over" = "before";
  let [atStart, atEnd, began, pausedFrom] = [0, 0, 0, 0];
  let paused = 0;
  let holding: Promise<void> = Promise.resolve();
  const hold = async (): Promise<void> => {
    const client = await pool.connect();
    await client.query("begin isolation level repeatable read; select 1 from reembed limit 1");
    began = performance.now();
    await seconds(ms / 1_000);
    await client.query("commit");
    state = "over";
    if (pausedFrom > 0) paused = performance.now() - pausedFrom;
    client.release();
  };
  return {
    onProgress: ({ phase, filled }: { phase: string; filled: number }): void => {
      if (state === "before" && filled > 0) {
        state = "held";
        atStart = filled;
        holding = hold();
      }
      if (state !== "held" || began === 0) return;
      atEnd = filled;
      if (phase === "paused" && pausedFrom === 0) pausedFrom = performance.now();
    },
    done: async () => {
      await holding;
      return { paused, filledWhileHeld: Math.max(0, atEnd - atStart) };
    },
  };
}

/** Milliseconds that the server has spent on the backfill's statements, all of them, and on the updates of the copy. */
async function executionTimes(pool: pg.Pool): Promise<{ backfill: number; naive: number }> {
  const { rows } = await pool.query<{ backfill: number; naive: number }>(
    `select coalesce(sum(total_exec_time) filter (where query ~ '/\\* langchain-pgvector:(backfill|held-snapshot|hold-models|replica-lag)'), 0)::float8 as backfill,
       coalesce(sum(total_exec_time) filter (where query like 'update naive%'), 0)::float8 as naive from pg_stat_statements`,
  );
  return rows[0]!;
}

async function lostWrites(pool: pg.Pool, ids: readonly string[]): Promise<number> {
  const { rows } = await pool.query<{ found: number }>(
    `select count(*)::int as found from ${TABLE} where id = any($1) and embedding is not null and embedding_v2 is not null`,
    [ids],
  );
  return ids.length - rows[0]!.found;
}

async function heapBytes(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(`select pg_relation_size('${TABLE}')::float8 as bytes`);
  return rows[0]!.bytes;
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1_000));
}

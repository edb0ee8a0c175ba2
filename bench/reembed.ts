import { spawn } from "node:child_process";
import { join } from "node:path";
import type pg from "pg";
import { PostgresVectorStore } from "../src/index.js";
import type { TrafficJob, TrafficReport } from "./reembed/traffic.js";
import { PlantedEmbeddings } from "./reembed/planted.js";
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
    const [old, next] = [
      new PlantedEmbeddings("old", dimensions[0], 1),
      new PlantedEmbeddings("next", dimensions[1], 2),
    ];
    const config = { pool, tableName: TABLE, embedders: { [next.fingerprint]: next } };
    const store = await PostgresVectorStore.initialize(old, config);
    progress(`loading ${rows} rows and building the live index`);
    await store.bulkLoad(documents(rows));
    await store.createHnswIndex({ targetRecall: false });
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
    const heapAfter = await heapBytes(pool);
    await phase("index", () => store.models.index());
    await phase("cutover", () => store.models.cutover());
    await phase("after", () => seconds(quick ? 2 : 10));
    await phase("rollback", () => store.models.rollback());
    await store.models.cutover({ version: 2 });
    const report = await traffic.stop();
    const lost = await lostWrites(pool, report.written);
    const naive = await fillNaively(pool, dimensions[1], quick ? 300 : 2_000);
    const space = await measureSpace(store, pool, dimensions[0]);
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
    const perRow = filled.writeSeconds / Math.max(1, filled.filled);
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
      atLeast("database time against filling at the default fillfactor, times", naive / perRow, 8),
      atMost("growth by the next version after retire, %", space.reuse * 100, 5),
      atMost("size after retire --rewrite, of a table that never had it, %", Math.abs(space.rewritten - 1) * 100, 5),
    ];
    const figures = {
      rows,
      dimensions,
      filled: { ...filled, setAside: undefined },
      phases,
      naive,
      perRow,
      space,
      held,
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
  const child = spawn(process.execPath, ["--import", "tsx", file, JSON.stringify(job)], {
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

/** Seconds a row of the classic way: a table at the default fillfactor with a live index, filled in the order of its heap. */
async function fillNaively(pool: pg.Pool, dimensions: number, rows: number): Promise<number> {
  progress(`filling ${rows} rows of a copy at the default fillfactor`);
  await pool.query(
    `create table naive with (fillfactor = 100) as select id, text, metadata, content_hash, embedding from ${TABLE} where embedding is not null`,
  );
  await pool.query("create unique index on naive (id)");
  await pool.query("set maintenance_work_mem = '1GB'").catch(() => undefined);
  await pool.query(
    "create index on naive using hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 128)",
  );
  await pool.query(`alter table naive add column next halfvec(${dimensions})`);
  const { rows: ids } = await pool.query<{ id: string }>(`select id from naive order by ctid limit ${rows}`);
  const vector = `[${Array.from({ length: dimensions }, (_, i) => (i % 7) / 7).join(",")}]`;
  const began = performance.now();
  for (let start = 0; start < ids.length; start += 200) {
    const batch = ids.slice(start, start + 200).map(({ id }) => id);
    await pool.query("update naive set next = $2::halfvec where id = any($1)", [batch, vector]);
  }
  return (performance.now() - began) / 1_000 / ids.length;
}

/** How far the next version grows the table after the first has gone, and how large a rewritten table is. */
async function measureSpace(store: PostgresVectorStore, pool: pg.Pool, dimensions: number) {
  progress("retiring the first version, adding another of its size, rewriting");
  await store.models.retire({ version: 1, force: true });
  const freed = await tableBytes(pool, TABLE);
  await store.models.add({ from: 2, dimensions, storageType: "vector" });
  await store.models.backfill({ index: false, maxSlowdown: false });
  const reuse = (await tableBytes(pool, TABLE)) / freed - 1;
  await store.models.retire({ version: 3, force: true, rewrite: true });
  await pool.query(`create table never_had (like ${TABLE} including defaults) with (fillfactor = 90)`);
  await pool.query(`insert into never_had select * from ${TABLE}`);
  const rewritten = (await tableBytes(pool, TABLE)) / (await tableBytes(pool, "never_had"));
  return { freed, reuse, rewritten };
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

async function tableBytes(pool: pg.Pool, name: string): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(`select pg_table_size('${name}')::float8 as bytes`);
  return rows[0]!.bytes;
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1_000));
}

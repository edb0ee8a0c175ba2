import type { PGVectorStore as BaseStore } from "@langchain/community/vectorstores/pgvector";
import { escapeLiteral, type Pool } from "pg";
import { isBinaryParameter } from "../src/db/pool.js";
import { recordQueries, type RecordedQuery } from "../test/helpers/recorded-queries.js";
import {
  atLeast,
  atMost,
  type BenchOptions,
  type BenchResult,
  describeMachine,
  interleaveBlocks,
  median,
  openBenchDatabase,
  progress,
  quantile,
  table,
  timed,
} from "./harness.js";
import { plot } from "./plot.js";
import { type Corpus, EF_SEARCH, loadCorpus, PROMOTED, TENANT } from "./search/data.js";

const K = 10;
const CLIENTS = [8, 32] as const;
const BUCKET = 7;
/** Searches in a row. */
const BLOCK = 100;
/** The base class's recall from which on its time can be compared. */
const COMPARABLE = 0.9;

type Search = (turn: number) => Promise<readonly { readonly distance: number }[]>;
type Ways = Readonly<Record<string, Search>>;

/** The acceptance figures are for these. */
const DIMENSIONS = 1_536;

/** A tenant's search under row-level security beside the base class without tenancy: same rows, index and candidates. */
export async function run({ quick, rows, dimensions, inlineVectors }: BenchOptions): Promise<BenchResult> {
  const widths = dimensions === undefined ? (quick ? [384] : [384, DIMENSIONS]) : [dimensions];
  const counts = rows === undefined ? (quick ? [5_000] : [10_000, 50_000]) : [rows];
  const measured: Measured[] = [];
  for (const width of widths)
    for (const count of counts) measured.push(await measure(count, width, quick, inlineVectors));
  if (widths.length > 1 && counts.length > 1) plotSizes(measured, widths);
  return {
    machine: measured[0]!.machine,
    figures: { sizes: measured.map(({ figures }) => figures) },
    bars: measured.filter(({ width }) => width === (dimensions ?? DIMENSIONS)).flatMap(({ bars }) => bars),
  };
}

interface Measured extends BenchResult {
  readonly rows: number;
  readonly width: number;
  /** Milliseconds of one client and searches a second of many, by what is plotted and by who searches. */
  readonly plotted: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

function plotSizes(measured: readonly Measured[], widths: readonly number[]): void {
  const panels = widths.flatMap((width) => {
    const of = measured.filter((size) => size.width === width);
    return Object.entries(of[0]!.plotted).map(([title, names]) => ({
      title: `${title}, ${width} dimensions`,
      lines: Object.fromEntries(
        Object.keys(names).map((name) => [name, of.map((size) => ({ x: size.rows, y: size.plotted[title]![name]! }))]),
      ),
    }));
  });
  plot("search", "rows", panels);
}

async function measure(rows: number, width: number, quick: boolean, inlineVectors: boolean): Promise<Measured> {
  const database = await openBenchDatabase();
  try {
    const size = `${rows} x ${width}`;
    const corpus = await loadCorpus(database, rows, width, 32, inlineVectors);
    const ways: Ways = {
      ours: (turn) => ours(corpus, turn),
      base: (turn) => base(corpus.base, corpus, turn),
    };
    const filtered: Ways = {
      ours: (turn) => ours(corpus, turn, { [PROMOTED]: BUCKET }),
      "ours, key in the JSON": (turn) => ours(corpus, turn, { bucket: BUCKET }),
      base: (turn) => base(corpus.base, corpus, turn, { bucket: BUCKET }),
      "base, iterative scan": (turn) => base(corpus.iterativeBase, corpus, turn, { bucket: BUCKET }),
    };
    const all = await compare(corpus, ways, quick, false);
    const one = await compare(corpus, filtered, quick, true);
    table(`${rows} rows of ${width} dimensions, 1 client, k = ${K}, ${EF_SEARCH} candidates`, all.rows);
    table(`${rows} rows of ${width} dimensions, a filter that keeps 1 %`, one.rows);
    const bars = [
      atMost(`p50 against the base class, ${size}`, all.p50("ours") / all.p50("base"), 0.4, " x"),
      atLeast(`recall@10 against the base class, ${size}`, all.recall("ours"), Math.min(0.99, all.recall("base"))),
      atLeast(`recall@10, 1 % filter, ${size}`, one.recall("ours"), 0.99),
    ];
    for (const peer of ["base", "base, iterative scan"].filter((name) => one.recall(name) >= COMPARABLE)) {
      bars.push(atMost(`p50 against the ${peer}, 1 % filter, ${size}`, one.p50("ours") / one.p50(peer), 0.1, " x"));
    }
    const load: Record<string, string | number>[] = [];
    const qps: Record<string, number>[] = [];
    for (const clients of CLIENTS) {
      const [mine, theirs] = await throughput(ways, clients, quick ? 1 : 4);
      load.push({ clients, search: "ours", ...mine! }, { clients, search: "base", ...theirs! });
      qps.push({ ours: mine!.qps, base: theirs!.qps });
      const [rate, cpu] = [mine!.qps / theirs!.qps, mine!["CPU us"] / theirs!["CPU us"]];
      bars.push(
        atLeast(`QPS against the base class, ${clients} clients, ${size}`, rate, 2.2, " x"),
        atMost(`client CPU against the base class, ${clients} clients, ${size}`, cpu, 0.2, " x"),
      );
    }
    table(`${rows} rows of ${width} dimensions, throughput, and CPU of the client's process for a search`, load);
    const outside = await timeOutside(corpus, quick ? 200 : 1_000);
    bars.push(atMost(`time outside Postgres, p50, ${size}`, outside, 0.35, " ms"));
    const { measuredEfSearch } = corpus;
    const p50s = ({ p50 }: Comparison, of: Ways): Record<string, number> =>
      Object.fromEntries(Object.keys(of).map((name) => [name, p50(name)]));
    return {
      rows,
      width,
      machine: await describeMachine(database),
      plotted: {
        "p50 ms": p50s(all, ways),
        "p50 ms, 1 % filter": p50s(one, filtered),
        [`searches/s, ${CLIENTS[0]} clients`]: qps[0]!,
      },
      figures: {
        rows,
        dimensions: width,
        measuredEfSearch,
        all: all.rows,
        filtered: one.rows,
        throughput: load,
        outsideMs: outside,
      },
      bars,
    };
  } finally {
    await database.close();
  }
}

interface Comparison {
  readonly rows: Record<string, string | number>[];
  readonly p50: (name: string) => number;
  readonly recall: (name: string) => number;
}

/** Latencies in turns, and recalls, of ways that search for the same. */
async function compare(corpus: Corpus, ways: Ways, quick: boolean, filtered: boolean): Promise<Comparison> {
  const samples = await interleaveBlocks(
    Object.entries(ways).map(([name, search]) => ({ name, run: search })),
    // A process that serves has compiled what it runs.
    { runs: quick ? 90 : 1_800, block: BLOCK, settle: 10, warmUp: quick ? 1 : 10 },
  );
  const recalls = await recallOf(corpus, ways, quick ? 20 : 100, filtered);
  const p50 = (name: string): number => median(samples.get(name)!);
  const recall = (name: string): number => recalls.get(name)!;
  const rows = Object.keys(ways).map((name) => ({
    search: name,
    "p50 ms": p50(name),
    "p99 ms": quantile(samples.get(name)!, 0.99),
    "recall@10": recall(name),
  }));
  return { rows, p50, recall };
}

async function ours(corpus: Corpus, turn: number, filter?: Record<string, number>): ReturnType<Search> {
  const query = corpus.queries[turn % corpus.queries.length]!;
  const hits = await corpus.store.search(query, { k: K, filter, efSearch: EF_SEARCH });
  return hits.map((hit) => ({ distance: hit.distance! }));
}

async function base(
  store: BaseStore,
  corpus: Corpus,
  turn: number,
  filter?: Record<string, number>,
): ReturnType<Search> {
  const query = corpus.queries[turn % corpus.queries.length]!;
  const hits = await store.similaritySearchVectorWithScore(query, K, filter);
  return hits.map(([, distance]) => ({ distance }));
}

/** recall@10 by distance, against our exact search. */
async function recallOf(corpus: Corpus, ways: Ways, count: number, filtered: boolean): Promise<Map<string, number>> {
  const found = new Map(Object.keys(ways).map((name) => [name, 0]));
  for (let turn = 0; turn < count; turn += 1) {
    const limit = await exactLimit(corpus, turn, filtered);
    for (const [name, search] of Object.entries(ways)) {
      const hits = (await search(turn)).filter(({ distance }) => distance <= limit + 1e-6);
      found.set(name, found.get(name)! + hits.length / (K * count));
    }
  }
  return found;
}

/** Distance of the last of the true nearest. */
async function exactLimit(corpus: Corpus, turn: number, filtered: boolean): Promise<number> {
  const query = corpus.queries[turn % corpus.queries.length]!;
  const { rows } = await corpus.store.pool.query(
    `select (embedding <=> $1) + 0 as distance from search where tenant_id = $2
     ${filtered ? `and metadata -> 'bucket' = '${BUCKET}'` : ""} order by 1 limit ${K}`,
    [`[${query.join(",")}]`, TENANT],
  );
  return (rows.at(-1) as { distance: number }).distance;
}

/** `clients` searches at a time for some seconds, ours and the base class's in turns. */
async function throughput(ways: Ways, clients: number, seconds: number): Promise<{ qps: number; "CPU us": number }[]> {
  const totals = ["ours", "base"].map((name) => ({ name, count: 0, ms: 0, cpu: 0 }));
  for (let round = 0; round < 4; round += 1) {
    for (const total of totals) {
      const [start, cpu] = [performance.now(), process.cpuUsage()];
      const end = start + (round === 0 ? 750 * seconds : (seconds * 1_000) / 3);
      let count = 0;
      const client = async (_: unknown, first: number): Promise<void> => {
        for (let turn = first; performance.now() < end; turn += clients, count += 1) await ways[total.name]!(turn);
      };
      await Promise.all(Array.from({ length: clients }, client));
      // The first round opens the connections, gives each its 20 executions and compiles what so many at a time need.
      if (round === 0) continue;
      const used = process.cpuUsage(cpu);
      total.count += count;
      total.ms += performance.now() - start;
      total.cpu += used.user + used.system;
    }
  }
  progress(`measured ${clients} clients`);
  return totals.map(({ count, ms, cpu }) => ({ qps: (1_000 * count) / ms, "CPU us": cpu / count }));
}

/**
 * Median of what a search takes beyond the execution of its statement, in milliseconds. Searches and executions of the same
 * queries take turns in blocks, so that each is measured as it is when nothing else goes on.
 */
async function timeOutside(corpus: Corpus, runs: number): Promise<number> {
  const pool: Pool = corpus.storePool;
  const recorded = recordQueries(pool);
  // The connections that are open are not recorded, so all of them are taken, and one more is made.
  const taken = await Promise.all(Array.from({ length: pool.totalCount }, () => pool.connect()));
  taken.forEach((client) => client.release(true));
  const client = await pool.connect();
  client.release();
  const totals: number[] = [];
  const executions: number[] = [];
  for (let turn = 0; turn < runs; turn += BLOCK) {
    recorded.length = 0;
    for (let i = 0; i < BLOCK; i += 1) totals.push(await timed(() => ours(corpus, turn + i)));
    const asked = recorded.filter(({ text }) => text.includes(":search"));
    executions.push(...(await executionsMs(pool, asked)));
  }
  // The first block is the warm-up.
  return median(totals.slice(BLOCK).map((total, i) => total - executions[BLOCK + i]!));
}

/** Milliseconds of executing statements that keep their plan; making one is no part of a search. */
async function executionsMs(pool: Pool, asked: readonly RecordedQuery[]): Promise<number[]> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    for (const [name, value] of Object.entries(asked[0]!.settings)) {
      await client.query("select set_config($1, $2, true)", [name, value]);
    }
    await client.query(`prepare outside as ${asked[0]!.text}`);
    const milliseconds: number[] = [];
    for (const { values } of asked) {
      const literals = values.map((value) => escapeLiteral(isBinaryParameter(value) ? value.toText() : String(value)));
      const { rows } = await client.query<{ "QUERY PLAN": [{ "Execution Time": number }] }>(
        `explain (analyze, timing off, serialize text, format json) execute outside (${literals.join(", ")})`,
      );
      milliseconds.push(rows[0]!["QUERY PLAN"][0]["Execution Time"]);
    }
    return milliseconds;
  } finally {
    await client.query("rollback; deallocate outside");
    client.release();
  }
}

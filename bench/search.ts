import type { Pool } from "pg";
import { recordQueries, type RecordedQuery } from "../test/helpers/recorded-queries.js";
import {
  atLeast,
  atMost,
  type BenchOptions,
  type BenchResult,
  describeMachine,
  interleave,
  median,
  openBenchDatabase,
  progress,
  quantile,
  table,
} from "./harness.js";
import { type Corpus, loadCorpus, TENANT } from "./search/data.js";

const K = 10;
const CLIENTS = [8, 32] as const;
const FILTER = { bucket: 7 };

type Search = (turn: number) => Promise<readonly { readonly distance: number }[]>;

/** A tenant's search under row-level security beside the base class without tenancy: same rows, index and candidates. */
export async function run({ quick, rows, dimensions }: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase();
  try {
    const size = { rows: rows ?? (quick ? 5_000 : 50_000), dimensions: dimensions ?? (quick ? 384 : 1_536) };
    const corpus = await loadCorpus(database, size.rows, size.dimensions, 32);
    const turns = quick ? 60 : 400;
    const ways: Record<string, Search> = {
      ours: (turn) => ours(corpus, turn),
      base: (turn) => base(corpus, turn),
      "ours, 1 % filter": (turn) => ours(corpus, turn, FILTER),
      "base, 1 % filter": (turn) => base(corpus, turn, FILTER),
    };
    const samples = await interleave(
      Object.entries(ways).map(([name, search]) => ({ name, run: search })),
      { turns, warmUp: quick ? 30 : 150 },
    );
    const recall = await recallOf(corpus, ways, quick ? 20 : 100);
    const latency = Object.keys(ways).map((name) => ({
      search: name,
      "p50 ms": median(samples.get(name)!),
      "p99 ms": quantile(samples.get(name)!, 0.99),
      "recall@10": recall.get(name)!,
    }));
    table(
      `1 client, k = ${K}, ${size.rows} rows, ${size.dimensions} dimensions, ${corpus.efSearch} candidates`,
      latency,
    );
    const p50 = (name: string): number => median(samples.get(name)!);
    const bars = [
      atMost("p50 against the base class", p50("ours") / p50("base"), 0.4, " x"),
      atMost("p50 against the base class, 1 % filter", p50("ours, 1 % filter") / p50("base, 1 % filter"), 0.1, " x"),
      atLeast("recall@10", recall.get("ours")!, 0.99),
      atLeast("recall@10, 1 % filter", recall.get("ours, 1 % filter")!, 0.99),
    ];
    const load: Record<string, string | number>[] = [];
    for (const clients of CLIENTS) {
      const [mine, theirs] = await throughput(ways, clients, quick ? 1 : 4);
      load.push({ clients, search: "ours", ...mine! }, { clients, search: "base", ...theirs! });
      bars.push(
        atLeast(`QPS against the base class, ${clients} clients`, mine!.qps / theirs!.qps, 2.2, " x"),
        atMost(`client CPU against the base class, ${clients} clients`, mine!["CPU us"] / theirs!["CPU us"], 0.2, " x"),
      );
    }
    table("Throughput, and CPU of the client's process for a search", load);
    const outside = await timeOutside(corpus, turns);
    bars.push(atMost("time outside Postgres, p50", outside, 0.35, " ms"));
    return {
      machine: await describeMachine(database),
      figures: { ...size, efSearch: corpus.efSearch, latency, throughput: load, outsideMs: outside },
      bars,
    };
  } finally {
    await database.close();
  }
}

async function ours(corpus: Corpus, turn: number, filter?: typeof FILTER): ReturnType<Search> {
  const query = corpus.queries[turn % corpus.queries.length]!;
  const hits = await corpus.store.search(query, { k: K, filter });
  return hits.map((hit) => ({ distance: hit.distance! }));
}

async function base(corpus: Corpus, turn: number, filter?: typeof FILTER): ReturnType<Search> {
  const query = corpus.queries[turn % corpus.queries.length]!;
  const hits = await corpus.base.similaritySearchVectorWithScore(query, K, filter);
  return hits.map(([, distance]) => ({ distance }));
}

/** recall@10 by distance, against our exact search. */
async function recallOf(corpus: Corpus, ways: Record<string, Search>, count: number): Promise<Map<string, number>> {
  const found = new Map(Object.keys(ways).map((name) => [name, 0]));
  for (let turn = 0; turn < count; turn += 1) {
    for (const [name, search] of Object.entries(ways)) {
      const limit = await exactLimit(corpus, turn, name.includes("filter"));
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
     ${filtered ? `and metadata -> 'bucket' = '${FILTER.bucket}'` : ""} order by 1 limit ${K}`,
    [`[${query.join(",")}]`, TENANT],
  );
  return (rows.at(-1) as { distance: number }).distance;
}

/** `clients` searches at a time for some seconds, ours and the base class's in turns. */
async function throughput(
  ways: Record<string, Search>,
  clients: number,
  seconds: number,
): Promise<{ qps: number; "CPU us": number }[]> {
  const totals = ["ours", "base"].map((name) => ({ name, count: 0, ms: 0, cpu: 0 }));
  for (let round = 0; round < 4; round += 1) {
    for (const total of totals) {
      const [start, cpu] = [performance.now(), process.cpuUsage()];
      const end = start + (round === 0 ? 500 : (seconds * 1_000) / 3);
      let count = 0;
      const client = async (_: unknown, first: number): Promise<void> => {
        for (let turn = first; performance.now() < end; turn += clients, count += 1) await ways[total.name]!(turn);
      };
      await Promise.all(Array.from({ length: clients }, client));
      // The first round opens the connections and gives each its 20 executions.
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

/** Median of what a search takes beyond the planning and the execution of its statement, in milliseconds. */
async function timeOutside(corpus: Corpus, turns: number): Promise<number> {
  const recorded = recordQueries(corpus.storePool);
  // The connections that are open are not recorded, so all of them are taken, and one more is made.
  const pool: Pool = corpus.storePool;
  const taken = await Promise.all(Array.from({ length: pool.totalCount }, () => pool.connect()));
  taken.forEach((client) => client.release(true));
  const differences: number[] = [];
  for (let turn = 0; turn < turns + 50; turn += 1) {
    recorded.length = 0;
    const start = performance.now();
    await ours(corpus, turn);
    const total = performance.now() - start;
    const query = recorded.find(({ text }) => text.includes(":search"))!;
    const server = await explained(pool, query);
    if (turn >= 50) differences.push(total - server);
  }
  return median(differences);
}

async function explained(pool: Pool, query: RecordedQuery): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    for (const [name, value] of Object.entries(query.settings)) {
      await client.query("select set_config($1, $2, true)", [name, value]);
    }
    const { rows } = await client.query<{ "QUERY PLAN": [{ "Planning Time": number; "Execution Time": number }] }>(
      `explain (analyze, timing off, format json) ${query.text}`,
      [...query.values],
    );
    const [plan] = rows[0]!["QUERY PLAN"];
    return plan["Planning Time"] + plan["Execution Time"];
  } finally {
    await client.query("rollback");
    client.release();
  }
}

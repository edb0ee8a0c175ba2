import type { Pool } from "pg";
import {
  atMost,
  type Bar,
  type BenchOptions,
  type BenchResult,
  type Competitor,
  describeMachine,
  interleave,
  median,
  openBenchDatabase,
  progress,
  quantile,
  table,
  timed,
} from "./harness.js";
import { BareQuery, ours, searchBase, strategies } from "./tenancy/competitors.js";
import { bareClients, type Corpus, loadCorpus, tenantKinds, type TenantKind } from "./tenancy/data.js";
import { measureRecall } from "./tenancy/recall.js";
import { sweep } from "./tenancy/sweep.js";

const CLIENTS = [8, 32] as const;
/** Rows of `tenantKinds(1)`. */
const FULL_ROWS = 89_100;

/** Milliseconds by competitor: `base`, `ours/<kind>`, `bare/<kind>`. */
type Samples = ReadonlyMap<string, readonly number[]>;

/** Tenant-scoped search against the base class without tenancy, and against a query written by hand. */
export async function run({ quick, rows, dimensions }: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase();
  try {
    const scale = (rows ?? (quick ? 26_000 : FULL_ROWS)) / FULL_ROWS;
    const kinds = tenantKinds(Math.min(1, scale));
    const corpus = await loadCorpus(database, kinds, dimensions ?? (quick ? 256 : 1_536), 32);
    const chosen = await strategies(database, corpus);
    const turns = quick ? 40 : 200;
    const bare = await bareClients(database, 32);
    const hands = bare.map((client) => new BareQuery(client, corpus, chosen));

    const alone = await oneClient(corpus, hands[0]!, turns);
    const tables = { 1: report(corpus, alone, 1, (kind) => chosen.get(kind)!.kind) };
    const bars: Bar[] = [...latencyBars(corpus, alone)];
    for (const clients of CLIENTS) {
      const samples = await manyClients(corpus, hands.slice(0, clients), quick ? 2 : 8);
      Object.assign(tables, { [clients]: report(corpus, samples, clients, (kind) => chosen.get(kind)!.kind) });
      bars.push(...baseBars(corpus, samples, clients));
    }
    bare.forEach((client) => client.release());
    const recall = await measureRecall(database, corpus, quick ? 10 : 100);
    progress("measured recall");
    const swept = await sweep(database, {
      dimensions: quick ? 32 : 64,
      tenants: [1, 100, 1_000, 10_000],
      rowsEach: [100, 1_000],
      turns: quick ? 40 : 200,
      maxRows: quick ? 100_000 : 10_000_000,
    });
    return {
      machine: await describeMachine(database),
      figures: {
        rows: corpus.rows,
        dimensions: corpus.dimensions,
        tables,
        recall: recall.figures,
        sweep: swept.figures,
      },
      bars: [...bars, ...recall.bars, ...swept.bars],
    };
  } finally {
    await database.close();
  }
}

/**
 * All sizes of tenants and all competitors take turns on one connection each. The bare query needs a statement before
 * each turn, for its session; the others get one too, so that each finds its server process awake.
 */
async function oneClient(corpus: Corpus, hand: BareQuery, turns: number): Promise<Samples> {
  const { store, base: basePool } = corpus.pools;
  const competitors: Competitor[] = corpus.kinds.flatMap((kind) => [
    {
      name: `ours/${kind.kind}`,
      prepare: () => store.query("select 1"),
      run: (turn) => ours(corpus, kind, turn),
    },
    {
      name: `bare/${kind.kind}`,
      prepare: (turn) => hand.prepare(kind, turn),
      run: (turn) => hand.run(kind, turn),
    },
  ]);
  competitors.push({
    name: "base",
    prepare: () => basePool.query("select 1"),
    run: (turn) => searchBase(corpus, turn),
  });
  return interleave(competitors, { turns, warmUp: 150 });
}

/**
 * Rounds in which all clients run the same competitor at once, each over all sizes of tenants and starting with another;
 * competitors take turns by round. The two statements that the bare query needs before each search are matched by two
 * idle ones of the others, so that all of them spend the same share of their time waiting their turn.
 */
async function manyClients(corpus: Corpus, hands: readonly BareQuery[], rounds: number): Promise<Samples> {
  const { kinds, pools } = corpus;
  const samples = new Map<string, number[]>();
  const idle = async (pool: Pool): Promise<void> => {
    for (let i = 0; i < 2; i += 1) await pool.query("select 1");
  };
  const ways = [
    {
      name: (kind: string): string => `ours/${kind}`,
      prepare: () => idle(pools.store),
      run: (_: number, kind: TenantKind, turn: number) => ours(corpus, kind, turn),
    },
    {
      name: (kind: string): string => `bare/${kind}`,
      prepare: (client: number, kind: TenantKind, turn: number) => hands[client]!.prepare(kind, turn),
      run: (client: number, kind: TenantKind, turn: number) => hands[client]!.run(kind, turn),
    },
    {
      name: (): string => "base",
      prepare: () => idle(pools.base),
      run: (_: number, __: TenantKind, turn: number) => searchBase(corpus, turn),
    },
  ];
  const turns = 2 * kinds.length;
  // The rounds before 0 give every connection its 20 executions.
  for (let round = -2; round < rounds; round += 1) {
    for (let step = 0; step < ways.length; step += 1) {
      const { name, prepare, run: search } = ways[(round + 2 + step) % ways.length]!;
      const clients = hands.map(async (_, client) => {
        for (let turn = client; turn < client + turns; turn += 1) {
          const kind = kinds[turn % kinds.length]!;
          await prepare(client, kind, turn);
          const milliseconds = await timed(() => search(client, kind, turn));
          if (round < 0) continue;
          if (!samples.has(name(kind.kind))) samples.set(name(kind.kind), []);
          samples.get(name(kind.kind))!.push(milliseconds);
        }
      });
      await Promise.all(clients);
    }
  }
  return samples;
}

function report(
  corpus: Corpus,
  samples: Samples,
  clients: number,
  way: (kind: string) => string,
): Record<string, string | number>[] {
  const base = median(samples.get("base")!);
  const rows = corpus.kinds.map(({ kind, rows: size }) => {
    const mine = samples.get(`ours/${kind}`)!;
    const bare = median(samples.get(`bare/${kind}`)!);
    return {
      tenant: kind,
      rows: size,
      way: way(kind),
      "ours p50 ms": median(mine),
      "ours p95 ms": quantile(mine, 0.95),
      "bare p50 ms": bare,
      "base p50 ms": base,
      "ours/bare": median(mine) / bare,
      "ours/base": median(mine) / base,
    };
  });
  table(
    `${clients} client${clients === 1 ? "" : "s"}, k = 10, ${corpus.rows} rows, ${corpus.dimensions} dimensions`,
    rows,
  );
  return rows;
}

/** The aims for one client. */
function latencyBars(corpus: Corpus, samples: Samples): Bar[] {
  const bars = baseBars(corpus, samples, 1);
  for (const { kind, rows } of corpus.kinds) {
    const mine = median(samples.get(`ours/${kind}`)!);
    const bare = median(samples.get(`bare/${kind}`)!);
    bars.push(atMost(`tenant ${kind} against the bare query`, mine, Math.max(1.15 * bare, bare + 0.1), " ms"));
    if (rows > 100 && kind !== "own")
      bars.push(atMost(`tenant ${kind}, 8 us a row + 1 ms`, mine, 0.008 * rows + 1, " ms"));
    if (kind === "3000") bars.push(atMost("tenant 3000, the stretch", mine, 2, " ms"));
  }
  return bars;
}

function baseBars(corpus: Corpus, samples: Samples, clients: number): Bar[] {
  const base = median(samples.get("base")!);
  return corpus.kinds
    .filter(({ kind }) => kind === "100" || kind === "own")
    .map(({ kind }) => {
      const name = `tenant ${kind} against the base class, ${clients} client${clients === 1 ? "" : "s"}`;
      return atMost(name, median(samples.get(`ours/${kind}`)!) / base, 0.4, " x");
    });
}

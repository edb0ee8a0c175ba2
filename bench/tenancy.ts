import type { Pool } from "pg";
import {
  atMost,
  type Bar,
  type BenchOptions,
  type BenchResult,
  describeMachine,
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

const CLIENTS = [1, 8, 32] as const;
/** Of each block of so many laps over all sizes, the first searches do not count. */
const TURNS = {
  alone: { rounds: 20, laps: 14, settle: 24 },
  together: { rounds: 8, laps: 4, settle: 6 },
} as const;
/** Rows of `tenantKinds(1)`. */
const FULL_ROWS = 89_100;

/** Milliseconds by competitor: `base`, `ours/<kind>`, `bare/<kind>`. */
type Samples = ReadonlyMap<string, readonly number[]>;

/** Tenant-scoped search against the base class without tenancy, and against a query written by hand. */
export async function run({ quick, rows, dimensions, inlineVectors }: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase();
  try {
    const scale = (rows ?? (quick ? 26_000 : FULL_ROWS)) / FULL_ROWS;
    const kinds = tenantKinds(Math.min(1, scale));
    const corpus = await loadCorpus(database, kinds, {
      dimensions: dimensions ?? (quick ? 256 : 1_536),
      clients: Math.max(...CLIENTS),
      inlineVectors,
    });
    const chosen = await strategies(database, corpus);
    const bare = await bareClients(database, Math.max(...CLIENTS));
    const hands = bare.map((client) => new BareQuery(client, corpus, chosen));
    const aimed = { ...corpus, kinds: kinds.filter(isAimed) };
    const way = (kind: string): string => chosen.get(kind)!.kind;

    const tables: Record<string, unknown> = {};
    const bars: Bar[] = [];
    for (const clients of CLIENTS) {
      const turns = TURNS[clients === 1 ? "alone" : "together"];
      const rounds = quick ? 2 : turns.rounds;
      const some = hands.slice(0, clients);
      const who = `${clients} client${clients === 1 ? "" : "s"}`;
      const small = await takeTurns(aimed, some, { ...turns, rounds, laps: 3 * turns.laps });
      tables[who] = report(
        aimed,
        small,
        `${who}, tenants of 100 rows and those with an index of their own in turns`,
        way,
      );
      bars.push(...baseBars(aimed, small, who));
      const all = await takeTurns(corpus, some, { ...turns, rounds });
      tables[`${who}, all sizes`] = report(corpus, all, `${who}, all sizes in turns`, way);
      if (clients === 1) bars.push(...latencyBars(corpus, all));
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
 * Rounds in which all clients run the same competitor at once, each over the sizes of tenants in turns, small and large
 * ones alternating, and starting with another; competitors take turns by round. What comes before `settle` turns of a
 * round does not count, since the processor's caches are still full of the others' rows and code. The two statements that
 * the bare query needs before each search are matched by two idle ones of the others, so that all of them find their
 * server process awake and spend the same share of their time waiting their turn.
 */
async function takeTurns(
  corpus: Corpus,
  hands: readonly BareQuery[],
  { rounds, laps, settle }: { rounds: number; laps: number; settle: number },
): Promise<Samples> {
  const samples = new Map<string, number[]>();
  const mixed = alternating(corpus.kinds);
  const idle = async (pool: Pool): Promise<void> => {
    for (let i = 0; i < 2; i += 1) await pool.query("select 1");
  };
  const ways = [
    {
      name: (kind: string): string => `ours/${kind}`,
      prepare: () => idle(corpus.pools.store),
      run: (_: number, kind: TenantKind, turn: number) => ours(corpus, kind, turn),
    },
    {
      name: (kind: string): string => `bare/${kind}`,
      prepare: (client: number, kind: TenantKind, turn: number) => hands[client]!.prepare(kind, turn),
      run: (client: number, kind: TenantKind, turn: number) => hands[client]!.run(kind, turn),
    },
    {
      name: (): string => "base",
      prepare: () => idle(corpus.pools.base),
      run: (_: number, __: TenantKind, turn: number) => searchBase(corpus, turn),
    },
  ];
  // The rounds before 0 give every connection its 20 executions and more.
  for (let round = -2; round < rounds; round += 1) {
    for (let step = 0; step < ways.length; step += 1) {
      const { name, prepare, run: search } = ways[(round + 2 + step) % ways.length]!;
      const clients = hands.map(async (_, client) => {
        for (let turn = 0; turn < laps * mixed.length; turn += 1) {
          const kind = mixed[(client + turn) % mixed.length]!;
          const place = Math.max(0, round) * laps * mixed.length + client + turn;
          await prepare(client, kind, place);
          const milliseconds = await timed(() => search(client, kind, place));
          if (round < 0 || turn < settle) continue;
          if (!samples.has(name(kind.kind))) samples.set(name(kind.kind), []);
          samples.get(name(kind.kind))!.push(milliseconds);
        }
      });
      await Promise.all(clients);
    }
  }
  return samples;
}

/** From the ends inwards of what goes from large to small. */
function alternating(kinds: readonly TenantKind[]): TenantKind[] {
  return kinds.map((_, turn) => kinds.at(turn % 2 === 0 ? turn / 2 : -(turn + 1) / 2)!);
}

function report(
  corpus: Corpus,
  samples: Samples,
  title: string,
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
  table(`${title}, k = 10, ${corpus.rows} rows, ${corpus.dimensions} dimensions`, rows);
  return rows;
}

/** The aims beside the query by hand, and for tenants of middling size. */
function latencyBars(corpus: Corpus, samples: Samples): Bar[] {
  const bars: Bar[] = [];
  for (const { kind, rows, own } of corpus.kinds) {
    const mine = median(samples.get(`ours/${kind}`)!);
    const bare = median(samples.get(`bare/${kind}`)!);
    bars.push(atMost(`tenant ${kind} against the bare query`, mine, Math.max(1.15 * bare, bare + 0.1), " ms"));
    if (rows > 100 && !own) bars.push(atMost(`tenant ${kind}, 8 us a row + 1 ms`, mine, 0.008 * rows + 1, " ms"));
    if (kind.endsWith("3000")) bars.push(atMost(`tenant ${kind}, the stretch`, mine, 2, " ms"));
  }
  return bars;
}

/** What is held against the base class: small tenants, and those with an index of their own. */
function isAimed({ rows, own }: TenantKind): boolean {
  return rows <= 100 || own === true;
}

function baseBars(corpus: Corpus, samples: Samples, clients: string): Bar[] {
  const base = median(samples.get("base")!);
  return corpus.kinds
    .filter(isAimed)
    .map(({ kind }) =>
      atMost(
        `tenant ${kind} against the base class, ${clients}`,
        median(samples.get(`ours/${kind}`)!) / base,
        0.4,
        " x",
      ),
    );
}

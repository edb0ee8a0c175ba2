import { readFileSync } from "node:fs";
import type { Pool } from "pg";
import { type BulkLoadItem, PostgresVectorStore, type PostgresVectorStoreArgs } from "../src/index.js";
import { lexicalTables } from "../src/schema/lexical.js";
import {
  atLeast,
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
import { readPieces } from "./hybrid/sets.js";

const TENANTS = 200;
const WRITERS = 8;
const WRITER_TURNS = 5;
/** Rows of a batch of a load. */
const BATCH = 5_000;
/** Writes are durable, as they are in production; loads may lose what they have not yet reported. */
const DURABLE = { fsync: "on", synchronous_commit: "on", full_page_writes: "on" } as const;
const QUESTIONS = [
  "how does partition pruning work for declarative constraints",
  "structural and aeroelastic problems of high speed aircraft",
  "effect of vitamin d on bone density in older women",
  "which retrieval systems use automatic indexing of documents",
];
const COMMON = "use result data function type value cell study";

/** Latency and cost of the lexical leg and of hybrid searches, for one tenant and for two hundred. */
export async function run({
  quick,
  rows = quick ? 8_000 : 50_000,
  dimensions = quick ? 64 : 384,
}: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase(DURABLE);
  const figures: Record<string, unknown> = {};
  const bars: Bar[] = [];
  try {
    const pool = database.newPool({ max: 10 });
    const pieces = readPieces(rows);
    const bytes = pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
    const bench = new Bench(pool, pieces, dimensions);

    const plain = await bench.load("plain", { lexical: false }, () => "default");
    const single = await bench.load("single", { lexical: true }, () => "default");
    figures["chunks/s without and with the index"] = [plain.rate, single.rate];
    bars.push(atLeast("load with the lexical index, chunks/s", single.rate, 3_000));
    figures["compaction of all of it, s"] = (await timed(() => single.store.lexical.compact())) / 1_000;
    figures["bytes per byte of text"] = await bench.size("single", bytes);
    bars.push(atMost("lexical files per byte of text, one tenant", figures["bytes per byte of text"] as number, 1.7));
    await single.store.createHnswIndex();
    bars.push(...(await bench.latency("one tenant", single.store, figures, quick)));
    figures["OR and ts_rank, p50 ms"] = await bench.tsRank();
    const kept = await bench.writes(single.store, await bench.apart("single", { lexical: true }));
    Object.assign(figures, { "writes with the index": kept, "writes without": await bench.writes(plain.store, []) });
    progress(`writers with the index: ${JSON.stringify(kept)}`);
    bars.push(
      atLeast(
        "eight writers of one tenant, chunks/s, against four times one, or 0.9 of eight that share no lexical index",
        kept.eight,
        Math.min(4 * kept.one, 0.9 * kept.apart),
      ),
    );

    // One tenant has four fifths of the rows, the others share the rest.
    const big = Math.floor(pieces.length * 0.8);
    const tenantOf = (index: number): string => (index < big ? "big" : `t${index % (TENANTS - 1)}`);
    const many = await bench.load("many", { lexical: true, tenancy: "rls" }, tenantOf);
    for (let i = 0; i < TENANTS - 1; i += 1) await many.store.forTenant(`t${i}`).lexical.compact();
    await many.store.forTenant("big").lexical.compact();
    figures["bytes per byte of text, 200 tenants"] = await bench.size("many", bytes);
    bars.push(
      atMost(
        "lexical files per byte of text, 200 tenants",
        figures["bytes per byte of text, 200 tenants"] as number,
        2.5,
      ),
    );
    await many.store.createHnswIndex();
    bars.push(...(await bench.latency("200 tenants, the largest", many.store.forTenant("big"), figures, quick)));
    return { machine: await describeMachine(database), figures, bars };
  } finally {
    await database.close();
  }
}

class Bench {
  constructor(
    readonly pool: Pool,
    readonly pieces: readonly string[],
    readonly dimensions: number,
  ) {}

  /** Clustered enough for an index to find its way, and different for every text. */
  vector(seed: number): number[] {
    return Array.from(
      { length: this.dimensions },
      (_, i) => Math.sin((seed % 50) * 7 + i) + 0.5 * Math.sin(seed * 1.7 + i * i),
    );
  }

  async load(name: string, args: PostgresVectorStoreArgs, tenantOf: (index: number) => string) {
    const embeddings = { embedQuery: () => Promise.resolve(this.vector(3)), embedDocuments: () => Promise.resolve([]) };
    const store = await PostgresVectorStore.initialize(embeddings, {
      ...args,
      pool: this.pool,
      tableName: `hybrid_${name}`,
      dimensions: this.dimensions,
    });
    const groups = new Map<string, BulkLoadItem[]>();
    this.pieces.forEach((pageContent, index) => {
      const tenant = tenantOf(index);
      const group = groups.get(tenant) ?? [];
      if (group.length === 0) groups.set(tenant, group);
      const document = { id: String(index), pageContent, metadata: { kind: index % 100 } };
      group.push({ document, embedding: Float32Array.from(this.vector(index)) });
    });
    const milliseconds = await timed(async () => {
      for (const [tenant, items] of groups) {
        const view = args.tenancy === "rls" ? store.forTenant(tenant) : store;
        await view.bulkLoad(items, { batchRows: BATCH, vacuum: false });
      }
    });
    const rate = (this.pieces.length / milliseconds) * 1_000;
    progress(`${name}: ${Math.round(rate)} chunks/s`);
    return { store, rate };
  }

  /** What plain Postgres takes for the same questions: any word, ranked by `ts_rank`, with a GIN index. */
  async tsRank(): Promise<Record<string, number>> {
    await this.pool.query(
      "create table ts_rank as select id, to_tsvector('english', text) as words from hybrid_single; " +
        "create index on ts_rank using gin (words)",
    );
    await this.pool.query("vacuum analyze ts_rank");
    const search = (text: string): Promise<unknown> =>
      this.pool.query(
        `select id from ts_rank, cast(replace(plainto_tsquery('english', $1)::text, '&', '|') as tsquery) as q
         where words @@ q order by ts_rank(words, q, 1) desc limit 10`,
        [text],
      );
    const samples = async (texts: readonly string[]): Promise<number> => {
      const times = [];
      for (let turn = 0; turn < 24; turn += 1) times.push(await timed(() => search(texts[turn % texts.length]!)));
      return median(times.slice(4));
    };
    return { typical: await samples(QUESTIONS), "commonest words": await samples([COMMON]) };
  }

  /** Bytes of the lexical tables, indexes included, per byte of text, after a vacuum. */
  async size(name: string, bytes: number): Promise<number> {
    let total = 0;
    for (const relation of lexicalTables(`hybrid_${name}`)) {
      await this.pool.query(`vacuum analyze ${relation}`);
      const { rows } = await this.pool.query<{ size: string }>("select pg_total_relation_size($1::regclass) as size", [
        relation,
      ]);
      total += Number(rows[0]!.size);
    }
    return total / bytes;
  }

  async latency(
    label: string,
    store: PostgresVectorStore,
    figures: Record<string, unknown>,
    quick: boolean,
  ): Promise<Bar[]> {
    await this.pool.query("vacuum analyze");
    const question = (turn: number): string => QUESTIONS[turn % QUESTIONS.length]!;
    const searches: Competitor[] = [
      { name: "lexical", run: (turn) => store.search(question(turn), { searchType: "lexical", k: 10 }) },
      { name: "lexical, commonest words", run: () => store.search(COMMON, { searchType: "lexical", k: 10 }) },
      { name: "vector", run: () => store.search(this.vector(3), { k: 100 }) },
      { name: "lexical, 100 rows", run: (turn) => store.search(question(turn), { searchType: "lexical", k: 100 }) },
      { name: "hybrid", run: (turn) => store.search(question(turn), { searchType: "hybrid", k: 10 }) },
    ];
    const samples = await interleave(searches, { turns: quick ? 20 : 60, warmUp: quick ? 5 : 20 });
    const processor = new Map<string, number>();
    for (const one of searches) {
      const before = await this.processorTime();
      for (let turn = 0; turn < 20; turn += 1) await one.run(turn);
      processor.set(one.name, ((await this.processorTime()) - before) / 20);
    }
    const p50 = (name: string): number => median(samples.get(name)!);
    const report = [...samples].map(([search, times]) => ({
      search,
      "p50 ms": median(times),
      "p95 ms": quantile(times, 0.95),
      "server's processor ms": processor.get(search)!,
    }));
    table(label, report);
    figures[label] = report;
    return [
      atMost(`${label}: lexical p50`, p50("lexical"), 6, " ms"),
      atMost(`${label}: commonest words p50`, p50("lexical, commonest words"), 15, " ms"),
      atMost(
        `${label}: hybrid p50 against the sum of its legs`,
        p50("hybrid"),
        p50("vector") + p50("lexical, 100 rows"),
        " ms",
      ),
    ];
  }

  /**
   * Milliseconds that the connections' processes have had a processor, which other work on the machine hardly changes; NaN
   * where the server's processes cannot be seen.
   */
  async processorTime(): Promise<number> {
    const { rows } = await this.pool.query<{ pid: number }>(
      "select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend'",
    );
    try {
      const times = rows.map(({ pid }) => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6);
      return times.reduce((sum, time) => sum + time, 0);
    } catch {
      return NaN;
    }
  }

  /** Eight collections of a table, each of which has a lexical index of its own. */
  async apart(name: string, args: PostgresVectorStoreArgs): Promise<PostgresVectorStore[]> {
    const embeddings = { embedQuery: () => Promise.resolve(this.vector(3)), embedDocuments: () => Promise.resolve([]) };
    const common = { ...args, pool: this.pool, tableName: `hybrid_${name}`, dimensions: this.dimensions };
    const names = Array.from({ length: WRITERS }, (_, writer) => `apart-${writer}`);
    return Promise.all(
      names.map((collectionName) => PostgresVectorStore.initialize(embeddings, { ...common, collectionName })),
    );
  }

  /**
   * Milliseconds of one chunk's update and delete, and the chunks per second of one writer, of eight, and of eight that
   * write where the others do not: what the machine can do at all. Rates are medians of turns that alternate.
   */
  async writes(store: PostgresVectorStore, apart: readonly PostgresVectorStore[]) {
    const add = (to: PostgresVectorStore, id: string, turn: number): Promise<unknown> =>
      to.addVectors([this.vector(turn)], [{ id, pageContent: this.pieces[turn % this.pieces.length]!, metadata: {} }]);
    const update = [];
    for (let turn = 0; turn < 60; turn += 1) update.push(await timed(() => add(store, "one", turn)));
    const remove = [];
    for (let turn = 0; turn < 30; turn += 1) remove.push(await timed(() => store.delete({ ids: [String(turn)] })));
    let written = 0;
    const rate = async (stores: readonly PostgresVectorStore[]): Promise<number> => {
      const each = 400 / stores.length;
      const milliseconds = await timed(() =>
        Promise.all(
          stores.map(async (to) => {
            for (let turn = 0; turn < each; turn += 1) await add(to, `w-${written}`, (written += 1));
          }),
        ),
      );
      return ((stores.length * each) / milliseconds) * 1_000;
    };
    const rates = { one: [] as number[], eight: [] as number[], apart: [] as number[] };
    for (let turn = 0; turn < WRITER_TURNS; turn += 1) {
      rates.one.push(await rate([store]));
      rates.eight.push(await rate(Array.from({ length: WRITERS }, () => store)));
      if (apart.length > 0) rates.apart.push(await rate(apart));
    }
    return {
      "update, p50 ms": median(update),
      "delete, p50 ms": median(remove),
      one: median(rates.one),
      eight: median(rates.eight),
      apart: apart.length > 0 ? median(rates.apart) : Number.NaN,
    };
  }
}

import { randomUUID } from "node:crypto";
import { cpus } from "node:os";
import { Document } from "@langchain/core/documents";
import { Chroma as TheirChroma } from "@langchain/community/vectorstores/chroma";
import { PGVectorStore as BaseStore } from "@langchain/community/vectorstores/pgvector";
import type { Pool } from "pg";
import { Chroma } from "../src/chroma/index.js";
import { startChromaServer } from "../test/helpers/chroma-server.js";
import type { ServerTestDatabase } from "../test/helpers/open-database.js";
import { vectorSpace } from "../test/helpers/vector-space.js";
import { type Panel, plot } from "./plot.js";
import { NoEmbeddings } from "./tenancy/data.js";
import {
  atLeast,
  atMost,
  type Bar,
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

const K = 10;
/** The acceptance figures are for these. */
const DIMENSIONS = 1_536;
const BUCKETS = 100;
const BATCH = 1_000;
const TEXT = "what a chunk of a few sentences says about a topic ".repeat(10);

/** What both classes of LangChain offer. */
type Store = Pick<Chroma, "similaritySearchVectorWithScore">;

interface Query {
  readonly vector: number[];
  readonly where: { readonly bucket: number };
}

/** The base class's are pgvector's own, Chroma's 16 and 100. Ours are a smaller graph that finds as much of these rows. */
const GRAPHS = { ours: { m: 8, efConstruction: 80 }, base: { m: 16, efConstruction: 64 } } as const;
/** Of our searches where nothing was measured, and of Chroma's. */
const DEFAULT_CANDIDATES = 100;
const CANDIDATES = [20, 28, 40, 64, DEFAULT_CANDIDATES] as const;
/** PostgreSQL's own: a build of ours asks for what it needs, one of the base class takes what there is. */
const MEMORY = { maintenance_work_mem: "64MB" };

/**
 * LangChain's `Chroma` on a server from npm against ours on Postgres: load, index, searches. LangChain's `PGVectorStore`
 * loads and indexes the same rows.
 */
export async function run({ quick, rows, dimensions, inlineVectors }: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase(MEMORY);
  const server = await startChromaServer();
  try {
    const sizes = [dimensions ?? (quick ? 384 : undefined)]
      .flatMap((given) => (given === undefined ? [384, DIMENSIONS] : [given]))
      .flatMap((width) =>
        (rows === undefined ? (quick ? [4_000] : [10_000, 50_000]) : [rows]).map((count) => ({ width, count })),
      );
    const figures: Record<string, string | number>[] = [];
    const bars: Bar[] = [];
    for (const { width, count } of sizes) {
      const measured = await measure(database, server.url, {
        dimensions: width,
        count,
        inlineVectors,
        turns: quick ? 45 : 450,
      });
      figures.push(measured);
      if (width === (dimensions ?? DIMENSIONS)) bars.push(...barsOf(measured));
    }
    for (const [title, columns] of Object.entries(COLUMNS)) {
      const shown = ["dimensions", "rows", ...columns];
      table(
        `${title}, k = ${K}`,
        figures.map((row) => Object.fromEntries(shown.map((column) => [column, row[column]!]))),
      );
    }
    if (sizes.length > 2) plotSizes(figures);
    return { machine: await describeMachine(database), figures: { sizes: figures }, bars };
  } finally {
    await server.stop();
    await database.close();
  }
}

type Measured = Record<string, string | number>;

/** Which figures are shown together. */
const COLUMNS = {
  "Load and index": ["Chroma load s", "base load and index s", "our load s", "our index s"],
  "Searching all rows, ours by candidates": [
    "Chroma p50 ms",
    "Chroma p99 ms",
    ...CANDIDATES.map((efSearch) => `our p50 ms, ${efSearch}`),
    "our p99 ms",
    "Chroma recall",
    ...CANDIDATES.map((efSearch) => `our recall, ${efSearch}`),
  ],
  "Searching with a filter that keeps 1 %": [
    "Chroma 1 % p50 ms",
    "our 1 % p50 ms",
    "our 1 % p50 ms, GIN",
    "Chroma 1 % recall",
    "our 1 % recall",
  ],
} as const;

function plotSizes(figures: readonly Measured[]): void {
  const panels = [...new Set(figures.map((row) => row["dimensions"]))].flatMap((width): Panel[] => {
    const line = (...columns: string[]): { x: number; y: number }[] =>
      figures
        .filter((row) => row["dimensions"] === width)
        .map((row) => ({ x: Number(row["rows"]), y: columns.reduce((sum, column) => sum + Number(row[column]), 0) }));
    return [
      {
        title: `load and index s, ${width} dimensions`,
        lines: {
          ours: line("our load s", "our index s"),
          Chroma: line("Chroma load s"),
          "base class": line("base load and index s"),
        },
      },
      {
        title: `p50 ms, ${width} dimensions`,
        lines: { ours: line(`our p50 ms, ${DEFAULT_CANDIDATES}`), Chroma: line("Chroma p50 ms") },
      },
      {
        title: `p50 ms, 1 % filter, ${width} dimensions`,
        lines: {
          "ours, GIN": line("our 1 % p50 ms, GIN"),
          Chroma: line("Chroma 1 % p50 ms"),
          "ours, no index": line("our 1 % p50 ms"),
        },
      },
    ];
  });
  plot("chroma", "rows", panels);
}

async function measure(
  database: ServerTestDatabase,
  url: string,
  {
    dimensions,
    count,
    inlineVectors,
    turns,
  }: { dimensions: number; count: number; inlineVectors: boolean; turns: number },
): Promise<Measured> {
  const collectionName = `bench-${dimensions}-${count}`;
  const args = { collectionName, collectionMetadata: { "hnsw:space": "cosine" }, numDimensions: dimensions };
  const theirs = new TheirChroma(new NoEmbeddings(), { ...args, url });
  const pool = database.newPool({ max: 2 });
  const tableName = `bench_${dimensions}_${count}`;
  const ours = await Chroma.initialize(new NoEmbeddings(), { ...args, pool, tableName, inlineVectors });
  const draw = vectorSpace({ dimensions });

  const rows = drawRows(draw(1), count);
  const chromaLoad = await addAll(theirs, rows);
  // What is not in the index yet goes in with the first search.
  const first = Array.from(draw(3)());
  const chromaIndex = (await timed(() => theirs.similaritySearchVectorWithScore(first, K))) / 1_000;
  progress(`Chroma: ${count} rows of ${dimensions} dimensions in ${(chromaLoad + chromaIndex).toFixed(1)} s`);
  // As the base class does it: vacuumed afterwards, and built while nobody writes.
  const ourLoad = (await timed(() => ours.bulkLoad(rows, { vacuum: false }))) / 1_000;
  const build = { ...GRAPHS.ours, targetRecall: false, concurrently: false, workers: cpus().length - 1 } as const;
  const ourIndex = (await timed(() => ours.createHnswIndex(build))) / 1_000;
  progress(`ours: ${ourLoad.toFixed(1)} s to load, ${ourIndex.toFixed(1)} s to index`);
  const base = await loadBase(pool, `base_${tableName}`, rows, dimensions);
  progress(`base class: ${base.toFixed(1)} s to load and index`);
  await pool.query(`vacuum (analyze) ${tableName}`);

  const next = draw(2);
  const queries: Query[] = Array.from({ length: 100 }, (_, index) => ({
    vector: Array.from(next()),
    where: { bucket: index % BUCKETS },
  }));
  const query = (turn: number): Query => queries[turn % queries.length]!;
  const blocks = { runs: turns, block: 50, settle: 5, warmUp: turns < 100 ? 1 : 5 };
  const samples = await interleaveBlocks(
    [
      { name: "chroma", run: (turn) => theirs.similaritySearchVectorWithScore(query(turn).vector, K) },
      ...CANDIDATES.map((efSearch) => ({
        name: `ours/${efSearch}`,
        run: (turn: number) => ours.search(query(turn).vector, { k: K, efSearch }),
      })),
      {
        name: "chroma/1 %",
        run: (turn) => theirs.similaritySearchVectorWithScore(query(turn).vector, K, query(turn).where),
      },
      {
        name: "ours/1 %",
        run: (turn) => ours.similaritySearchVectorWithScore(query(turn).vector, K, query(turn).where),
      },
    ],
    blocks,
  );
  // Chroma has such an index by itself.
  const ourFilterIndex = (await timed(() => ours.indexes.create({ type: "gin", concurrently: false }))) / 1_000;
  await pool.query(`vacuum (analyze) ${tableName}`);
  const indexed = await interleaveBlocks(
    [{ name: "ours", run: (turn) => ours.similaritySearchVectorWithScore(query(turn).vector, K, query(turn).where) }],
    blocks,
  );
  const exact = await exactResults(database, ours, queries);
  progress(`searched ${count} rows of ${dimensions} dimensions`);
  const recalls: Record<string, number> = {};
  for (const efSearch of CANDIDATES) {
    const store = await Chroma.initialize(new NoEmbeddings(), { ...args, pool, tableName, efSearch });
    recalls[`our recall, ${efSearch}`] = await recall(store, queries, exact.all, false);
  }
  const p50 = (name: string): number => median(samples.get(name)!);
  const p99 = (name: string): number => quantile(samples.get(name)!, 0.99);
  return {
    dimensions,
    rows: count,
    "Chroma load s": chromaLoad + chromaIndex,
    "our load s": ourLoad,
    "our index s": ourIndex + ourFilterIndex,
    "base load and index s": base,
    "Chroma p50 ms": p50("chroma"),
    "Chroma p99 ms": p99("chroma"),
    ...Object.fromEntries(CANDIDATES.map((efSearch) => [`our p50 ms, ${efSearch}`, p50(`ours/${efSearch}`)])),
    "our p99 ms": p99(`ours/${DEFAULT_CANDIDATES}`),
    "Chroma 1 % p50 ms": p50("chroma/1 %"),
    "our 1 % p50 ms": p50("ours/1 %"),
    "our 1 % p50 ms, GIN": median(indexed.get("ours")!),
    "Chroma recall": await recall(theirs, queries, exact.all, false),
    ...recalls,
    "Chroma 1 % recall": await recall(theirs, queries, exact.filtered, true),
    "our 1 % recall": await recall(ours, queries, exact.filtered, true),
  };
}

function barsOf(measured: Measured): Bar[] {
  const of = (name: string): number => measured[name] as number;
  const size = `${of("rows")} x ${of("dimensions")}`;
  const loaded = of("our load s") + of("our index s");
  const asGood = CANDIDATES.filter((efSearch) => of(`our recall, ${efSearch}`) >= of("Chroma recall"));
  // Where none is as good, the bar of the recall says so.
  if (asGood.length === 0) asGood.push(DEFAULT_CANDIDATES);
  const fastest = Math.min(...asGood.map((efSearch) => of(`our p50 ms, ${efSearch}`)));
  return [
    atLeast(`load and index, ${size}, of Chroma's speed`, of("Chroma load s") / loaded, 4, " x"),
    atLeast(`load and index, ${size}, of the base class's`, of("base load and index s") / loaded, 2, " x"),
    atMost(`search p50 at Chroma's recall, ${size}, of Chroma's`, fastest / of("Chroma p50 ms"), 0.2, " x"),
    atLeast(
      `recall@10 by default, ${size}, against Chroma's`,
      of(`our recall, ${DEFAULT_CANDIDATES}`),
      of("Chroma recall"),
    ),
    atMost(`1 % filtered p50, ${size}, of Chroma's`, of("our 1 % p50 ms") / of("Chroma 1 % p50 ms"), 0.1, " x"),
    atMost(
      `1 % filtered p50 with a GIN index, ${size}, of Chroma's`,
      of("our 1 % p50 ms, GIN") / of("Chroma 1 % p50 ms"),
      0.1,
      " x",
    ),
    atLeast(`1 % filtered recall@10, ${size}, against Chroma's`, of("our 1 % recall"), of("Chroma 1 % recall")),
  ];
}

/** Seconds to load and index with LangChain's `PGVectorStore`. */
async function loadBase(pool: Pool, tableName: string, rows: readonly Row[], dimensions: number): Promise<number> {
  const base = await BaseStore.initialize(new NoEmbeddings(), { pool, tableName, dimensions });
  const load = await addAll(base, rows, () => randomUUID());
  const index = await timed(() => base.createHnswIndex({ ...GRAPHS.base, dimensions }));
  base.client?.release();
  return load + index / 1_000;
}

interface Row {
  readonly document: { readonly id: string; readonly pageContent: string; readonly metadata: object };
  readonly embedding: number[];
}

function drawRows(draw: () => Float32Array, count: number): Row[] {
  return Array.from({ length: count }, (_, row) => {
    const metadata = { bucket: row % BUCKETS, source: `${row}.md` };
    const document = { id: String(row), pageContent: `Chunk ${row}: ${TEXT}`, metadata };
    return { document, embedding: Array.from(draw()) };
  });
}

/** Seconds to add all rows, in calls of a thousand. */
async function addAll(
  store: TheirChroma | BaseStore,
  rows: readonly Row[],
  newId = (row: Row): string => row.document.id,
): Promise<number> {
  let seconds = 0;
  for (let start = 0; start < rows.length; start += BATCH) {
    const batch = rows.slice(start, start + BATCH);
    const vectors = batch.map(({ embedding }) => embedding);
    const documents = batch.map(({ document }) => new Document(document));
    seconds += (await timed(() => store.addVectors(vectors, documents, { ids: batch.map(newId) }))) / 1_000;
  }
  return seconds;
}

interface Exact {
  readonly all: readonly ReadonlySet<string>[];
  readonly filtered: readonly ReadonlySet<string>[];
}

/** The true nearest rows, by a scan of the whole table. */
async function exactResults(database: ServerTestDatabase, store: Chroma, queries: readonly Query[]): Promise<Exact> {
  const client = await database.newPool({ max: 1 }).connect();
  try {
    await client.query("set enable_indexscan = off");
    const nearest = async ({ vector, where }: Query, filtered: boolean): Promise<Set<string>> => {
      const { rows } = await client.query<{ id: string }>(
        `select id from ${store.computedTableName} where not $2 or metadata @> $3::jsonb
         order by embedding <=> $1::vector limit ${K}`,
        [JSON.stringify(vector), filtered, JSON.stringify(where)],
      );
      return new Set(rows.map(({ id }) => id));
    };
    const all: Set<string>[] = [];
    const filtered: Set<string>[] = [];
    for (const query of queries) {
      all.push(await nearest(query, false));
      filtered.push(await nearest(query, true));
    }
    return { all, filtered };
  } finally {
    client.release(true);
  }
}

/** Mean share of the true nearest rows that a store finds. */
async function recall(
  store: Store,
  queries: readonly Query[],
  exact: readonly ReadonlySet<string>[],
  filtered: boolean,
): Promise<number> {
  let sum = 0;
  for (const [index, { vector, where }] of queries.entries()) {
    const hits = await store.similaritySearchVectorWithScore(vector, K, filtered ? where : undefined);
    const wanted = exact[index]!;
    sum += hits.filter(([{ id }]) => wanted.has(id!)).length / wanted.size;
  }
  return sum / queries.length;
}

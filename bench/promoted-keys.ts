import { PostgresVectorStore, type Filter } from "../src/index.js";
import type { ServerTestDatabase } from "../test/helpers/open-database.js";
import { vectorSpace } from "../test/helpers/vector-space.js";
import { seededRandom } from "../test/helpers/vectors.js";
import {
  atMost,
  describeMachine,
  interleave,
  median,
  openBenchDatabase,
  progress,
  quantile,
  table,
  type BenchOptions,
  type BenchResult,
} from "./harness.js";
import { NoEmbeddings } from "./tenancy/data.js";

const TABLE = "promoted_keys";
const TENANT = "large";
const OTHERS = 60;
const OTHER_ROWS = 100;
const BATCH = 250;
const WORDS = "what a chunk of a few sentences says about a topic of its tenant ".repeat(8);

/** What a filter asks of a promoted key, and of another one with the same values that is not; both keep as many rows. */
const SHAPES: readonly [string, (number: string, text: string) => Filter][] = [
  ["1 %, equality", (number) => ({ [number]: 7 })],
  ["0.3 %, three values", (number) => ({ [`${number}_wide`]: { in: [70, 171, 272] } })],
  ["1 %, range", (number) => ({ [`${number}_wide`]: { gte: 500, lt: 510 } })],
  ["1 %, text begins with", (_, text) => ({ [text]: { $like: "folder-07/%" } })],
  ["10 %, range", (number) => ({ [number]: { gte: 20, lt: 30 } })],
];

/**
 * Searches of one tenant of 40,000 rows with filters on promoted keys against the same filters on keys that are not, in
 * one table, as the application's login.
 */
export async function run({ quick, rows, dimensions = 384 }: BenchOptions): Promise<BenchResult> {
  const size = rows ?? (quick ? 8_000 : 40_000);
  const database = await openBenchDatabase();
  try {
    const draw = vectorSpace({ dimensions });
    const store = await load(database, size, dimensions, draw(1));
    const next = draw(2);
    const queries = Array.from({ length: 100 }, () => Array.from(next()));
    const search = (filter: Filter) => (turn: number) => store.search(queries[turn % 100]!, { k: 10, filter });
    const samples = await interleave(
      SHAPES.flatMap(([name, filterOf]) => [
        { name: `${name}, JSON`, run: search(filterOf("n", "path")) },
        { name: `${name}, promoted`, run: search(filterOf("promoted_n", "promoted_path")) },
      ]),
      { turns: quick ? 40 : 200 },
    );
    const p50 = (name: string): number => median(samples.get(name)!);
    table(
      `Searches of a tenant of ${size.toLocaleString("en")} rows at ${dimensions} dimensions, k = 10 (ms)`,
      SHAPES.map(([filter]) => ({
        filter,
        "JSON p50": p50(`${filter}, JSON`),
        "promoted p50": p50(`${filter}, promoted`),
        "JSON p95": quantile(samples.get(`${filter}, JSON`)!, 0.95),
        "promoted p95": quantile(samples.get(`${filter}, promoted`)!, 0.95),
      })),
    );
    return {
      machine: await describeMachine(database),
      figures: {
        rows: size,
        dimensions,
        p50: Object.fromEntries([...samples.keys()].map((name) => [name, p50(name)])),
      },
      bars: SHAPES.map(([name]) =>
        name.startsWith("10 %")
          ? atMost(`${name}: promoted over JSON`, p50(`${name}, promoted`) / p50(`${name}, JSON`), 1.2)
          : atMost(`${name}: promoted over JSON`, p50(`${name}, promoted`) / p50(`${name}, JSON`), 0.25),
      ),
    };
  } finally {
    await database.close();
  }
}

/** Batches of all tenants take turns, so that nobody's rows lie together. */
async function load(
  database: ServerTestDatabase,
  size: number,
  dimensions: number,
  draw: () => Float32Array,
): Promise<PostgresVectorStore> {
  const config = { tableName: TABLE, tenancy: "rls", dimensions } as const;
  const owner = await PostgresVectorStore.initialize(new NoEmbeddings(), {
    ...config,
    promotedKeys: { promoted_n: "number", promoted_n_wide: "number", promoted_path: "text" },
    pool: database.newPool({ connectionString: database.ownerUrl, max: 4 }),
  });
  const random = seededRandom(3);
  const batches = Math.ceil(size / BATCH);
  for (let batch = 0; batch < batches; batch += 1) {
    await add(owner, TENANT, batch * BATCH, Math.min(BATCH, size - batch * BATCH), draw, random);
    const others = Array.from({ length: OTHERS }, (_, other) => other).filter(
      (other) => Math.floor((other * batches) / OTHERS) === batch,
    );
    for (const other of others) await add(owner, `other-${other}`, 0, OTHER_ROWS, draw, random);
  }
  progress("building the HNSW index");
  await owner.createHnswIndex();
  await database.newPool({ max: 1 }).query(`vacuum (analyze) ${TABLE}`);
  const app = await PostgresVectorStore.fromExistingIndex(new NoEmbeddings(), {
    ...config,
    pool: database.newPool({ connectionString: database.appUrl, max: 1 }),
  });
  return app.forTenant(TENANT);
}

async function add(
  store: PostgresVectorStore,
  tenant: string,
  start: number,
  count: number,
  draw: () => Float32Array,
  random: () => number,
): Promise<void> {
  const documents = Array.from({ length: count }, (_, index) => {
    const n = Math.floor(random() * 100);
    const wide = Math.floor(random() * 1_000);
    const path = `folder-${String(n).padStart(2, "0")}/file-${wide}.md`;
    const metadata = { n, n_wide: wide, path, promoted_n: n, promoted_n_wide: wide, promoted_path: path };
    return { id: String(start + index), pageContent: `Chunk ${start + index} of ${tenant}: ${WORDS}`, metadata };
  });
  await store.forTenant(tenant).addVectors(documents.map(draw), documents);
}

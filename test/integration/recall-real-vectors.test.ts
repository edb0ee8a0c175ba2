import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { reaches } from "../../src/ops/tune/recommend.js";
import { describeServer, openServerDatabase, testSchema } from "../helpers/database.js";
import type { ServerTestDatabase } from "../helpers/open-database.js";
import { kthSimilarity, readPooledTruth, readPooledVectors, type PooledVectors } from "../helpers/pooled-vectors.js";
import { sharedData, sharedDataTitle } from "../helpers/shared-data.js";
import { HashedEmbeddings, seededRandom } from "../helpers/vectors.js";

const K = 10;
const folder = sharedData("pooled-lsa192");

const describeData: typeof describeServer = folder === undefined ? describe.skip : describeServer;

/** Real vectors of 12 collections; as a filter, a label keeps rows that lie together and far from most queries. */
describeData(sharedDataTitle("recall on real vectors, at the default settings", "pooled-lsa192"), () => {
  let database: ServerTestDatabase;
  let store: PostgresVectorStore;
  let pool: pg.Pool;
  let set: PooledVectors;
  const random = seededRandom(4);

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
    set = readPooledVectors(folder!);
    store = await PostgresVectorStore.initialize(new HashedEmbeddings(set.dimensions), {
      pool,
      tableName: "pooled",
      dimensions: set.dimensions,
      ...testSchema(),
    });
    for (let start = 0; start < set.documents.length; start += 2_000) {
      const batch = set.documents.slice(start, start + 2_000);
      await store.addVectors(
        batch.map(({ vector }) => vector),
        batch.map(({ id, label }) => ({ id, pageContent: id, metadata: { label } })),
      );
    }
    await store.createHnswIndex();
  }, 180_000);

  afterAll(() => database.close());

  /** recall@10 over queries drawn from all collections; a row at the same distance as the tenth counts. */
  async function recall(queries: number, label?: string): Promise<number> {
    const candidates = set.documents.filter((document) => label === undefined || document.label === label);
    const vectors = candidates.map(({ vector }) => vector);
    let found = 0;
    for (let i = 0; i < queries; i += 1) {
      const query = set.queries[Math.floor(random() * set.queries.length)]!;
      const hits = await store.search(Array.from(query), { k: K, ...(label !== undefined && { filter: { label } }) });
      const least = kthSimilarity(query, vectors, K) - 1e-6;
      found += hits.filter(({ distance }) => 1 - distance! >= least).length;
    }
    return found / (K * queries);
  }

  test("the index was measured, and needs more candidates than the server's default", async () => {
    const { rows } = await pool.query<{ note: string }>(
      `select obj_description(indexrelid, 'pg_class') as note from pg_index
       where indrelid = $1::regclass and not indisprimary and obj_description(indexrelid, 'pg_class') is not null`,
      [store.computedTableName],
    );
    const efSearch = Number(/efSearch (\d+), recall@10 [\d.]+ in \d+ searches$/.exec(rows[0]!.note)?.[1]);
    expect(efSearch).toBeGreaterThan(100);
  });

  test("of all rows", async () => {
    expect(await recall(200)).toBeGreaterThanOrEqual(0.99);
  });

  test("of each label as a filter", async () => {
    const labels = new Set(set.documents.map(({ label }) => label));
    expect(labels.size).toBe(12);
    const low: Record<string, number> = {};
    for (const label of labels) {
      const reached = await recall(50, label);
      if (reached < 0.99) low[label] = reached;
    }
    expect(low).toEqual({});
  }, 60_000);

  test("tune reaches its target for other questions, with the fastest setting that does", async () => {
    const truth = readPooledTruth(folder!, K).toSorted(() => random() - 0.5);
    const target = 0.97;
    const queries = truth.slice(0, 240).map(({ vector }) => Array.from(vector));
    const report = await store.indexes.tune({ queries, maxQueries: 240, targetRecall: target });
    expect(report).toMatchObject({ reached: true, applied: true, questions: "given", queries: 160, heldBack: 80 });
    const { recommended, points } = report;
    for (const point of points) {
      if (point.p50Ms < recommended.p50Ms) expect(reaches(point, target) && point.recall).toBe(false);
    }
    // A store that is opened now finds what was stored.
    const other = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(set.dimensions), {
      pool,
      tableName: "pooled",
      ...testSchema(),
    });
    let found = 0;
    const heldBack = truth.slice(240, 640);
    for (const { vector, limit } of heldBack) {
      const hits = await other.search(Array.from(vector), { k: K });
      found += hits.filter(({ distance }) => 1 - distance! >= limit - 1e-6).length;
    }
    expect(found / (K * heldBack.length)).toBeGreaterThanOrEqual(target - 0.005);
  }, 120_000);
});

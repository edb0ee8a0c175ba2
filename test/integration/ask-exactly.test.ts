import { afterAll, beforeAll, expect, test } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { Database } from "../../src/db/database.js";
import { askExactly } from "../../src/store/ask-exactly.js";
import { openStore, scopeTo, type ScopedStore } from "../../src/store/open.js";
import { resolveOptions } from "../../src/store/options.js";
import { sampleQuestions, searchFor } from "../../src/store/recall-questions.js";
import { runSearch } from "../../src/store/search.js";
import type { Metric } from "../../src/schema/layout.js";
import { describeServer, openServerDatabase, testSchema } from "../helpers/database.js";
import type { ServerTestDatabase } from "../helpers/open-database.js";
import { vectorSpace } from "../helpers/vector-space.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 32;
const ROWS = 5_000;
const K = 10;

describeServer("exact answers to many questions in one pass", () => {
  let database: ServerTestDatabase;

  beforeAll(async () => {
    database = await openServerDatabase();
  });

  afterAll(() => database.close());

  async function filled(tableName: string, distanceStrategy: Metric, storageType: "vector" | "halfvec") {
    const options = { pool: database.pool, tableName, distanceStrategy, storageType, dimensions: DIMENSIONS };
    const embeddings = new HashedEmbeddings(DIMENSIONS);
    const store = await PostgresVectorStore.initialize(embeddings, { ...options, ...testSchema() });
    const draw = vectorSpace({ dimensions: DIMENSIONS })(1);
    await store.bulkLoad(
      Array.from({ length: ROWS }, (_, row) => ({
        document: { id: String(row), pageContent: `chunk ${row}`, metadata: {} },
        embedding: draw(),
      })),
    );
    await store.createHnswIndex({ targetRecall: false });
    const resolved = resolveOptions({ ...options, ...testSchema() });
    const open = await openStore(new Database(database.pool), resolved, embeddings, { mustExist: true });
    return scopeTo(open, "default");
  }

  async function oneByOne(store: ScopedStore, vector: readonly number[]): Promise<number> {
    const { hits } = await runSearch(store, searchFor([...vector], { k: K }), { kind: "exact" });
    return hits.at(-1)!.distance;
  }

  test.each([
    ["cosine", "vector"],
    ["euclidean", "vector"],
    ["innerProduct", "vector"],
    ["cosine", "halfvec"],
  ] as const)("%s distance in a column of type %s: the same as one search for each", async (metric, type) => {
    const store = await filled(`asked_${metric.toLowerCase()}_${type}`, metric, type);
    const vectors = await sampleQuestions(store, 40);
    const questions = await askExactly(store, vectors, { k: K, deadline: performance.now() + 10_000 });
    expect(questions).toHaveLength(vectors.length);
    for (const { vector, limit, nearest } of questions) {
      expect(nearest).toBe(K);
      expect(limit).toBeCloseTo(await oneByOne(store, vector as number[]), 6);
    }
  });

  test("stops at its deadline and at its signal", async () => {
    const store = await filled("asked_until", "cosine", "vector");
    const vectors = await sampleQuestions(store, 20);
    expect(await askExactly(store, vectors, { k: K, deadline: performance.now() - 1 })).toEqual([]);
    const asking = askExactly(store, vectors, { k: K, deadline: Infinity, signal: AbortSignal.abort("enough") });
    await expect(asking).rejects.toBe("enough");
  });
});

import { Embeddings } from "@langchain/core/embeddings";
import { Document } from "@langchain/core/documents";
import { SparseVector as TheirVector } from "pgvector";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { diversify } from "../../src/chains/index.js";
import {
  ConfigurationError,
  DatabaseError,
  IndexBuildError,
  IngestError,
  InvalidVectorError,
  PostgresVectorStore,
  type IndexInfo,
  type PostgresVectorStoreArgs,
  type RejectedRow,
  type SparseVector,
} from "../../src/index.js";
import { SparseVectorParameter } from "../../src/db/sparse-codec.js";
import { toSparse } from "../../src/db/sparse-vector.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { sparseVectors, toDense, VOCABULARY } from "../helpers/sparse-vectors.js";
import { recall } from "../helpers/vectors.js";

/** Gives each text the vector that was set for it, as an array, as LangChain's embedders do. */
class PreparedEmbeddings extends Embeddings {
  constructor(
    private readonly dimensions: number,
    readonly vectors = new Map<string, SparseVector>(),
  ) {
    super({});
  }

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    return texts.map((text) => toDense(this.vectors.get(text) ?? one(this.dimensions)));
  }

  override async embedQuery(text: string): Promise<number[]> {
    return (await this.embedDocuments([text]))[0]!;
  }
}

const one = (dimensions: number): SparseVector => ({ dimensions, indices: [0], values: [1] });
const many = (count: number, dimensions = VOCABULARY): SparseVector => ({
  dimensions,
  indices: Array.from({ length: count }, (_, i) => i),
  values: Array.from({ length: count }, (_, i) => 1 + (i % 7)),
});
const document = (i: number): Document =>
  new Document({ id: `id-${i}`, pageContent: `text ${i} about thing${i % 10}`, metadata: { i, even: i % 2 === 0 } });
const documents = (count: number): Document[] => Array.from({ length: count }, (_, i) => document(i));

let database: TestDatabase;
let tables = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const open = (args: PostgresVectorStoreArgs = {}, dimensions = VOCABULARY): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(new PreparedEmbeddings(dimensions), {
    pool: database.pool,
    tableName: `sparse_${(tables += 1)}`,
    storageType: "sparsevec",
    dimensions,
    ...testSchema(),
    ...args,
  });

async function query<T>(text: string): Promise<T[]> {
  const client = await database.pool.connect();
  try {
    return (await client.query({ text })).rows as T[];
  } finally {
    client.release();
  }
}

const storedText = async (store: PostgresVectorStore): Promise<string[]> =>
  (await query<{ text: string }>(`select embedding::text as text from ${store.computedTableName} order by id`)).map(
    ({ text }) => text,
  );

const hnswOf = async (store: PostgresVectorStore): Promise<IndexInfo[]> =>
  (await store.indexes.list()).filter(({ type }) => type === "hnsw");

const idsOf = (hits: readonly { document: Document }[]): string[] => hits.map((hit) => hit.document.id!);

describe("vectors of 30,522 dimensions", () => {
  const vectors = sparseVectors(300);

  it("come back as they were stored, exact to float32, in either notation and on every path", async () => {
    const given = [
      { dimensions: VOCABULARY, indices: [30_521, 0, 17], values: [0.1, -3.4e38, 1e-45] },
      ...vectors.slice(1, 40),
    ];
    const added = await open({ distanceStrategy: "euclidean" });
    await added.addVectors(given, documents(40));
    const asArrays = await open({ distanceStrategy: "euclidean" });
    await asArrays.addVectors(given.map(toDense), documents(40));
    const loaded = await open({ distanceStrategy: "euclidean" });
    const { rows } = await loaded.bulkLoad(given.map((embedding, i) => ({ document: document(i), embedding })));
    expect(rows).toBe(40);
    for (const store of [added, asArrays, loaded]) {
      const chunks = await store.get({ include: ["embeddings"] });
      const byId = new Map(chunks.map((chunk) => [chunk.id, chunk]));
      given.forEach((vector, i) => {
        expect(byId.get(`id-${i}`)).toEqual({ id: `id-${i}`, sparseEmbedding: toSparse(vector) });
      });
    }
    expect(await storedText(loaded)).toEqual(await storedText(added));
    expect(await storedText(asArrays)).toEqual(await storedText(added));
    expect((await storedText(added))[0]).toBe("{1:-3.4e+38,18:1e-45,30522:0.1}/30522");
  });

  it("are embedded from arrays of an embedder, and from values of the npm package pgvector", async () => {
    const embeddings = new PreparedEmbeddings(VOCABULARY);
    const store = await PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName: `sparse_${(tables += 1)}`,
      storageType: "sparsevec",
      ...testSchema(),
    });
    vectors.slice(0, 20).forEach((vector, i) => embeddings.vectors.set(document(i).pageContent, vector));
    await store.addDocuments(documents(20));
    await store.bulkLoad([new Document({ id: "loaded", pageContent: document(3).pageContent })]);
    expect(idsOf(await store.search(document(3).pageContent, { k: 2 }))).toEqual(["id-3", "loaded"]);
    const { indices, values, dimensions } = vectors[7]!;
    const theirs = new TheirVector(new Map(indices.map((index, i) => [index, values[i]])), dimensions);
    expect(idsOf(await store.search(theirs, { k: 1 }))).toEqual(["id-7"]);
    expect((await store.similaritySearchVectorWithScore(theirs, 1))[0]![1]).toBeCloseTo(0, 6);
    expect((await store.search(toDense(vectors[7]!), { k: 1 }))[0]!.distance).toBeCloseTo(0, 6);
  });

  it("work with filters, words, MMR, diversify, metadata, overwriting and delete", async () => {
    const store = await open({ lexical: true });
    await store.addVectors(vectors.slice(0, 100), documents(100));
    const found = await store.search(vectors[4]!, { k: 5, filter: { even: true }, includeEmbeddings: true });
    expect(found[0]!.sparseEmbedding).toEqual(toSparse(vectors[4]!));
    expect(found[0]).not.toHaveProperty("embedding");
    expect(found.every(({ document: { metadata } }) => metadata["even"])).toBe(true);
    const hybrid = await store.search("thing7", { k: 3, searchType: "hybrid", includeEmbeddings: true });
    expect(hybrid.every(({ sparseEmbedding }) => sparseEmbedding!.dimensions === VOCABULARY)).toBe(true);
    expect(hybrid.some(({ lexical }) => lexical !== undefined)).toBe(true);
    expect(await store.maxMarginalRelevanceSearch("anything", { k: 4, fetchK: 12 })).toHaveLength(4);
    const diverse = await store.search("thing7", { searchType: "lexical", k: 3, postProcess: [diversify()] });
    expect(diverse).toHaveLength(3);
    expect(diverse[0]).not.toHaveProperty("sparseEmbedding");
    await store.addVectors([vectors[200]!], [document(4)]);
    expect((await store.get({ ids: ["id-4"], include: ["embeddings"] }))[0]!.sparseEmbedding).toEqual(
      toSparse(vectors[200]!),
    );
    await store.delete({ ids: ["id-4"] });
    expect(idsOf(await store.search(vectors[200]!, { k: 100 }))).not.toContain("id-4");
  });

  it("choose unlike hits by maximal marginal relevance as arrays of the same vectors do", async () => {
    const small = sparseVectors(60, { dimensions: 80, elements: 12, topics: 6, seed: 9 });
    const asked = small[1]!;
    const sets: string[][] = [];
    for (const storageType of ["sparsevec", "vector"] as const) {
      const embeddings = new PreparedEmbeddings(80, new Map([["q", asked]]));
      const store = await PostgresVectorStore.initialize(embeddings, {
        pool: database.pool,
        tableName: `sparse_${(tables += 1)}`,
        storageType,
        dimensions: 80,
        ...testSchema(),
      });
      await store.addVectors(small.map(toDense), documents(60));
      const best = await store.maxMarginalRelevanceSearch("q", { k: 8, fetchK: 40, lambda: 0.3 });
      sets.push(best.map(({ id }) => id!));
    }
    expect(sets[0]).toEqual(sets[1]);
  });
});

describe("distances", () => {
  const space = { dimensions: 96, elements: 14, topics: 8, seed: 3 };
  const vectors = sparseVectors(200, space);
  const questions = sparseVectors(10, { ...space, elements: 9 });

  it.each(["cosine", "euclidean", "innerProduct"] as const)("are those of dense vectors: %s", async (metric) => {
    const sparse = await open({ distanceStrategy: metric }, 96);
    const dense = await open({ distanceStrategy: metric, storageType: "vector" }, 96);
    await sparse.addVectors(vectors, documents(200));
    await dense.addVectors(vectors.map(toDense), documents(200));
    for (const question of questions) {
      const ours = await sparse.search(question, { k: 10 });
      const theirs = await dense.search(toDense(question), { k: 10 });
      ours.forEach((hit, i) => {
        expect(hit.distance).toBeCloseTo(theirs[i]!.distance!, 5);
        expect(hit.similarity).toBeCloseTo(theirs[i]!.similarity!, 5);
      });
      expect(recall(idsOf(ours), idsOf(theirs))).toBe(1);
    }
  });
});

describe("an HNSW index", () => {
  // So many that searches with 60 candidates go by the index.
  const space = { seed: 5, elements: 50 };
  const vectors = sparseVectors(3_000, space);
  const questions = sparseVectors(150, space);
  let store: PostgresVectorStore;

  beforeAll(async () => {
    store = await open();
    await store.bulkLoad(vectors.map((embedding, i) => ({ document: document(i), embedding })));
    await store.createHnswIndex({ m: 12, efConstruction: 64 });
  }, 240_000);

  it("has the operator class of the metric, serves searches, and reaches its recall", async () => {
    const [index] = await hnswOf(store);
    expect(index).toMatchObject({ valid: true, serves: true, metric: "cosine" });
    const { statements } = await store.explain(vectors[3]!, { k: 10, efSearch: 60 });
    expect(JSON.stringify(statements)).toContain(index!.name);
    const asked = questions.map((vector, i) => `(${i}, '${new SparseVectorParameter(vector).toText()}'::sparsevec)`);
    // This order no index can serve.
    const nearest = await query<{ ids: string[] }>(
      `select array(select id from ${store.computedTableName} order by (embedding <=> q.vector) + 0 limit 10) as ids
       from (values ${asked.join()}) q (i, vector) order by q.i`,
    );
    let sum = 0;
    for (const [i, vector] of questions.entries()) {
      sum += recall(idsOf(await store.search(vector, { k: 10, efSearch: 60 })), nearest[i]!.ids);
    }
    expect(sum / questions.length).toBeGreaterThanOrEqual(0.95);
  });

  it("takes questions of more values than its rows may have", async () => {
    expect(await store.search(many(3_000), { k: 5 })).toHaveLength(5);
  });

  it("refuses rows with more than 1,000 values before anything is written, naming the row and the cure", async () => {
    const small = await open();
    await small.addVectors(vectors.slice(0, 50), documents(50));
    await small.createHnswIndex();
    const error = await errorOf(small.addVectors([vectors[0]!, many(1_001)], [document(0), document(9_999)]));
    expect(error).toBeInstanceOf(InvalidVectorError);
    expect(error.message).toBe(
      'Vector 1 (id "id-9999") has 1,001 values that are not zero, the HNSW index on the column takes 1,000. Keep the ' +
        "1,000 largest, or drop the index (langchain-pgvector indexes drop) and search exactly.",
    );
    const rejected: RejectedRow[] = [];
    const items = [many(1_000), many(1_001), vectors[0]!].map((embedding, i) => ({
      document: new Document({ id: `new-${i}`, pageContent: "x" }),
      embedding,
    }));
    const load = { indexes: "rebuild", onError: "skip", onReject: (row: RejectedRow) => rejected.push(row) } as const;
    expect(await small.bulkLoad(items, load)).toMatchObject({ rows: 2, rejected: 1 });
    expect(rejected).toMatchObject([{ row: 1, id: "new-1", cause: expect.any(InvalidVectorError) }]);
    expect(await hnswOf(small)).toMatchObject([{ valid: true }]);
    expect(await errorOf(small.bulkLoad([items[1]!]))).toBeInstanceOf(IngestError);
  });

  it("is tuned and compared, and IVFFlat is refused with the cure", async () => {
    const report = await store.indexes.tune({ maxQueries: 40, apply: false });
    expect(report.recommended).toBeDefined();
    const variants = await store.indexes.compare({
      rows: 1_000,
      variants: (["sparsevec", "vector", "binary"] as const).map((storage) => ({ storage, m: 12, efConstruction: 64 })),
    });
    expect(variants).toMatchObject([{ storage: "sparsevec", m: 12 }]);
    expect(variants[0]!.recall).toBeGreaterThan(0.9);
    const refused = await errorOf(store.indexes.create({ type: "ivfflat" }));
    expect(refused).toBeInstanceOf(IndexBuildError);
    expect(refused.message).toContain("IVFFlat has no operator class for sparse vectors. Use HNSW");
  });

  it("is not begun on rows that it cannot take", async () => {
    const other = await open({ distanceStrategy: "innerProduct" });
    await other.addVectors([many(16_000), vectors[1]!], [document(0), document(1)]);
    const error = await errorOf(other.createHnswIndex());
    expect(error).toBeInstanceOf(IndexBuildError);
    expect(error.message).toContain('the vector of the row "id-0" has more than 1,000 values that are not zero');
    expect(await hnswOf(other)).toEqual([]);
    await other.delete({ ids: ["id-0"] });
    await other.addVectors([many(1_000)], [document(0)]);
    await other.createHnswIndex();
    expect(await hnswOf(other)).toMatchObject([{ valid: true }]);
  });
});

describe("what cannot be", () => {
  it.each([
    [{ quantization: "binary" }, 'quantization "binary" keeps the signs of all dimensions'],
    [{ dimensions: 1_000_000_001 }, "dimensions must be a whole number from 1 to 1,000,000,000"],
    [{ storageType: undefined, dimensions: 30_522 }, 'Vectors that are mostly zeros fit into storageType "sparsevec"'],
    [{ storageType: "halfvec", dimensions: 16_001 }, "A column of type halfvec has at most 16,000 dimensions"],
    [{ storageType: "sparse" }, 'storageType "sparse" is unknown; use "vector" or "halfvec" or "sparsevec"'],
  ])("is refused before any I/O: %j", (args, message) => {
    const make = (): PostgresVectorStore =>
      new PostgresVectorStore(new PreparedEmbeddings(8), {
        connectionString: "postgres://nowhere.invalid/none",
        storageType: "sparsevec",
        ...(args as PostgresVectorStoreArgs),
      });
    expect(make).toThrow(ConfigurationError);
    expect(make).toThrow(message);
  });

  it("changes nothing in the table", async () => {
    const store = await open({}, 50);
    await store.addVectors([one(50)], [document(1)]);
    const before = await storedText(store);
    for (const bad of [
      { ...one(50), indices: [50] },
      { ...one(50), indices: ["0); drop table x; --"] as unknown as number[] },
      { ...one(50), values: [Number.POSITIVE_INFINITY] },
      { dimensions: 50, indices: [3, 3], values: [1, 2] },
      { dimensions: 50, indices: [], values: [] },
    ]) {
      expect(await errorOf(store.addVectors([bad], [document(2)]))).toBeInstanceOf(InvalidVectorError);
      expect(await errorOf(store.search(bad))).toBeInstanceOf(InvalidVectorError);
      const load = await errorOf(store.bulkLoad([{ document: document(2), embedding: bad }]));
      expect(load.cause).toBeInstanceOf(InvalidVectorError);
    }
    expect(await storedText(store)).toEqual(before);
  });

  it("is refused for a store of dense vectors", async () => {
    const store = await open({ storageType: "vector" }, 50);
    const error = await errorOf(store.addVectors([one(50)], [document(1)]));
    expect(error).toBeInstanceOf(InvalidVectorError);
    expect(error.message).toContain('use a store with storageType "sparsevec"');
  });

  it("says what Postgres says where the caller's SQL goes around the store", async () => {
    const store = await open({}, 50);
    await expect(
      query(`insert into ${store.computedTableName} (id, text, embedding) values ('x', '', '{1:1}/49')`),
    ).rejects.toThrow("expected 50 dimensions, not 49");
    expect(await errorOf(store.explain({ sql: "select '{51:1}/50'::sparsevec" }))).toBeInstanceOf(DatabaseError);
  });
});

describe("model versions", () => {
  it("change the type of the vectors to sparse and back, and say what cannot be", async () => {
    const vectors = sparseVectors(20, { dimensions: 64, elements: 10 });
    const embeddings = new PreparedEmbeddings(
      64,
      new Map(vectors.map((vector, i) => [document(i).pageContent, vector])),
    );
    const store = await PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName: `sparse_${(tables += 1)}`,
      ...testSchema(),
    });
    await store.addDocuments(documents(20));
    const fill = { maxSlowdown: false, index: false } as const;
    await store.models.add({ from: 1, storageType: "sparsevec" });
    expect(await store.models.backfill(fill)).toMatchObject({ filled: 20 });
    await store.models.cutover();
    expect((await store.get({ ids: ["id-3"], include: ["embeddings"] }))[0]!.sparseEmbedding).toEqual(
      toSparse(vectors[3]!),
    );
    expect(idsOf(await store.search(vectors[3]!, { k: 1 }))).toEqual(["id-3"]);
    // Both versions are written to; the dense one has no place for this notation and is left to its backfill.
    await store.addVectors([vectors[5]!], [new Document({ id: "new", pageContent: document(5).pageContent })]);
    expect(idsOf(await store.search(vectors[5]!, { k: 2 })).toSorted()).toEqual(["id-5", "new"]);
    const shorter = await errorOf(store.models.add({ from: 2, dimensions: 32, storageType: "vector" }));
    expect(shorter.message).toContain("Sparse vectors cannot be shortened");
    const signs = await errorOf(store.models.add({ from: 2, storageType: "sparsevec", quantization: "binary" }));
    expect(signs).toBeInstanceOf(ConfigurationError);
    await store.models.add({ from: 2, storageType: "halfvec" });
    expect(await store.models.backfill(fill)).toMatchObject({ filled: 21 });
    await store.models.cutover();
    expect((await store.get({ ids: ["new"], include: ["embeddings"] }))[0]!.embedding).toHaveLength(64);
  });
});

describe("a billion dimensions", () => {
  it("are stored, searched and reranked without an array of them", async () => {
    const dimensions = 1_000_000_000;
    const store = await open({}, dimensions);
    const at = (index: number): SparseVector => ({ dimensions, indices: [index, 5], values: [1, 0.1] });
    await store.addVectors([at(999_999_999), at(1), at(2)], documents(3));
    const [first] = await store.search(at(999_999_999), { k: 3, includeEmbeddings: true });
    expect(first).toMatchObject({ document: { id: "id-0" }, sparseEmbedding: { indices: [5, 999_999_999] } });
    await store.createHnswIndex();
    expect(idsOf(await store.search(at(2), { k: 1 }))).toEqual(["id-2"]);
  });
});

describe("tenants", () => {
  it("are kept apart, exported and imported", async () => {
    const admin = await open({ tenancy: "rls", tenantId: "a" }, 400);
    const vectors = sparseVectors(60, { dimensions: 400, elements: 20, seed: 8 });
    await admin.addVectors(vectors.slice(0, 30), documents(30));
    const other = admin.forTenant("b");
    await other.bulkLoad(vectors.slice(30).map((embedding, i) => ({ document: document(i), embedding })));
    expect(await storedText(admin)).toHaveLength(60);
    expect(idsOf(await other.search(vectors[0]!, { k: 100 }))).toHaveLength(30);
    expect((await other.get({ ids: ["id-0"], include: ["embeddings"] }))[0]!.sparseEmbedding).toEqual(
      toSparse(vectors[30]!),
    );
    const lines: string[] = [];
    const { toJsonLine, fromJsonLines } = await import("../../src/index.js");
    for await (const record of admin.tenants.export("b")) lines.push(toJsonLine(record));
    await admin.tenants.import("c", fromJsonLines(lines));
    const copy = await admin.forTenant("c").get({ include: ["embeddings"] });
    expect(copy).toEqual(await other.get({ include: ["embeddings"] }));
    await admin.tenants.delete("b", { confirm: "b" } as never);
    expect(await other.get().catch(() => [])).toEqual([]);
  });
});

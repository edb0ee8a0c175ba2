import { Document, type DocumentInterface } from "@langchain/core/documents";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Pool } from "../../src/db/pool.js";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { describeServer, openTestDatabase, type TestDatabase, testSchema } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { clusteredVectors, exactNearest, HashedEmbeddings, recall } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(4);
let database: TestDatabase;
let pool: Pool;
let tables = 0;

beforeAll(async () => {
  database = await openTestDatabase();
  pool = database.pool;
});

afterAll(() => database.close());

const open = (config: PostgresVectorStoreArgs = {}, embedder = embeddings): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(embedder, {
    pool,
    tableName: `inputs_${(tables += 1)}`,
    ...testSchema(),
    ...config,
  });

async function run(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = await pool.connect();
  try {
    return (await client.query({ text, values })).rows;
  } finally {
    client.release();
  }
}

const doc = (id: string, pageContent = id, metadata: Record<string, unknown> = {}): Document =>
  new Document({ id, pageContent, metadata });
const docs = (count: number): Document[] => Array.from({ length: count }, (_, i) => doc(`id-${i}`, `text ${i}`, { i }));
const idsOf = (found: { id?: string | undefined }[]): (string | undefined)[] => found.map(({ id }) => id);

describe("vectors", () => {
  test.each<[string, unknown, string]>([
    ["NaN", [1, Number.NaN, 0, 0], "InvalidVectorError"],
    ["Infinity", [1, Number.POSITIVE_INFINITY, 0, 0], "InvalidVectorError"],
    ["more than float32 holds", [1, 3.5e38, 0, 0], "InvalidVectorError"],
    ["null, which JSON makes of NaN", [1, null, 0, 0], "InvalidVectorError"],
    ["a string", [1, "0", 0, 0], "InvalidVectorError"],
    ["a hole", [1, , 0, 0], "InvalidVectorError"], // oxlint-disable-line no-sparse-arrays
    ["zeros only", [0, 0, -0, 0], "InvalidVectorError"],
    ["values that vanish in float32", [1e-50, 0, 0, 0], "InvalidVectorError"],
    ["values whose squares vanish in float32", [1e-30, 0, 0, 0], "InvalidVectorError"],
    ["values whose squares overflow float32", [1e30, 0, 0, 0], "InvalidVectorError"],
    ["nothing", undefined, "InvalidVectorError"],
    ["too few", [1, 0, 0], "DimensionMismatchError"],
    ["too many", [1, 0, 0, 0, 0], "DimensionMismatchError"],
    ["none", [], "DimensionMismatchError"],
  ])("with %s are refused before anything is written", async (_, vector, name) => {
    const store = await open();
    const good = [1, 0, 0, 0];
    const error = await errorOf(store.addVectors([good, vector as number[]], [doc("good"), doc("bad")]));
    expect(error.name).toBe(name);
    expect(error.message).toContain('Vector 1 (id "bad")');
    expect(await store.get()).toEqual([]);
    await store.addVectors([good], [doc("good")]);
    const query = await errorOf(store.similaritySearchVectorWithScore(vector as number[], 1));
    expect(query.name).toBe(name);
    expect(query.message).toContain("The query vector");
  });

  test.each(["euclidean", "innerProduct"] as const)("of zeros are fine under %s", async (distanceStrategy) => {
    const store = await open({ distanceStrategy });
    const vectors = [
      [0, 0, 0, 0],
      [1, 0, 0, 0],
    ];
    await store.addVectors(vectors, [doc("zero"), doc("one")]);
    const found = await store.similaritySearchVectorWithScore([0, 0, 0, 0], 2);
    expect(found.map(([{ id }, score]) => [id, score])).toEqual([
      [distanceStrategy === "euclidean" ? "zero" : "one", expect.closeTo(0, 6)],
      [distanceStrategy === "euclidean" ? "one" : "zero", distanceStrategy === "euclidean" ? 1 : expect.closeTo(0, 6)],
    ]);
  });

  test("of zeros that an old table holds are left out of cosine results", async () => {
    const store = await open();
    await store.addDocuments(docs(5));
    await run(`update ${store.computedTableName} set embedding = '[0,0,0,0]' where id in ('id-1', 'id-2')`);
    await run(`update ${store.computedTableName} set embedding = null where id = 'id-3'`);
    const found = await store.search("text", { k: 9 });
    expect(idsOf(found.map(({ document }) => document)).sort()).toEqual(["id-0", "id-4"]);
    expect(found.every(({ distance }) => Number.isFinite(distance))).toBe(true);
    await store.createHnswIndex();
    expect(await store.search("text", { k: 9 })).toHaveLength(2);
    expect(await store.maxMarginalRelevanceSearch("text", { k: 9 })).toHaveLength(2);
    expect(await store.get({ include: ["embeddings"] })).toHaveLength(5);
  });

  test("beyond float16 are refused by a halfvec column, tiny ones too", async () => {
    const store = await open({ storageType: "halfvec" });
    const add = (value: number): Promise<unknown> => store.addVectors([[value, 0, 0, 0]], [doc("a")]);
    expect((await errorOf(add(65_536))).message).toMatch(/65536 at position 0.*float16/);
    expect((await errorOf(add(1e-9))).name).toBe("InvalidVectorError");
    await add(65_504);
    await add(1e-3);
    expect((await store.search([1, 0, 0, 0], { k: 1 }))[0]!.distance).toBeCloseTo(0, 3);
  });
});

describe("numbers", () => {
  test("come back as float32, whatever they are, on both paths", async () => {
    const store = await open({ distanceStrategy: "euclidean" });
    // Adding 0 makes 0 of -0, whose sign is lost on the text path of the embedded database.
    const value = fc.float({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0);
    const vector = fc.array(value, { minLength: 4, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.array(vector, { minLength: 1, maxLength: 20 }), async (vectors) => {
        const ids = await store.addVectors(vectors, docs(vectors.length));
        const chunks = await store.get({ ids, include: ["embeddings"] });
        expect(chunks.map(({ embedding }) => embedding)).toEqual(vectors);
        const hits = await store.search(vectors[0]!, { k: 1, includeEmbeddings: true });
        expect(hits[0]!.embedding).toHaveLength(4);
        await store.delete({ ids });
      }),
      { numRuns: 30 },
    );
  });
});

describe("text", () => {
  test("NUL characters are removed and halves of surrogate pairs replaced, in content and metadata", async () => {
    const store = await open();
    const metadata = { "ke\0y": "va\0lue", "\ud800": ["\udc00x", { deep: "\0" }], kept: "\\u0000 \\ud800 😀" };
    await store.addDocuments([doc("a", "con\0tent \ud83d!", metadata)]);
    expect(await store.get()).toEqual([
      {
        id: "a",
        content: "content \ufffd!",
        metadata: { key: "value", "\ufffd": ["\ufffdx", { deep: "" }], kept: "\\u0000 \\ud800 😀" },
      },
    ]);
    expect(await store.similaritySearch("que\0ry \ud800", 1)).toHaveLength(1);
  });

  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
    fc.constantFrom("\\u0000", "\\\\ud800", '\\"\0', "\0\0\0", "NULL", "{a,b}", "it's", "\ud800\ud800"),
  );
  const storable = (value: string): string => value.toWellFormed().replaceAll("\0", "");
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      text,
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(text, tie("value"), { maxKeys: 3 }),
    ),
  })).value;

  function stored(value: unknown): unknown {
    if (typeof value === "string") return storable(value);
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(stored);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [storable(key), stored(item)]));
  }

  test("whatever it is comes back as it can be stored", async () => {
    const store = await open();
    const document = fc.record({ pageContent: text, metadata: fc.dictionary(text, json, { maxKeys: 4 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(document, { minLength: 1, maxLength: 20 }), async (documents) => {
        const ids = await store.addDocuments(documents.map((fields) => new Document(fields)));
        const found = await store.get({ ids });
        expect(found).toEqual(
          documents.map(({ pageContent, metadata }, index) => ({
            id: ids[index],
            content: storable(pageContent),
            metadata: stored(metadata),
          })),
        );
        await store.delete({ ids });
      }),
      { numRuns: 40 },
    );
    expect(await store.get()).toEqual([]);
  });

  test.each(["a\0b", "\ud800", "x\udc00y"])(
    "%j is no id, filter value, filter key or text to look for",
    async (bad) => {
      const store = await open();
      expect((await errorOf(store.addDocuments([doc(bad)]))).name).toBe("IngestError");
      expect((await errorOf(store.addDocuments([doc("a")], { ids: [bad] }))).name).toBe("IngestError");
      expect((await errorOf(store.delete({ ids: [bad] }))).name).toBe("IngestError");
      expect((await errorOf(store.get({ ids: [bad] }))).name).toBe("IngestError");
      expect((await errorOf(store.getByIds([bad]))).name).toBe("IngestError");
      expect((await errorOf(store.similaritySearch("a", 1, { a: bad }))).name).toBe("FilterError");
      expect((await errorOf(store.similaritySearch("a", 1, { [bad]: "a" }))).name).toBe("FilterError");
      expect((await errorOf(store.get({ whereDocument: { $contains: bad } }))).name).toBe("FilterError");
      expect((await errorOf(open({ collectionName: bad }))).name).toBe("ConfigurationError");
    },
  );
});

describe("ids", () => {
  const any = [
    "😀 unicode ñ 漢字",
    "x".repeat(1_000),
    "é".repeat(1_000),
    `it's "quoted" \\ {a,b}`,
    "6F4B1C1E-3b0a-4d5c-9a3e-0c8f0f7b1a11",
    "6f4b1c1e-3b0a-4d5c-9a3e-0c8f0f7b1a11",
    " ",
    "NULL",
    "'; drop table langchain_chunks; --",
    "line\nbreak\ttab",
    "$1",
    "é",
    "e\u0301",
  ];

  test("are any text, kept as they are", async () => {
    const store = await open();
    expect(await store.addDocuments(any.map((id) => doc(id, `content of ${id}`)))).toEqual(any);
    expect(await store.getByIds(any)).toEqual(any.map((id) => doc(id, `content of ${id}`)));
    for (const id of any) expect(await store.get({ ids: [id], include: [] })).toEqual([{ id }]);
    await store.delete({ ids: any.slice(1) });
    expect(idsOf(await store.get())).toEqual(any.slice(0, 1));
  });

  test.each<[string, unknown]>([
    ["empty", ""],
    ["a number", 5],
    ["null", null],
    ["longer than the primary key takes", "漢".repeat(667)],
  ])("are refused when they are %s", async (_, id) => {
    const store = await open();
    if (id !== null)
      expect((await errorOf(store.addDocuments([doc("a")], { ids: [id as string] }))).name).toBe("IngestError");
    const error = await errorOf(store.delete({ ids: [id as string] }));
    expect(error.name).toBe("IngestError");
    expect(error.message.length).toBeLessThan(300);
    expect(await store.get()).toEqual([]);
  });

  test("that are as long as they may be fit into the index, whatever they are made of", async () => {
    const store = await open({ collectionName: "c".repeat(500) });
    const random = fc.sample(fc.string({ unit: "grapheme-ascii", minLength: 2_000, maxLength: 2_000 }), 5);
    const unique = [...new Set(random)];
    expect(await store.addDocuments(docs(unique.length), { ids: unique })).toEqual(unique);
  });

  test("that occur twice in one call are refused, with both places", async () => {
    const store = await open();
    const error = await errorOf(store.addDocuments([doc("a"), doc("b"), doc("a")]));
    expect(error).toMatchObject({ name: "IngestError", row: 2 });
    expect(error.message).toMatch(/Documents 0 and 2.*"a"/);
    expect(await store.get()).toEqual([]);
    expect(await store.get({ ids: ["a", "a"] })).toEqual([]);
    await store.addDocuments([doc("a"), doc("b")]);
    expect(idsOf(await store.get({ ids: ["b", "a", "b"] }))).toEqual(["b", "a"]);
    await store.delete({ ids: ["a", "a"] });
    expect(idsOf(await store.get())).toEqual(["b"]);
  });

  test("given in the options win over those of the documents, and one call may mix both kinds", async () => {
    const store = await open();
    expect(await store.addDocuments([doc("own")], { ids: ["given"] })).toEqual(["given"]);
    const mixed = await store.addDocuments([doc("own"), new Document({ pageContent: "none" })]);
    expect(mixed).toEqual(["own", expect.stringMatching(/^[0-9a-f-]{36}$/)]);
    expect((await errorOf(store.addDocuments(docs(2), { ids: ["one"] }))).message).toMatch(/1 ids.*2 documents/);
  });
});

describe("writes", () => {
  function freeze<T>(value: T): T {
    if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
      Object.freeze(value);
      for (const item of Object.values(value)) freeze(item);
    }
    return value;
  }

  test("never change what they are given", async () => {
    const documents = freeze([doc("a", "con\0tent", { list: ["\0"], deep: { date: new Date(0) } }), doc("b")]);
    const copy = structuredClone(documents.map((document) => ({ ...document })));
    const store = await open(freeze({ columns: { contentColumnName: "body" }, filter: { a: { $in: ["x"] } } }));
    await store.addDocuments(documents, freeze({ ids: ["1", "2"] }));
    await store.addVectors(freeze([[1, 0, 0, 0]]), documents.slice(0, 1), freeze({ ids: ["1"] }));
    await store.similaritySearch("a", 1, freeze({ list: { $in: ["y"] } }));
    await store.get(freeze({ ids: ["1"], include: ["metadatas" as const] }));
    await store.delete(freeze({ ids: ["1"] }));
    expect(documents.map((document) => ({ ...document }))).toEqual(copy);
  });

  test("replace a document as a whole", async () => {
    const store = await open();
    await store.addVectors([[1, 0, 0, 0]], [doc("a", "old", { old: true })]);
    const before = await run(`select content_hash, created_at from ${store.computedTableName}`);
    await store.addVectors([[0, 1, 0, 0]], [doc("a", "new", { new: true })]);
    expect(await store.get({ include: ["documents", "metadatas", "embeddings"] })).toEqual([
      { id: "a", content: "new", metadata: { new: true }, embedding: [0, 1, 0, 0] },
    ]);
    const after = await run(`select content_hash, created_at from ${store.computedTableName}`);
    expect(after[0]!["created_at"]).toEqual(before[0]!["created_at"]);
    expect(after[0]!["content_hash"]).not.toEqual(before[0]!["content_hash"]);
  });

  test("of several chunks leave nothing behind when one of them fails", async () => {
    const store = await open({ chunkSize: 10 });
    await store.addDocuments([doc("id-3", "older")]);
    await run(`alter table ${store.computedTableName} add constraint no_55 check (text <> 'text 55')`);
    const error = await errorOf(store.addDocuments(docs(100)));
    expect(error).toMatchObject({ name: "DatabaseError", sqlstate: "23514", retryable: false });
    expect(await store.get()).toEqual([{ id: "id-3", content: "older", metadata: {} }]);
  });

  test.each<[string, Partial<DocumentInterface>]>([
    ["content that is no text", { pageContent: 5 as never }],
    ["metadata that is an array", { metadata: [] as never }],
    ["metadata that is a string", { metadata: "text" as never }],
    ["metadata that points to itself", { metadata: Object.assign({}, { self: {} }) }],
    ["metadata with a bigint", { metadata: { big: 5n } }],
    ["metadata that JSON turns into text", { metadata: new Date(0) as never }],
    ["metadata that JSON turns into nothing", { metadata: { toJSON: () => undefined } }],
  ])("with %s are refused", async (name, fields) => {
    if (name.endsWith("itself")) Object.assign(fields.metadata!["self"] as object, { again: fields.metadata });
    const store = await open();
    const error = await errorOf(store.addDocuments([doc("good"), { pageContent: "x", metadata: {}, ...fields }]));
    expect(error).toMatchObject({ name: "IngestError", row: 1 });
    expect(await store.get()).toEqual([]);
  });

  test("need a vector for each document from the embedder", async () => {
    const short = Object.assign(new HashedEmbeddings(4), { embedDocuments: async () => [[1, 0, 0, 0]] });
    const store = await open({}, short);
    expect((await errorOf(store.addDocuments(docs(2)))).message).toMatch(/1 vectors came for 2 documents/);
    expect(await store.get()).toEqual([]);
  });

  test("with empty arrays do nothing, and change nothing", async () => {
    const store = await open();
    await store.addDocuments(docs(2));
    expect(await store.addDocuments([])).toEqual([]);
    expect(await store.addVectors([], [])).toEqual([]);
    expect(await store.addDocuments([], { ids: [] })).toEqual([]);
    await store.delete({ ids: [] });
    expect(await store.get({ ids: [] })).toEqual([]);
    expect(await store.getByIds([])).toEqual([]);
    expect((await errorOf(store.similaritySearch("a", 1, { a: { in: [] } }))).name).toBe("FilterError");
    expect((await errorOf(store.delete({ filter: { $and: [] } }))).name).toBe("FilterError");
    expect(await store.get({ include: [] })).toEqual([{ id: "id-0" }, { id: "id-1" }]);
    const none = { pool, ...testSchema(), tableName: "inputs_none" };
    expect(await (await PostgresVectorStore.fromTexts([], [], embeddings, none)).get()).toEqual([]);
  });
});

describe("k", () => {
  test("may be 0, and more than there is", async () => {
    const store = await open();
    expect(await store.similaritySearch("text", 3)).toEqual([]);
    await store.addDocuments(docs(3));
    expect(await store.similaritySearch("text", 0)).toEqual([]);
    expect(await store.search("text", { k: 0 })).toEqual([]);
    expect(await store.maxMarginalRelevanceSearch("text", { k: 0 })).toEqual([]);
    expect(await store.similaritySearch("text", 1_000_000)).toHaveLength(3);
    await store.createHnswIndex();
    expect(await store.similaritySearch("text", 1_000_000)).toHaveLength(3);
  });

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "4", 1_000_001])("is refused when it is %s", async (k) => {
    const store = await open();
    const embedder = store.embeddings as HashedEmbeddings;
    const before = embedder.embedded;
    for (const call of [
      store.similaritySearch("a", k as number),
      store.similaritySearchVectorWithScore([1, 0, 0, 0], k as number),
      store.maxMarginalRelevanceSearch("a", { k: k as number }),
    ]) {
      expect((await errorOf(call)).message).toMatch(/k must be a whole number/i);
    }
    expect(embedder.embedded).toBe(before);
  });
});

describe("get", () => {
  test("pages in the order of the ids", async () => {
    const store = await open();
    await store.addDocuments(docs(25));
    const all = idsOf(await store.get());
    expect(all).toHaveLength(25);
    const paged = [];
    for (let offset = 0; offset < 30; offset += 10) paged.push(...(await store.get({ limit: 10, offset })));
    expect(idsOf(paged)).toEqual(all);
    expect(await store.get({ limit: 0 })).toEqual([]);
    expect(await store.get({ offset: 100 })).toEqual([]);
    expect(idsOf(await store.get({ where: { i: { $lt: 3 } }, limit: 2 }))).toEqual(["id-0", "id-1"]);
    expect(idsOf(await store.get({ whereDocument: { $contains: "text 7" } }))).toEqual(["id-7"]);
    for (const bad of [{ limit: -1 }, { offset: 1.5 }, { include: ["uris" as never] }]) {
      expect((await errorOf(store.get(bad))).name).toBe("ConfigurationError");
    }
  });

  test("brings what `include` asks for", async () => {
    const store = await open();
    await store.addVectors([[1, 2, 3, 4]], [doc("a", "content", { m: 1 })]);
    expect(await store.get()).toEqual([{ id: "a", content: "content", metadata: { m: 1 } }]);
    expect(await store.get({ include: ["embeddings"] })).toEqual([{ id: "a", embedding: [1, 2, 3, 4] }]);
    await run(`update ${store.computedTableName} set embedding = null`);
    expect(await store.get({ include: ["embeddings", "documents"] })).toEqual([{ id: "a", content: "content" }]);
  });

  test("by ids keeps their order, and passes over those that are not there", async () => {
    const store = await open();
    await store.addDocuments(docs(5));
    const wanted = ["id-4", "none", "id-0", "id-2"];
    expect(idsOf(await store.getByIds(wanted))).toEqual(["id-4", "id-0", "id-2"]);
    expect(idsOf(await store.get({ ids: wanted }))).toEqual(["id-4", "id-0", "id-2"]);
    expect(idsOf(await store.get({ ids: wanted, limit: 1, offset: 1 }))).toEqual(["id-0"]);
    expect(idsOf(await store.get({ ids: wanted, where: { i: { $gt: 1 } } }))).toEqual(["id-4", "id-2"]);
  });
});

describe("stores beside each other", () => {
  test("in one schema do not meet", async () => {
    const [one, other] = [await open(), await open({}, new HashedEmbeddings(7))];
    await one.addDocuments([doc("a", "one's")]);
    await other.addDocuments([doc("a", "the other's")]);
    await other.delete({ ids: ["a"] });
    expect((await one.get())[0]!.content).toBe("one's");
    expect(await one.similaritySearch("one's", 1)).toHaveLength(1);
  });

  test("on one table as collections see their own rows only, the same ids included", async () => {
    const tableName = "inputs_collections";
    const named = (collectionName: string): Promise<PostgresVectorStore> => open({ tableName, collectionName });
    const [one, other, none] = [await named("one"), await named("other"), await open({ tableName })];
    for (const [store, text] of [
      [one, "one"],
      [other, "other"],
      [none, "none"],
    ] as const) {
      await store.addDocuments([doc("same", text, { text }), doc(text, text, { text })]);
    }
    for (const [store, text] of [
      [one, "one"],
      [none, "none"],
    ] as const) {
      expect((await store.similaritySearch(text, 9)).map(({ pageContent }) => pageContent)).toEqual([text, text]);
      expect(idsOf(await store.getByIds(["other", "same"]))).toEqual(["same"]);
      expect(await store.get()).toHaveLength(2);
    }
    await other.delete({ filter: { text: { $exists: true } } });
    await one.delete({ ids: ["same", "none"] });
    expect(await other.get()).toEqual([]);
    expect(idsOf(await one.get())).toEqual(["one"]);
    expect(idsOf(await none.get())).toEqual(["none", "same"]);
  });

  test("the filter of a store and the filter of a call both apply", async () => {
    const tableName = "inputs_filters";
    const all = await open({ tableName });
    await all.addDocuments([
      doc("a", "a", { x: 1, y: 1 }),
      doc("b", "b", { x: 1, y: 2 }),
      doc("c", "c", { x: 2, y: 1 }),
    ]);
    const store = await open({ tableName, filter: { x: 1 } });
    expect(idsOf(await store.similaritySearch("a", 9, { y: 1 }))).toEqual(["a"]);
    expect(idsOf(await store.similaritySearch("a", 9, { x: 2 }))).toEqual([]);
    // An operator at the top of the call's filter must not get around the store's own.
    expect(idsOf(await store.similaritySearch("a", 9, { $or: [{ y: 1 }, { x: 2 }] }))).toEqual(["a"]);
    expect(idsOf(await store.get({ where: { y: 1 } }))).toEqual(["a"]);
    expect(idsOf(await store.asRetriever({ k: 9, filter: { y: 2 } }).invoke("a"))).toEqual(["b"]);
    await store.delete({ filter: { $or: [{ y: 1 }, { x: 2 }] } });
    expect(idsOf(await all.get())).toEqual(["b", "c"]);
  });
});

describeServer("sizes", () => {
  test("more than 65,535 values fit into one call", async () => {
    const MANY = 70_000;
    const store = await open({ chunkSize: 20_000 }, new HashedEmbeddings(2));
    const documents = docs(MANY);
    const ids = await store.addVectors(
      documents.map(() => [1, 0]),
      documents,
    );
    expect(ids).toHaveLength(MANY);
    expect(await store.getByIds(ids)).toHaveLength(MANY);
    expect(await store.get({ ids, include: [] })).toHaveLength(MANY);
    const numbers = documents.map((_, i) => i);
    expect(await store.search([1, 0], { k: 3, filter: { i: { in: numbers } } })).toHaveLength(3);
    expect(await store.search([1, 0], { k: 3, filter: { i: { notIn: numbers } } })).toHaveLength(0);
    await store.delete({ ids: ids.slice(1) });
    expect(idsOf(await store.get())).toEqual(["id-0"]);
  });

  const recallAt10 = async (store: PostgresVectorStore, vectors: number[][]): Promise<number> => {
    let total = 0;
    for (const query of vectors.slice(0, 10)) {
      const found = await store.search(query, { k: 10 });
      const wanted = exactNearest(query, vectors, 10).map((index) => `id-${index}`);
      total += recall(idsOf(found.map(({ document }) => document)), wanted);
    }
    return total / 10;
  };

  test("3,000 dimensions are stored as halfvec and indexed", async () => {
    const vectors = clusteredVectors(300, 3_000, 10, 3);
    const store = await open({}, new HashedEmbeddings(3_000));
    await store.addVectors(vectors, docs(300));
    expect(await recallAt10(store, vectors)).toBeGreaterThanOrEqual(0.95);
    await store.createHnswIndex();
    expect(await recallAt10(store, vectors)).toBeGreaterThanOrEqual(0.95);
    const [definition] = await run(`select indexdef from pg_indexes where tablename = $1 and indexdef like '%hnsw%'`, [
      store.tableName,
    ]);
    expect(definition!["indexdef"]).toMatch(/halfvec_cosine_ops/);
    const [chunk] = await store.get({ ids: ["id-0"], include: ["embeddings"] });
    expect(chunk!.embedding![2_999]).toBeCloseTo(vectors[0]![2_999]!, 3);
  });

  test("4,096 dimensions are searched exactly, and by an index of their signs", async () => {
    const vectors = clusteredVectors(100, 4_096, 10, 4);
    const store = await open({}, new HashedEmbeddings(4_096));
    await store.addVectors(vectors, docs(100));
    expect(await recallAt10(store, vectors)).toBe(1);
    await store.createHnswIndex();
    expect(await recallAt10(store, vectors)).toBe(1);
    const [definition] = await run(`select indexdef from pg_indexes where tablename = $1 and indexdef like '%hnsw%'`, [
      store.tableName,
    ]);
    expect(definition!["indexdef"]).toMatch(/binary_quantize\(embedding\).*bit_hamming_ops/);
  });

  test("4,096 dimensions without quantization are searched exactly, and an index is refused with the cure", async () => {
    const store = await open({ quantization: "none" }, new HashedEmbeddings(4_096));
    const error = await errorOf(store.createHnswIndex());
    expect(error.name).toBe("IndexBuildError");
    expect(error.message).toMatch(
      /up to 2,000 dimensions of type vector, the column has 4,096.*quantization: "binary"/,
    );
  });
});

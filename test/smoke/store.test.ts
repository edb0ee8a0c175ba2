import { afterAll, beforeAll, expect, it } from "vitest";
import { createRagChain } from "../../src/chains/index.js";
import { OfflineEmbeddings, PostgresVectorStore } from "../../src/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";

let database: TestDatabase;
let store: PostgresVectorStore;

beforeAll(async () => {
  database = await openTestDatabase();
  const args = { pool: database.pool, ...testSchema(), tableName: 'Odd "table"', collectionName: "it's" };
  store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), args);
  await store.addDocuments([
    { id: "1", pageContent: "HNSW is a graph index with slow builds.", metadata: { year: 2018, tags: ["graph"] } },
    { id: "2", pageContent: "IVFFlat is a list index with fast builds.", metadata: { year: 2012, tags: ["list"] } },
    { id: "3", pageContent: "Row-level security keeps tenants apart.", metadata: { year: 2016 } },
  ]);
});

afterAll(() => database.close());

it("finds by text, by filter and by both, with and without an index", async () => {
  const search = async (): Promise<unknown[]> => {
    const hits = await store.search("graph index", { k: 2, filter: { year: { $gte: 2010 } } });
    return hits.map((hit) => hit.document.id);
  };
  expect(await search()).toEqual(["1", "2"]);
  await store.createHnswIndex();
  expect(await search()).toEqual(["1", "2"]);
  expect(await store.search("graph index", { filter: { tags: { arrayContains: ["list"] } } })).toHaveLength(1);
});

it("overwrites, gets and deletes", async () => {
  await store.addDocuments([{ id: "4", pageContent: "first", metadata: {} }]);
  await store.addDocuments([{ id: "4", pageContent: "second", metadata: { n: 1 } }]);
  expect(await store.get({ ids: ["4"] })).toEqual([{ id: "4", content: "second", metadata: { n: 1 } }]);
  await store.delete({ filter: { n: 1 } });
  expect((await store.getByIds(["4", "3", "1"])).map((document) => document.id)).toEqual(["3", "1"]);
});

it("chooses diverse documents and carries vectors on request", async () => {
  expect(await store.maxMarginalRelevanceSearch("index builds", { k: 3 })).toHaveLength(3);
  const [hit] = await store.search("graph index", { k: 1, includeEmbeddings: true });
  expect(hit!.embedding).toHaveLength(384);
});

it("answers with a verbatim citation", async () => {
  const { answer, citations } = await createRagChain({ store }).invoke({ input: "What keeps tenants apart?" });
  expect(answer).toContain("Row-level security");
  expect(citations[0]).toMatchObject({ documentId: "3", quote: "Row-level security keeps tenants apart." });
});

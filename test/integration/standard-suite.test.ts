import { Document } from "@langchain/core/documents";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { IngestError, PostgresVectorStore } from "../../src/index.js";
import { openEmbeddedDatabase, openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";

/** What LangChain's standard suite for vector stores asks of every store, on both engines. */
describe.each([
  { engine: "the database of this run", open: (): Promise<TestDatabase> => openTestDatabase() },
  { engine: "the embedded database", open: (): Promise<TestDatabase> => openEmbeddedDatabase() },
])("on $engine", ({ open }) => {
  let database: TestDatabase;
  let store: PostgresVectorStore;
  let serial = 0;

  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    serial += 1;
    store = await PostgresVectorStore.initialize(new OfflineEmbeddings({ dimensions: 64 }), {
      pool: database.pool,
      tableName: `standard_${serial}`,
      ...testSchema(),
    });
  });

  const foo = (): Document => new Document({ pageContent: "foo", metadata: { some: "metadata" } });
  const bar = (): Document => new Document({ pageContent: "bar", metadata: { some: "other" } });
  const stored = async (): Promise<string[]> => (await store.get()).map(({ id, content }) => `${id}=${content}`);

  it("is empty at first", async () => {
    expect(await store.similaritySearch("foo", 1)).toEqual([]);
    expect(await store.similaritySearchWithScore("foo", 1)).toEqual([]);
    expect(await store.getByIds(["1"])).toEqual([]);
    expect(await store.get()).toEqual([]);
  });

  it("finds what was added, with its id and metadata", async () => {
    expect(await store.addDocuments([foo(), bar()], { ids: ["1", "2"] })).toEqual(["1", "2"]);
    const [nearest, second] = await store.similaritySearch("bar", 2);
    expect(nearest).toEqual(new Document({ ...bar(), id: "2" }));
    expect(second).toEqual(new Document({ ...foo(), id: "1" }));
  });

  it("makes an id for each document that has none and returns them in order", async () => {
    const ids = await store.addDocuments([foo(), bar(), foo()]);
    expect(new Set(ids).size).toBe(3);
    expect((await store.getByIds(ids)).map((document) => document.pageContent)).toEqual(["foo", "bar", "foo"]);
  });

  it("uses the ids of the documents, and those of the call before them", async () => {
    const named = new Document({ ...foo(), id: "named" });
    const [first, second] = await store.addDocuments([named, bar()]);
    expect(first).toBe("named");
    expect(second).toMatch(/^[0-9a-f-]{36}$/);
    expect(await store.addDocuments([named], { ids: ["call"] })).toEqual(["call"]);
    expect((await store.getByIds(["named", "call"])).map((document) => document.id)).toEqual(["named", "call"]);
  });

  it("stores nothing twice when the same documents are added twice", async () => {
    const documents = [foo(), bar()];
    await store.addDocuments(documents, { ids: ["1", "2"] });
    expect(await store.addDocuments(documents, { ids: ["1", "2"] })).toEqual(["1", "2"]);
    expect(await stored()).toEqual(["1=foo", "2=bar"]);
    expect(await store.similaritySearch("foo", 10)).toHaveLength(2);
  });

  it("replaces content, metadata and vector of an id", async () => {
    await store.addDocuments([foo(), bar()], { ids: ["1", "2"] });
    const changed = new Document({ id: "1", pageContent: "a new text", metadata: { changed: true } });
    await store.addDocuments([changed]);
    expect(await store.getByIds(["1"])).toEqual([changed]);
    const [nearest] = await store.similaritySearchWithScore("a new text", 2);
    expect(nearest![0]).toEqual(changed);
    expect(nearest![1]).toBeCloseTo(0, 5);
    expect(await stored()).toEqual(["1=a new text", "2=bar"]);
  });

  it("adds vectors under the same rules", async () => {
    const vectors = await store.embeddings.embedDocuments(["foo", "bar"]);
    expect(await store.addVectors(vectors, [foo(), bar()], { ids: ["1", "2"] })).toEqual(["1", "2"]);
    expect(await store.addVectors([vectors[1]!], [bar()], { ids: ["1"] })).toEqual(["1"]);
    expect(await stored()).toEqual(["1=bar", "2=bar"]);
  });

  it("gets by ids in the order asked, without those that are missing", async () => {
    await store.addDocuments([foo(), bar(), foo()], { ids: ["a", "b", "c"] });
    const ids = async (wanted: string[]): Promise<(string | undefined)[]> =>
      (await store.getByIds(wanted)).map((document) => document.id);
    expect(await ids(["c", "a", "b"])).toEqual(["c", "a", "b"]);
    expect(await ids(["b", "missing", "a"])).toEqual(["b", "a"]);
    expect(await ids(["missing", "missing too"])).toEqual([]);
    expect(await ids([])).toEqual([]);
    expect(await ids(["a", "a"])).toEqual(["a"]);
  });

  it("returns what was stored, not what the caller changed since", async () => {
    const document = foo();
    const [id] = await store.addDocuments([document]);
    document.metadata["some"] = "changed";
    expect((await store.getByIds([id!]))[0]!.metadata).toEqual({ some: "metadata" });
  });

  it("leaves the documents, metadata, ids and vectors it is given as they are", async () => {
    const documents = [foo(), new Document({ ...bar(), id: "2" })];
    const ids = ["x", "y"];
    const vectors = await store.embeddings.embedDocuments(["foo", "bar"]);
    const options = { ids };
    const before = structuredClone({ documents: documents.map((d) => ({ ...d })), ids, vectors });
    for (const given of [
      documents,
      ...documents,
      ...documents.map((d) => d.metadata),
      ids,
      vectors,
      ...vectors,
      options,
    ]) {
      Object.freeze(given);
    }
    await store.addDocuments(documents);
    await store.addDocuments(documents, options);
    await store.addVectors(vectors, documents, options);
    await store.getByIds(ids);
    await store.delete({ ids });
    expect({ documents: documents.map((d) => ({ ...d })), ids, vectors }).toEqual(before);
    expect(documents[0]!.id).toBeUndefined();
  });

  it("deletes one id, many ids, and passes over missing ones", async () => {
    const ids = ["1", "2", "3", "4", "5"];
    await store.addDocuments(ids.map((id) => new Document({ id, pageContent: `text ${id}`, metadata: {} })));
    await store.delete({ ids: ["2"] });
    expect((await stored()).map((row) => row[0])).toEqual(["1", "3", "4", "5"]);
    await store.delete({ ids: ["1", "missing", "5", "1"] });
    expect((await stored()).map((row) => row[0])).toEqual(["3", "4"]);
    expect((await store.similaritySearch("text 1", 10)).map((document) => document.id).sort()).toEqual(["3", "4"]);
    await store.delete({ ids: ["missing"] });
    await store.delete({ ids: [] });
    expect(await stored()).toHaveLength(2);
    await store.addDocuments([foo()], { ids: ["2"] });
    expect(await store.getByIds(["2"])).toHaveLength(1);
  });

  it("adds and deletes thousands at once", async () => {
    const ids = Array.from({ length: 2_000 }, (_, n) => String(n));
    const documents = ids.map((id) => new Document({ pageContent: `text ${id}`, metadata: {} }));
    expect(await store.addDocuments(documents, { ids })).toEqual(ids);
    await store.delete({ ids: ids.slice(1) });
    expect(await stored()).toEqual(["0=text 0"]);
  });

  it("takes any text as id, to the letter", async () => {
    const ids = [
      "1",
      "01",
      "1 ",
      "a",
      "A",
      "ä",
      "a\u0308",
      "x'; drop table t; --",
      "{}",
      "null",
      "__proto__",
      "a,b",
      `"`,
      "\\",
      "🦈",
    ];
    await store.addDocuments(ids.map((id) => new Document({ id, pageContent: `text of ${id}`, metadata: {} })));
    expect((await store.getByIds(ids)).map((document) => document.id)).toEqual(ids);
    await store.delete({ ids: ["1", "A", "ä", `"`, "\\", "{}"] });
    expect((await store.getByIds(ids)).map((document) => document.id)).toEqual(
      ids.filter((id) => !["1", "A", "ä", `"`, "\\", "{}"].includes(id)),
    );
  });

  it("stores nothing of a call that cannot be stored whole", async () => {
    const twice = await errorOf(store.addDocuments([foo(), bar()], { ids: ["1", "1"] }));
    expect(twice).toBeInstanceOf(IngestError);
    expect(await errorOf(store.addDocuments([foo(), bar()], { ids: ["1"] }))).toBeInstanceOf(IngestError);
    const broken = { id: "2", pageContent: 5 as unknown as string, metadata: {} };
    expect(await errorOf(store.addDocuments([new Document({ ...foo(), id: "1" }), broken]))).toBeInstanceOf(
      IngestError,
    );
    expect(await stored()).toEqual([]);
    expect(await store.addDocuments([])).toEqual([]);
  });
});

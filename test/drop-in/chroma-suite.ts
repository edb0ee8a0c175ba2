/**
 * A test file as an application that uses LangChain's `Chroma` may have it. It runs as it is against a Chroma server, and
 * against Postgres with nothing but the import path of `Chroma` changed; the two files beside it say how.
 */
import { Chroma } from "@langchain/community/vectorstores/chroma";
import { Document } from "@langchain/core/documents";
import { expect, test } from "vitest";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(16);
const url = process.env["CHROMA_URL"]!;
let collections = 0;
const fresh = (): { collectionName: string; url: string } => ({
  collectionName: `collection-${(collections += 1)}`,
  url,
});

const texts = ["the index is a graph", "the backup runs at night", "vacuum removes dead rows", "a graph of rows"];
const metadatas = [
  { topic: "index", year: 2020, draft: false },
  { topic: "backup", year: 2021, draft: true },
  { topic: "vacuum", year: 2022, draft: false },
  { topic: "index", year: 2023, draft: true },
];
const ids = ["a", "b", "c", "d"];
const documents = texts.map((pageContent, index) => new Document({ pageContent, metadata: metadatas[index]! }));

async function filled(args: Record<string, unknown> = {}): Promise<Chroma> {
  const store = new Chroma(embeddings, { ...fresh(), ...args });
  await store.addDocuments(documents, { ids });
  return store;
}

const idsOf = (found: Document[]): (string | undefined)[] => found.map(({ id }) => id);
const sorted = (found: Document[]): (string | undefined)[] => idsOf(found).toSorted();

/** By definition, in float64. */
async function squaredDistance(query: string, text: string): Promise<number> {
  const [a, [b]] = [await embeddings.embedQuery(query), await embeddings.embedDocuments([text])];
  return a.reduce((sum, value, index) => sum + (value - b![index]!) ** 2, 0);
}

test("fromTexts with metadata for each and for all", async () => {
  const each = await Chroma.fromTexts(texts, metadatas, embeddings, fresh());
  const [first] = await each.similaritySearch(texts[2]!, 1);
  expect(first).toMatchObject({ pageContent: texts[2], metadata: metadatas[2] });
  const all = await Chroma.fromTexts(texts, { source: "all" }, embeddings, fresh());
  expect((await all.similaritySearch(texts[0]!, 4)).map(({ metadata }) => metadata)).toEqual(
    texts.map(() => ({ source: "all" })),
  );
  expect(all).toBeInstanceOf(Chroma);
});

test("fromDocuments, and fromExistingCollection on what it made", async () => {
  const args = fresh();
  await Chroma.fromDocuments(documents, embeddings, args);
  const store = await Chroma.fromExistingCollection(embeddings, args);
  expect(store).toBeInstanceOf(Chroma);
  expect(await store.similaritySearch(texts[1]!, 1)).toMatchObject([{ pageContent: texts[1], metadata: metadatas[1] }]);
});

test("fromExistingCollection makes a collection, and ensureCollection finds it", async () => {
  const args = fresh();
  const store = await Chroma.fromExistingCollection(embeddings, args);
  expect(await store.similaritySearch("anything", 3)).toEqual([]);
  const { name, id } = await store.ensureCollection();
  expect(name).toBe(args.collectionName);
  expect((await new Chroma(embeddings, args).ensureCollection()).id).toBe(id);
});

test("addDocuments gives the ids, those given or new ones", async () => {
  const store = new Chroma(embeddings, fresh());
  expect(await store.addDocuments(documents.slice(0, 2), { ids: ["a", "b"] })).toEqual(["a", "b"]);
  const made = await store.addDocuments(documents.slice(2));
  expect(new Set(made).size).toBe(2);
  expect(sorted(await store.similaritySearch("x", 9))).toEqual(["a", "b", ...made].toSorted());
});

test("adding an id again replaces the document and merges the metadata", async () => {
  const store = await filled();
  const changed = new Document({ pageContent: "quite another text", metadata: { year: 1999, added: "yes" } });
  await store.addDocuments([changed], { ids: ["a"] });
  const [found] = await store.similaritySearch("quite another text", 1);
  expect(found).toMatchObject({
    id: "a",
    pageContent: "quite another text",
    metadata: { topic: "index", year: 1999, draft: false, added: "yes" },
  });
  expect(await store.similaritySearch("x", 9)).toHaveLength(4);
});

test("addVectors, and the dimension is that of the first ones", async () => {
  const store = new Chroma(embeddings, fresh());
  const vectors = await embeddings.embedDocuments(texts);
  expect(await store.addVectors(vectors, documents, { ids })).toEqual(ids);
  await expect(store.addVectors([[1, 2, 3]], [documents[0]!])).rejects.toThrow(/dimension/);
  await expect(store.addVectors(vectors, documents.slice(1))).rejects.toThrow(/\w/);
  expect(await store.addVectors([], [])).toEqual([]);
});

test("delete by ids and by filter", async () => {
  const store = await filled();
  await store.delete({ ids: ["a", "no such id"] });
  expect(sorted(await store.similaritySearch("x", 9))).toEqual(["b", "c", "d"]);
  await store.delete({ filter: { year: { $gte: 2023 } } });
  expect(sorted(await store.similaritySearch("x", 9))).toEqual(["b", "c"]);
  await expect(store.delete({})).rejects.toThrow('You must provide one of "ids');
});

test("searches with a filter", async () => {
  const store = await filled();
  const found = async (where: Record<string, unknown>): Promise<unknown> =>
    sorted(await store.similaritySearch("graph", 9, where as never));
  expect(await found({ topic: "index" })).toEqual(["a", "d"]);
  expect(await found({ topic: { $ne: "index" } })).toEqual(["b", "c"]);
  expect(await found({ year: { $gt: 2021 } })).toEqual(["c", "d"]);
  expect(await found({ year: { $lte: 2021 } })).toEqual(["a", "b"]);
  expect(await found({ topic: { $in: ["backup", "vacuum"] } })).toEqual(["b", "c"]);
  expect(await found({ topic: { $nin: ["backup", "vacuum"] } })).toEqual(["a", "d"]);
  expect(await found({ draft: true })).toEqual(["b", "d"]);
  expect(await found({ $and: [{ draft: true }, { year: { $lt: 2022 } }] })).toEqual(["b"]);
  expect(await found({ $or: [{ year: 2020 }, { topic: "vacuum" }] })).toEqual(["a", "c"]);
  expect(await found({ missing: { $ne: 1 } })).toEqual(["a", "b", "c", "d"]);
  expect(await found({ missing: 1 })).toEqual([]);
  expect(await found({ year: "2020" })).toEqual([]);
});

test.each([
  ["two keys", { topic: "index", year: 2020 }],
  ["none", {}],
  ["two operators", { year: { $gt: 1, $lt: 2 } }],
  ["an unknown operator", { year: { $near: 1 } }],
  ["text as a bound", { topic: { $gt: "a" } }],
  ["an empty list", { topic: { $in: [] } }],
  ["a mixed list", { topic: { $in: ["a", 1] } }],
  ["no list", { topic: { $in: "a" } }],
  ["one part", { $and: [{ topic: "index" }] }],
  ["null", { topic: null }],
])("a filter of %s is refused", async (_, where) => {
  const store = await filled();
  await expect(store.similaritySearch("graph", 9, where as never)).rejects.toThrow(/\w/);
  await expect(store.delete({ filter: where as never })).rejects.toThrow(/\w/);
  expect(await store.similaritySearch("x", 9)).toHaveLength(4);
});

test("scores are squared L2 distances, in their order", async () => {
  const store = await filled();
  const query = "the graph of an index";
  const found = await store.similaritySearchWithScore(query, 4);
  expect(found).toHaveLength(4);
  for (const [document, score] of found) {
    expect(score).toBeCloseTo(await squaredDistance(query, document.pageContent), 5);
  }
  const scores = found.map(([, score]) => score);
  expect(scores).toEqual(scores.toSorted((a, b) => a - b));
  const byVector = await store.similaritySearchVectorWithScore(await embeddings.embedQuery(query), 4);
  expect(byVector).toEqual(found);
});

test.each([
  ["cosine", (dot: number, lengths: number) => 1 - dot / lengths],
  ["ip", (dot: number) => 1 - dot],
])("scores of a collection made with hnsw:space %s, and of whoever opens it later", async (space, distance) => {
  const args = { ...fresh(), collectionMetadata: { "hnsw:space": space } };
  await Chroma.fromTexts(texts, metadatas, embeddings, args);
  const query = await embeddings.embedQuery("a graph");
  const { collectionMetadata: _, ...later } = args;
  for (const store of [new Chroma(embeddings, args), await Chroma.fromExistingCollection(embeddings, later)]) {
    for (const [{ pageContent }, score] of await store.similaritySearchVectorWithScore(query, 4)) {
      const [vector] = await embeddings.embedDocuments([pageContent]);
      const dot = query.reduce((sum, value, index) => sum + value * vector![index]!, 0);
      const lengths = Math.hypot(...query) * Math.hypot(...vector!);
      expect(score).toBeCloseTo(distance(dot, lengths), 5);
    }
  }
});

test("the filter of the constructor applies to searches", async () => {
  const { collectionName } = await filled();
  const store = new Chroma(embeddings, { url, collectionName, filter: { topic: "index" } });
  expect(sorted(await store.similaritySearch("x", 9))).toEqual(["a", "d"]);
});

test("k of more than there is, and of one", async () => {
  const store = await filled();
  expect(await store.similaritySearch("graph", 100)).toHaveLength(4);
  expect(await store.similaritySearch("graph", 1)).toHaveLength(1);
});

test("a retriever, with k and a filter", async () => {
  const store = await filled();
  expect(await store.asRetriever(2).invoke("graph")).toHaveLength(2);
  const retriever = store.asRetriever({ k: 9, filter: { topic: "index" } });
  expect(sorted(await retriever.invoke("graph"))).toEqual(["a", "d"]);
});

test("the lines of a text splitter come back", async () => {
  const store = new Chroma(embeddings, fresh());
  const loc = { lines: { from: 3, to: 7 } };
  await store.addDocuments([new Document({ pageContent: "lines", metadata: { source: "s", loc } })], { ids: ["l"] });
  const [found] = await store.similaritySearch("lines", 1);
  expect(found!.metadata).toEqual({ source: "s", loc });
  expect(await store.similaritySearch("lines", 1, { locFrom: 3 })).toHaveLength(1);
});

test("an id twice in one call is refused, and nothing is stored", async () => {
  const store = new Chroma(embeddings, fresh());
  await expect(store.addDocuments(documents.slice(0, 2), { ids: ["a", "a"] })).rejects.toThrow(/\w/);
  expect(await store.similaritySearch("x", 9)).toEqual([]);
});

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ChromaClient } from "../../src/chroma/client.js";
import { Chroma, DualStore, exportChroma, importChroma, type ReadDifference } from "../../src/chroma/index.js";
import { runChromaServer, type ChromaServer } from "../../src/chroma/run-server.js";
import { PostgresVectorStore } from "../../src/index.js";
import { ChromaProxy } from "../helpers/chroma-proxy.js";
import { fillCollection, sampleRecords } from "../helpers/chroma-records.js";
import { startChromaServer } from "../helpers/chroma-server.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";
import { describeChroma } from "../helpers/describe-chroma.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 16;
const embeddings = new HashedEmbeddings(DIMENSIONS);
const PARTS = ["documents", "metadatas", "embeddings", "uris"] as const;

await describeChroma("the way back to Chroma, and both for a while", () => {
  let database: TestDatabase;
  let chroma: ChromaServer;
  let client: ChromaClient;
  let tableName = "";
  let tables = 0;

  beforeAll(async () => {
    database = await openTestDatabase();
    chroma = await startChromaServer();
    client = new ChromaClient({ url: chroma.url, retries: 0 });
    for (const space of ["l2", "cosine", "ip"]) {
      await fillCollection(client, `source-${space}`, space, sampleRecords(150, DIMENSIONS, 3));
    }
  });
  afterAll(async () => {
    await chroma.stop();
    await database.close();
  });
  beforeEach(() => {
    tableName = `exported_${(tables += 1)}`;
  });

  const target = () => ({ pool: database.pool, tableName, chroma: { url: chroma.url, retries: 0 } });

  async function everything(name: string): Promise<unknown> {
    const { id, metadata, space } = await client.getCollection(name);
    const {
      ids,
      documents,
      metadatas,
      embeddings: vectors,
      uris,
    } = await client.get(id, { limit: 999, include: PARTS });
    const records = ids.map((record, index) => [
      record,
      documents![index],
      metadatas![index],
      vectors![index],
      uris![index],
    ]);
    return { metadata, space, records: records.toSorted(([a], [b]) => (a! < b! ? -1 : 1)) };
  }

  test("what was imported goes back as it was", async () => {
    await importChroma(target());
    for (const space of ["l2", "ip"]) {
      const name = `back-${space}`;
      const done: number[] = [];
      const exported = await exportChroma({
        ...target(),
        collectionName: `source-${space}`,
        name,
        pageRows: 100,
        onProgress: (count) => done.push(count),
      });
      expect(exported).toEqual({ name, records: 150 });
      expect(done).toEqual([100, 150]);
      expect(await everything(name)).toEqual(await everything(`source-${space}`));
    }
    // Chroma normalises vectors under cosine distance, so only the last bits may differ.
    await exportChroma({ ...target(), collectionName: "source-cosine", name: "back-cosine" });
    const { id } = await client.getCollection("back-cosine");
    expect(await client.count(id)).toBe(150);
    expect((await client.getCollection("back-cosine")).space).toBe("cosine");
  });

  test("a collection of the name is kept, or replaced when everything is there", async () => {
    const store = new Chroma(embeddings, { pool: database.pool, tableName, collectionName: "notes" });
    await store.addDocuments([{ id: "1", pageContent: "one", metadata: { n: 1 } }]);
    const args = { ...target(), collectionName: "notes" };
    await exportChroma(args);
    expect((await errorOf(exportChroma(args))).message).toMatch(/has a collection "notes" already/);
    await store.addDocuments([{ id: "2", pageContent: "two", metadata: { n: null, uri: "https://example.org" } }]);
    expect(await exportChroma({ ...args, existing: "replace" })).toEqual({ name: "notes", records: 2 });
    const { id } = await client.getCollection("notes");
    expect(await client.get(id, { include: ["documents", "metadatas", "uris"] })).toMatchObject({
      ids: ["1", "2"],
      metadatas: [{ n: 1 }, {}],
      uris: [null, "https://example.org"],
    });
    await store.addDocuments([{ id: "3", pageContent: "three", metadata: { nested: { a: 1 } } }]);
    const error = await errorOf(exportChroma({ ...args, existing: "replace" }));
    expect(error.message).toMatch(/The row "3" has metadata that Chroma cannot hold under "nested"/);
    expect(await client.count((await client.getCollection("notes")).id)).toBe(2);
    const names = (await client.listCollections()).map(({ name }) => name);
    expect(names.filter((name) => name.includes("in-progress") || name.includes("replaced"))).toEqual([]);
  });

  test("a server that dies half-way leaves no collection of the name", async () => {
    await importChroma({ ...target(), collections: ["source-l2"] });
    const proxy = await ChromaProxy.start(chroma.url);
    let writes = 0;
    proxy.tamper = ({ path }, answer) => (path.endsWith("/upsert") && (writes += 1) > 1 ? undefined : answer);
    const args = { ...target(), collectionName: "source-l2", name: "half", pageRows: 50 };
    const error = await errorOf(exportChroma({ ...args, chroma: { url: proxy.url, retries: 0 } }));
    expect(error).toMatchObject({ code: "CHROMA_SERVER" });
    await proxy.stop();
    expect((await errorOf(client.getCollection("half"))).message).toMatch(/does not exist/);
    expect(await exportChroma(args)).toEqual({ name: "half", records: 150 });
  });

  test("wrong usage", async () => {
    const of = async (more: object): Promise<string> => (await errorOf(exportChroma({ ...target(), ...more }))).message;
    expect(await of({ existing: "merge" })).toMatch(/existing "merge" is unknown/);
    expect(await of({ pageRows: 0 })).toMatch(/pageRows must be a whole number/);
    expect(await of({})).toMatch(/does not exist/);
  });

  test("from a data directory whose server is gone", async () => {
    const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-chroma-dir-"));
    try {
      const server = await runChromaServer({ dataDir: join(folder, "live") });
      const records = sampleRecords(120, DIMENSIONS, 5);
      await fillCollection(new ChromaClient({ url: server.url }), "left", "l2", records);
      await server.stop();
      cpSync(join(folder, "live"), join(folder, "copy"), { recursive: true });
      const report = await importChroma({ pool: database.pool, tableName, dataDir: join(folder, "copy") });
      expect(report).toMatchObject({ source: join(folder, "copy"), collections: [{ name: "left", records: 120 }] });
      const store = await PostgresVectorStore.fromExistingIndex(embeddings, {
        pool: database.pool,
        tableName,
        collectionName: "left",
      });
      const [chunk] = await store.get({ ids: [records[7]!.id], include: ["documents", "embeddings"] });
      expect(chunk).toEqual({ id: records[7]!.id, content: records[7]!.document, embedding: records[7]!.vector });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("two stores: written together, compared while one answers", async () => {
    const { Chroma: TheirChroma } = await import("@langchain/community/vectorstores/chroma");
    const theirs = new TheirChroma(embeddings, { collectionName: "dual", url: chroma.url });
    const ours = new Chroma(embeddings, { pool: database.pool, tableName, collectionName: "dual" });
    const differences: ReadDifference[] = [];
    const store = new DualStore({ primary: theirs, secondary: ours, onDifference: (found) => differences.push(found) });
    const before = embeddings.embedded;
    const ids = await store.addDocuments([
      { pageContent: "the index is a graph", metadata: { topic: "index" } },
      { pageContent: "vacuum removes dead rows", metadata: { topic: "vacuum" } },
      { id: "given", pageContent: "a backup at night", metadata: { topic: "backup" } },
    ]);
    expect(embeddings.embedded - before).toBe(3);
    expect(ids[2]).toBe("given");
    for (const filter of [undefined, { topic: "index" }, { topic: { $ne: "index" } }]) {
      await store.similaritySearchWithScore("graph", 3, filter);
    }
    await store.settled();
    expect(differences).toEqual([]);

    await ours.delete({ ids: [ids[0]!] });
    const found = await store.similaritySearch("the index is a graph", 3);
    await store.settled();
    expect(found).toHaveLength(3);
    expect(differences).toMatchObject([{ k: 3, onlyPrimary: [ids[0]], onlySecondary: [] }]);

    await ours.addVectors([Array(DIMENSIONS).fill(0.5)], [{ pageContent: "moved", metadata: {} }], { ids: [ids[0]!] });
    await store.similaritySearch("the index is a graph", 3);
    await store.settled();
    expect(differences[1]!.scoreError).toBeGreaterThan(0.01);

    await store.delete({ ids });
    expect([await theirs.similaritySearch("x", 9), await ours.similaritySearch("x", 9)]).toEqual([[], []]);

    // A store that is down costs a line in the log, and the caller nothing.
    const broken = new Chroma(embeddings, { connectionString: "postgres://127.0.0.1:1/none", collectionName: "dual" });
    const half = new DualStore({ primary: theirs, secondary: broken, onDifference: (d) => differences.push(d) });
    expect(await half.asRetriever(2).invoke("graph")).toEqual([]);
    await half.settled();
    expect(differences.at(-1)!.error).toMatchObject({ code: "DATABASE" });
    await broken.end();
  });
});

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ChromaClient } from "../../src/chroma/client.js";
import {
  importChroma,
  planImportChroma,
  type ImportChromaArgs,
  type ImportProgress,
  type ImportReport,
} from "../../src/chroma/index.js";
import type { ChromaServer } from "../../src/chroma/run-server.js";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { ChromaProxy } from "../helpers/chroma-proxy.js";
import { fillCollection, sampleRecords, type SampleRecord } from "../helpers/chroma-records.js";
import { startChromaServer } from "../helpers/chroma-server.js";
import { describeChroma } from "../helpers/describe-chroma.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 16;
const embeddings = new HashedEmbeddings(DIMENSIONS);
const SPACES = { squared: "l2", angles: "cosine", products: "ip" } as const;

await describeChroma("importing from a Chroma server", () => {
  let database: TestDatabase;
  let chroma: ChromaServer;
  let client: ChromaClient;
  let proxy: ChromaProxy;
  let tableName = "";
  let tables = 0;
  const records = new Map<string, SampleRecord[]>();

  beforeAll(async () => {
    database = await openTestDatabase();
    chroma = await startChromaServer();
    proxy = await ChromaProxy.start(chroma.url);
    client = new ChromaClient({ url: chroma.url });
    for (const [index, [name, space]] of Object.entries(SPACES).entries()) {
      records.set(name, sampleRecords(230 + index, DIMENSIONS, index));
      await fillCollection(client, name, space, records.get(name)!);
    }
  });
  afterAll(async () => {
    await proxy.stop();
    await chroma.stop();
    await database.close();
  });
  beforeEach(() => {
    tableName = `imported_${(tables += 1)}`;
    proxy.tamper = (_request, answer) => answer;
    proxy.requests.length = 0;
  });

  const args = (more: Partial<ImportChromaArgs> = {}): ImportChromaArgs => ({
    chroma: { url: proxy.url, retries: 0 },
    collections: Object.keys(SPACES),
    pool: database.pool,
    tableName,
    pageRows: 50,
    ...more,
  });
  const open = (config: PostgresVectorStoreArgs): Promise<PostgresVectorStore> =>
    PostgresVectorStore.fromExistingIndex(embeddings, { pool: database.pool, tableName, ...config });

  /**
   * Everything that a store sees must be what was put into Chroma, and the vectors what Chroma gives back: under cosine
   * distance it keeps them normalised, so that the last bits differ from what it was given.
   */
  async function expectSame(
    store: PostgresVectorStore,
    name: string,
    more: Record<string, unknown> = {},
  ): Promise<void> {
    const chunks = await store.get({
      ...(more["collection"] !== undefined && { where: { collection: name } }),
      include: ["documents", "metadatas", "embeddings"],
    });
    const { id: collection } = await client.getCollection(name);
    const given = await client.get(collection, { limit: 1_000, include: ["embeddings"] });
    const vectors = new Map(given.ids.map((id, index) => [id, given.embeddings![index]!.map(Math.fround)]));
    const wanted = records.get(name)!.map(({ id, document, metadata, uri }) => ({
      id,
      content: document,
      metadata: { ...metadata, ...(uri !== null && { uri }), ...more },
      embedding: vectors.get(id),
    }));
    const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
    expect(chunks.toSorted(byId)).toEqual(wanted.toSorted(byId));
  }

  /** It must fail so, and leave nothing that a store could see. */
  async function expectFailure(message: RegExp, more: Partial<ImportChromaArgs>): Promise<Error> {
    const error = await errorOf(importChroma(args(more)));
    expect(error.message).toMatch(message);
    for (const name of more.collections ?? Object.keys(SPACES)) {
      const store = await open({ collectionName: name }).catch(() => undefined);
      expect((await store?.get()) ?? []).toEqual([]);
    }
    return error;
  }

  test("into one table: ids, documents, metadata, URIs and vectors are the same", async () => {
    const progress: ImportProgress[] = [];
    const report = await importChroma(args({ onProgress: (step) => progress.push(step) }));
    expect(report.collections.map(({ name, metric, records: count }) => [name, metric, count])).toEqual([
      ["squared", "euclidean", 230],
      ["angles", "cosine", 231],
      ["products", "innerProduct", 232],
    ]);
    for (const { name, records: count, verification, resumed, skipped } of report.collections) {
      expect(verification).toMatchObject({ compared: count, changed: 0, queries: 20 });
      expect(verification!.overlap).toBeGreaterThan(0.9);
      expect([resumed, skipped]).toEqual([0, 0]);
      await expectSame(await open({ collectionName: name }), name);
    }
    expect(progress.filter(({ phase }) => phase === "copy").map(({ done }) => done)).toEqual([
      50, 100, 150, 200, 230, 50, 100, 150, 200, 231, 50, 100, 150, 200, 232,
    ]);
    const { rows } = await (
      await open({ collectionName: "angles" })
    ).pool.query(`select name, cmetadata from ${tableName}_collections order by name`);
    expect(rows).toEqual([
      { name: "angles", cmetadata: { "hnsw:space": "cosine", owner: "tests" } },
      { name: "products", cmetadata: { "hnsw:space": "ip", owner: "tests" } },
      { name: "squared", cmetadata: { "hnsw:space": "l2", owner: "tests" } },
    ]);
  });

  test("into a table each, tenants, and metadata", async () => {
    await importChroma(args({ into: "table", tableName: `${tableName}_{collection}` }));
    await importChroma(args({ into: "tenant", tableName: `${tableName}_tenants` }));
    await expectFailure(/id .* of the collection "angles" is taken by another collection/, {
      into: "metadata",
      tableName: `${tableName}_refused`,
    });
    await importChroma(args({ into: "metadata", collections: ["squared"] }));
    await expectSame(await open({}), "squared", { collection: "squared" });
    for (const name of Object.keys(SPACES)) {
      await expectSame(await open({ tableName: `${tableName}_${name}` }), name);
      await expectSame(await open({ tableName: `${tableName}_tenants`, tenancy: "rls", tenantId: name }), name);
    }
  });

  test("a plan reads both sides and changes nothing", async () => {
    const plan = await planImportChroma(args());
    expect(plan.collections).toMatchObject([
      { name: "squared", records: 230, dimensions: 16, metric: "euclidean", tableExists: false, problems: [] },
      { name: "angles", records: 231, metric: "cosine", collection: "angles", tenant: "default" },
      { name: "products", records: 232, metric: "innerProduct", table: tableName },
    ]);
    await expect(open({})).rejects.toThrow(/does not exist/);
    await importChroma(args({ collections: ["angles"] }));
    const again = await planImportChroma(args({ collections: ["angles"] }));
    expect(again.collections[0]).toMatchObject({ tableExists: true, existing: 231, staged: 0 });
    expect(again.collections[0]!.problems).toEqual([expect.stringMatching(/231 rows are there/)]);
  });

  test("rows in the way: refused, replaced, merged", async () => {
    const collections = ["angles"];
    const store = await PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName,
      collectionName: "angles",
      distanceStrategy: "cosine",
    });
    const taken = records.get("angles")![0]!.id;
    await store.addDocuments([
      { id: taken, pageContent: "old", metadata: {} },
      { id: "mine", pageContent: "mine", metadata: {} },
    ]);
    const error = await errorOf(importChroma(args({ collections })));
    expect(error.message).toMatch(/There are rows where the collection "angles" is to go/);
    expect(await store.get()).toHaveLength(2);
    await importChroma(args({ collections, existing: "merge" }));
    expect(await store.get()).toHaveLength(232);
    await importChroma(args({ collections, existing: "replace" }));
    await expectSame(store, "angles");
  });

  test("a server that dies half-way: nothing is visible, and the next call goes on", async () => {
    const collections = ["products"];
    for (const allowed of [1, 3]) {
      proxy.requests.length = 0;
      proxy.tamper = ({ path }, answer) => {
        const reads = proxy.requests.filter((request) => request.path.endsWith("/get")).length;
        return path.endsWith("/get") && reads > allowed ? undefined : answer;
      };
      const error = await expectFailure(/The Chroma server http:\/\/127.* broke the connection|cannot be reached/, {
        collections,
        pageRows: 40,
      });
      expect(error).toMatchObject({ code: "CHROMA_SERVER", retryable: true });
    }
    proxy.tamper = (_request, answer) => answer;
    const [report] = (await importChroma(args({ collections, pageRows: 40 }))).collections;
    expect(report!.resumed).toBeGreaterThanOrEqual(40);
    expect(report!.records).toBe(232);
    await expectSame(await open({ collectionName: "products" }), "products");
  });

  test("stopped by its signal at five points, it ends in the same state", async () => {
    const collections = ["products"];
    const resumed: number[] = [];
    for (const stopAt of [50, 100, 150, 200, 232]) {
      const controller = new AbortController();
      const onProgress = ({ phase, done }: ImportProgress): void => {
        const stop = stopAt === 232 ? phase === "verify" && done === 100 : phase === "copy" && done >= stopAt;
        if (stop) controller.abort(new Error("stopped"));
      };
      await expectFailure(/stopped/, { collections, signal: controller.signal, onProgress });
      resumed.push((await planImportChroma(args({ collections }))).collections[0]!.staged);
    }
    expect(resumed.at(-1)).toBe(232);
    expect(resumed).toEqual(resumed.toSorted((a, b) => a - b));
    const [report] = (await importChroma(args({ collections }))).collections;
    expect(report).toMatchObject({ resumed: 232, records: 232 });
    await expectSame(await open({ collectionName: "products" }), "products");
  });

  test("a passing failure of the server is tried again", async () => {
    let refused = 0;
    proxy.tamper = ({ path }, answer) => {
      if (!path.endsWith("/get") || refused >= 2) return answer;
      refused += 1;
      return { status: 503, body: '{"message":"overloaded"}' };
    };
    const report = await importChroma(args({ collections: ["angles"], chroma: { url: proxy.url } }));
    expect(refused).toBe(2);
    expect(report.collections[0]!.records).toBe(231);
  });

  test("records that changed after they were copied are copied again", async () => {
    let pages = 0;
    proxy.tamper = ({ path, body }, answer) => {
      if (!path.endsWith("/get") || body["offset"] !== 0) return answer;
      pages += 1;
      return pages === 1 ? { ...answer, body: answer.body.replace('"documents":["', '"documents":["stale ') } : answer;
    };
    const [report] = (await importChroma(args({ collections: ["angles"] }))).collections;
    expect(report!.verification).toMatchObject({ compared: 231, changed: 1 });
    await expectSame(await open({ collectionName: "angles" }), "angles");
  });

  /** The first page as a server, or a release, could send it. */
  function alter(change: (page: Record<string, unknown[]>) => void): void {
    proxy.tamper = ({ path, body }, answer) => {
      if (!path.endsWith("/get") || body["offset"] !== 0) return answer;
      const page = JSON.parse(answer.body) as Record<string, unknown[]>;
      change(page);
      return { ...answer, body: JSON.stringify(page) };
    };
  }

  test("bad records are refused by name, or left out and reported", async () => {
    const collections = ["angles"];
    const id = records.get("angles")![3]!.id;
    const place = `Record ${JSON.stringify(id)} of the collection "angles" cannot be stored`;
    const cases: [string, (page: Record<string, unknown[]>) => void, string][] = [
      ["an empty id", (page) => (page["ids"]![3] = ""), "The id of document 0 must be a non-empty string"],
      ["an id twice", (page) => (page["ids"]![3] = page["ids"]![0]), "its id occurs twice"],
      ["no document", (page) => (page["documents"]![3] = null), `${place}: it has no document; set missingDocuments`],
      ["no embedding", (page) => (page["embeddings"]![3] = null), `${place}: it has no embedding`],
      ["another dimension", (page) => (page["embeddings"]![3] = [1, 2]), `${place}: its embedding has 2 dimensions`],
      ["a zero vector", (page) => (page["embeddings"]![3] = Array(16).fill(0)), `${place}: its embedding is all zeros`],
      [
        "a URI in the way",
        (page) => {
          page["uris"]![3] = "a";
          page["metadatas"]![3] = { uri: "b" };
        },
        `${place}: its metadata has the key "uri" already; set \`uriKey\``,
      ],
    ];
    for (const [, change, message] of cases) {
      alter(change);
      const error = await expectFailure(/cannot be stored/, { collections, restart: true });
      expect(error.message).toContain(message);
      expect(error.message).toContain("Nothing of the collection is visible.");
      expect(error).toMatchObject({ code: "INGEST" });
      const report = await importChroma(args({ collections, rejected: "skip", existing: "replace", restart: true }));
      expect(report.collections[0]).toMatchObject({ records: 230, skipped: 1 });
      expect(report.collections[0]!.firstSkipped).toHaveLength(1);
      await (await open({ collectionName: "angles" })).delete({ filter: { number: { gte: 0 } } });
      await (await open({ collectionName: "angles" })).delete({ filter: { number: { $exists: false } } });
    }
  });

  test("missing documents become empty texts, or are left out", async () => {
    const collections = ["angles"];
    alter((page) => (page["documents"]![3] = null));
    const id = records.get("angles")![3]!.id;
    await importChroma(args({ collections, missingDocuments: "empty" }));
    const store = await open({ collectionName: "angles" });
    expect(await store.get({ ids: [id] })).toMatchObject([{ id, content: "" }]);
    const report = await importChroma(args({ collections, missingDocuments: "skip", existing: "replace" }));
    expect(report.collections[0]).toMatchObject({ records: 230, skipped: 1, firstSkipped: [{ id }] });
    expect(await store.get({ ids: [id] })).toEqual([]);
  });

  test("arrays, nulls, large integers and NUL", async () => {
    const collections = ["squared"];
    const id = records.get("squared")![3]!.id;
    alter((page) => {
      page["metadatas"]![3] = { tags: ["a", "b"], flags: [true, false], gone: null, big: 2 ** 53 + 2 };
      page["documents"]![3] = "a\0b";
    });
    const [report] = (await importChroma(args({ collections }))).collections;
    expect(report).toMatchObject({ nulRemoved: 1, unsafeIntegers: 1, records: 230 });
    const store = await open({ collectionName: "squared" });
    const [chunk] = await store.get({ ids: [id] });
    expect(chunk!.content).toBe("ab");
    expect(chunk!.metadata).toMatchObject({ tags: ["a", "b"], flags: [true, false], gone: null, big: 2 ** 53 + 2 });
    expect(await store.get({ where: { tags: { arrayContains: ["a"] } } })).toHaveLength(1);
  });

  test("1 MB of metadata, in pages that adapt to it", async () => {
    const collection = await client.createCollection("heavy", {});
    const text = "x".repeat(2 ** 20);
    for (let start = 0; start < 60; start += 20) {
      const ids = Array.from({ length: 20 }, (_, index) => `${start + index}`);
      await client.upsert(collection.id, {
        ids,
        embeddings: ids.map((id) => Array.from({ length: DIMENSIONS }, (_, index) => Number(id) + index)),
        documents: ids,
        metadatas: ids.map((id) => ({ text, id })),
      });
    }
    // Where storing a page takes long, the proxy has closed the idle connection when the next one is asked for.
    const report = await importChroma(args({ collections: ["heavy"], pageRows: 60, chroma: { url: proxy.url } }));
    expect(report.collections[0]).toMatchObject({ records: 60 });
    const limits = proxy.requests.map(({ body }) => body["limit"]).filter((limit) => limit !== undefined);
    expect(limits.slice(0, 2)).toEqual([60, 15]);
    const store = await open({ collectionName: "heavy" });
    const chunks = await store.get({ where: { id: "42" } });
    expect(chunks).toMatchObject([{ id: "42", metadata: { text } }]);
  });

  test("a wrong dimension is refused before anything is written", async () => {
    await fillCollection(client, "short", "l2", sampleRecords(5, 8, 1));
    await PostgresVectorStore.initialize(embeddings, { pool: database.pool, tableName, collectionName: "short" });
    const error = await expectFailure(/holds vectors of 16 dimensions, the option says 8/, { collections: ["short"] });
    expect(error).toMatchObject({ code: "DIMENSION_MISMATCH", expected: 16, actual: 8 });
    const both = await errorOf(importChroma(args({ collections: ["angles", "short"] })));
    expect(both.message).toMatch(/"angles" \(16 dimensions\) and "short" \(8\) cannot share the table/);
    expect(proxy.requests.filter(({ path }) => path.endsWith("/get"))).toEqual([]);
  });

  test("another embedding model is refused", async () => {
    await importChroma(args({ collections: ["angles"], embeddingModel: "first", embeddingProvider: "openai" }));
    const error = await errorOf(importChroma(args({ collections: ["squared"], embeddingModel: "second" })));
    expect(error).toMatchObject({ code: "UNKNOWN_MODEL" });
    expect(error.message).toMatch(/was filled by the embedding model "first"/);
  });

  test("headers reach the server and nothing else", async () => {
    const headers = { authorization: "Bearer very-secret-token", "x-chroma-token": "other-secret" };
    const connection = { url: proxy.url, headers, retries: 0 };
    await planImportChroma(args({ chroma: connection }));
    expect(proxy.requests.every((request) => request.headers["x-chroma-token"] === "other-secret")).toBe(true);
    for (const [status, cure] of [[401, /credentials in `headers`/] as const, [500, /quoted/] as const]) {
      proxy.tamper = (request) => ({ status, body: `quoted: ${String(request.headers.authorization)}` });
      const error = await errorOf(importChroma(args({ chroma: connection })));
      expect(error.message).toMatch(cure);
      expect(JSON.stringify([error.message, error.stack, error.cause ?? ""])).not.toMatch(/secret/);
    }
    proxy.tamper = () => undefined;
    const error = await errorOf(importChroma(args({ chroma: connection })));
    expect(JSON.stringify([error.message, error.stack, error.cause ?? ""])).not.toMatch(/secret/);
    const inUrl = proxy.url.replace("//", "//ann:secret@");
    expect((await errorOf(importChroma(args({ chroma: { url: inUrl } })))).message).not.toMatch(/secret/);
  });

  test("wrong usage is refused before any I/O", async () => {
    const cases: [Partial<ImportChromaArgs>, RegExp][] = [
      [{ into: "rows" as "table" }, /into "rows" is unknown/],
      [{ existing: "drop" as "merge" }, /existing "drop" is unknown/],
      [{ into: "table" }, /needs \{collection\} in it/],
      [{ into: "tenant", tenantId: "a" }, /leave tenancy and tenantId out/],
      [{ pageRows: 0 }, /pageRows must be a whole number/],
      [{ uriKey: "" }, /uriKey must be a non-empty string/],
      [{ collections: ["angles", "angles"] }, /names one twice/],
      [{ chroma: { url: "localhost:8000" } }, /write it like http:\/\/localhost:8000/],
      [{ dataDir: "/nowhere" }, /holds no chroma.sqlite3/],
    ];
    for (const [more, message] of cases) {
      const error = await errorOf(importChroma(args(more)));
      expect(error.message).toMatch(message);
      expect(error).toMatchObject({ code: "CONFIGURATION" });
    }
    expect(proxy.requests).toEqual([]);
    expect((await errorOf(importChroma(args({ collections: ["nope"] })))).message).toMatch(/\[nope\] does not exist/);
  });

  test("from a tenant and a database of Chroma's own", async () => {
    const post = async (path: string, body: object): Promise<void> => {
      const headers = { "content-type": "application/json" };
      const { status } = await fetch(chroma.url + path, { method: "POST", headers, body: JSON.stringify(body) });
      expect(status).toBe(200);
    };
    await post("/api/v2/tenants", { name: "acme" });
    await post("/api/v2/tenants/acme/databases", { name: "docs" });
    const connection = { url: proxy.url, tenant: "acme", database: "docs", retries: 0 };
    const own = sampleRecords(20, DIMENSIONS, 9);
    await fillCollection(new ChromaClient({ ...connection, url: chroma.url }), "own", "l2", own);
    const report = await importChroma({ chroma: connection, pool: database.pool, tableName });
    expect(report.collections).toMatchObject([{ name: "own", records: 20 }]);
    expect(await (await open({ collectionName: "own" })).get({ include: [] })).toHaveLength(20);
  });

  test("a server that is no Chroma, or an old one", async () => {
    const of = async (answer: { status: number; body: string }): Promise<string> => {
      proxy.tamper = () => answer;
      return (await errorOf(importChroma(args()))).message;
    };
    expect(await of({ status: 200, body: "<html>" })).toMatch(/something else than JSON; is it a Chroma server/);
    expect(await of({ status: 404, body: '{"detail":"Not Found"}' })).toMatch(/may be older than 0.6/);
  });

  test("an empty collection is named and left out", async () => {
    await client.createCollection("nothing", {});
    const report: ImportReport = await importChroma(args({ collections: ["nothing", "angles"] }));
    expect(report.empty).toEqual(["nothing"]);
    expect(report.collections.map(({ name }) => name)).toEqual(["angles"]);
  });
});

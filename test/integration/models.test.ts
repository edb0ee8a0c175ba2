import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ConfigurationError,
  CutoverBlockedError,
  PostgresVectorStore,
  UnknownModelError,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import { syncDocuments } from "../../src/loaders/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { ModelEmbeddings } from "../helpers/model-embeddings.js";

const old = new ModelEmbeddings("old", 16);
const next = new ModelEmbeddings("next", 24);
const words = ["red", "green", "blue", "amber", "white", "black", "brown", "pink"];
const document = (index: number) => ({
  id: String(index),
  pageContent: `${words[index % words.length]} thing number ${index}`,
  metadata: { index },
});
const documents = (count: number, from = 0) => Array.from({ length: count }, (_, index) => document(from + index));

const folder = mkdtempSync(join(tmpdir(), "models-"));
let database: TestDatabase;
let tables = 0;

beforeAll(async () => {
  writeFileSync(join(folder, "note.txt"), "a red thing");
  database = await openTestDatabase();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await database.close();
});

async function open(
  embeddings: ModelEmbeddings,
  args: Partial<PostgresVectorStoreArgs> & { tableName: string },
): Promise<PostgresVectorStore> {
  return PostgresVectorStore.initialize(embeddings, { pool: database.pool, ...testSchema(), ...args });
}

const tableName = (): string => `models_${(tables += 1)}`;
const both = { embedders: { [next.fingerprint]: next } };

/** A store with rows and the second version added, and its table. */
async function adding(rows = 20, args: Partial<PostgresVectorStoreArgs> = {}) {
  const table = tableName();
  const store = await open(old, { tableName: table, ...both, ...args });
  await store.addDocuments(documents(rows));
  await store.models.add({ embeddings: next });
  return { store, table };
}

async function columns(store: PostgresVectorStore): Promise<{ id: string; old: boolean; next: boolean }[]> {
  const { rows } = await store.pool.query(
    `select id, embedding is not null as old, embedding_v2 is not null as next from ${store.computedTableName} order by id::int`,
  );
  return rows as { id: string; old: boolean; next: boolean }[];
}

describe("changing the model of a store", () => {
  it("goes from the old model to a new one of other dimensions, back and forth, and away with the old one", async () => {
    const { store, table } = await adding();
    expect((await store.models.list()).map(({ version, state }) => [version, state])).toEqual([
      [1, "active"],
      [2, "building"],
    ]);
    const other = await open(old, { tableName: table, ...both });
    await other.addDocuments([document(20)]);
    expect((await columns(store)).filter((row) => row.next).map(({ id }) => id)).toEqual(["20"]);

    const blocked = await errorOf(store.models.cutover());
    expect(blocked).toBeInstanceOf(CutoverBlockedError);
    expect(blocked.message).toContain("20 rows wait for their vector of version 2");

    const filled = await store.models.backfill({ maxSlowdown: false });
    expect(filled).toMatchObject({
      version: 2,
      filled: 20,
      missing: 0,
      setAsideCount: 0,
      indexed: true,
      state: "ready",
    });
    expect((await columns(store)).every((row) => row.old && row.next)).toBe(true);

    await store.models.cutover();
    expect((await store.models.list()).map(({ state }) => state)).toEqual(["retiring", "active"]);
    const [hit] = await other.search("blue thing number 2", { k: 1, includeEmbeddings: true });
    expect(hit!.document.id).toBe("2");
    expect(hit!.embedding).toEqual(next.vectorOf("blue thing number 2").map(Math.fround));

    await store.models.rollback();
    const [back] = await other.search("blue thing number 2", { k: 1, includeEmbeddings: true });
    expect(back!.embedding).toHaveLength(16);
    await store.models.cutover({ version: 2 });
    await store.models.retire({ version: 1 });
    const onlyNext = await open(next, { tableName: table });
    expect((await onlyNext.search("amber thing number 3", { k: 1 }))[0]!.document.id).toBe("3");
    const error = await errorOf(open(old, { tableName: table }));
    expect(error).toBeInstanceOf(UnknownModelError);
    expect(error.message).toMatch(/"next".*"old"/);
  });

  it("takes a vector away when the text beside it changes without it, whoever writes", async () => {
    const { store, table } = await adding(3);
    await store.models.backfill({ maxSlowdown: false, index: false });
    await store.pool.query(`update ${store.computedTableName} set text = 'something else' where id = '0'`);
    expect(await columns(store)).toEqual([
      { id: "0", old: false, next: false },
      { id: "1", old: true, next: true },
      { id: "2", old: true, next: true },
    ]);
    // A process that has the old embedder alone supplies the old vector alone.
    const onlyOld = await open(old, { tableName: table });
    await onlyOld.addDocuments([{ ...document(1), pageContent: "a new text" }]);
    expect((await columns(store))[1]).toEqual({ id: "1", old: true, next: false });
    // The same text again changes nothing.
    await onlyOld.addDocuments([document(2)]);
    expect((await columns(store))[2]).toEqual({ id: "2", old: true, next: true });
    expect((await store.models.backfill({ version: 1, maxSlowdown: false, index: false })).filled).toBe(1);
    expect((await store.models.backfill({ maxSlowdown: false, index: false })).filled).toBe(2);
    expect((await columns(store)).every((row) => row.old && row.next)).toBe(true);
  });

  it("writes every version by every way of writing", async () => {
    const { store } = await adding(2);
    await store.addVectors([old.vectorOf("two")], [{ ...document(2), pageContent: "two" }]);
    await store.bulkLoad(documents(50, 100));
    await store.bulkLoad(
      documents(50, 200).map((one) => ({ document: one, embedding: old.vectorOf(one.pageContent) })),
    );
    // Over rows that are there, by way of the staging table.
    await store.bulkLoad([...documents(10, 195), { ...document(100), pageContent: "a new text" }]);
    const rows = await columns(store);
    expect(rows.filter((row) => !row.next).map(({ id }) => id)).toEqual(["0", "1"]);
    expect(rows.every((row) => row.old)).toBe(true);
    const { rows: stored } = await store.pool.query(
      `select embedding_v2::text as v from ${store.computedTableName} where id = '100'`,
    );
    const vector = JSON.parse(stored[0]!["v"] as string) as number[];
    expect(vector.map(Math.fround)).toEqual(next.vectorOf("a new text").map(Math.fround));
  });

  it("stores rows without the second vector where its embedder fails, and fails where the first one does", async () => {
    const failing = new ModelEmbeddings("next", 24, () => Promise.reject(new Error("no answer")));
    const { store, table } = await adding(1);
    const warnings: string[] = [];
    const logger = { debug() {}, info() {}, warn: (message: string) => void warnings.push(message) };
    const lame = await open(old, { tableName: table, embedders: { [next.fingerprint]: failing }, logger });
    await lame.addDocuments([document(1)]);
    await lame.bulkLoad([document(2)], { embed: { retries: 0 } });
    expect((await columns(store)).map(({ next: has }) => has)).toEqual([false, false, false]);
    expect(warnings.join()).toContain("no answer");
    await store.models.backfill({ maxSlowdown: false });
    await store.models.cutover();
    expect((await errorOf(lame.addDocuments([document(3)]))).message).toContain("no answer");
  });

  it("searches by the retiring version where its embedder alone is here, and names both when it is gone", async () => {
    const { store, table } = await adding(4);
    const onlyOld = await open(old, { tableName: table });
    await store.models.backfill({ maxSlowdown: false });
    const early = await errorOf(open(next, { tableName: table }));
    expect(early).toBeInstanceOf(UnknownModelError);
    expect(early.message).toMatch(/"old".*"next".*version 2 is ready/);
    await store.models.cutover({ force: true });
    const [hit] = await onlyOld.search("green thing number 1", { k: 1, includeEmbeddings: true });
    expect(hit!.embedding).toHaveLength(16);
    // What it writes waits for the sweeper, and keeps nobody from reading.
    await onlyOld.addDocuments([document(9)]);
    expect((await columns(store)).at(-1)).toEqual({ id: "9", old: true, next: false });
    const onlyNext = await open(next, { tableName: table });
    expect(await onlyNext.search("thing", { k: 9 })).toHaveLength(4);
    expect((await store.models.backfill({ version: 2, maxSlowdown: false })).filled).toBe(1);
    expect(await onlyNext.search("thing", { k: 9 })).toHaveLength(5);
    const vector = await errorOf(
      (await open(next, { tableName: table })).similaritySearchVectorWithScore(old.vectorOf("thing"), 1),
    );
    expect(vector.name).toBe("DimensionMismatchError");
  });

  it("refuses another model of the same dimensions wherever a vector can enter", async () => {
    const table = tableName();
    const store = await open(old, { tableName: table });
    await store.addDocuments(documents(2));
    const imposter = new ModelEmbeddings("imposter", 16);
    expect(await errorOf(open(imposter, { tableName: table }))).toBeInstanceOf(UnknownModelError);
    const misfiled = open(old, { tableName: table, embedders: { [old.fingerprint]: imposter } });
    expect(await errorOf(misfiled)).toBeInstanceOf(ConfigurationError);
    // Without a name, by what it answers.
    const nameless = {
      embedDocuments: (texts: string[]) => imposter.embedDocuments(texts),
      embedQuery: (text: string) => imposter.embedQuery(text),
    };
    expect(await errorOf(open(nameless as never, { tableName: table }))).toBeInstanceOf(UnknownModelError);
    const alias = {
      embedDocuments: (texts: string[]) => old.embedDocuments(texts),
      embedQuery: (text: string) => old.embedQuery(text),
    };
    await (await open(alias as never, { tableName: table })).addDocuments([document(5)]);
    expect(await store.get()).toHaveLength(3);

    // Each call of a store that has not been opened yet, by itself.
    const closed = () => new PostgresVectorStore(imposter, { pool: database.pool, ...testSchema(), tableName: table });
    const vector = imposter.vectorOf("red");
    const entries: Record<string, () => Promise<unknown>> = {
      addDocuments: () => closed().addDocuments([document(7)]),
      addVectors: () => closed().addVectors([vector], [document(7)]),
      "bulkLoad of texts": () => closed().bulkLoad([document(7)]),
      "bulkLoad of vectors": () => closed().bulkLoad([{ document: document(7), embedding: vector }]),
      fromTexts: () =>
        PostgresVectorStore.fromTexts(["x"], [{}], imposter, {
          pool: database.pool,
          ...testSchema(),
          tableName: table,
        }),
      "sources.commit": () =>
        closed().sources.commit({ sources: [], added: [{ document: document(7), vector }], kept: [], gone: [] }),
      "sources.cacheVectors": () => closed().sources.cacheVectors(new Map([["red", vector]])),
      "search by text": () => closed().search("red"),
      "search by vector": () => closed().search(vector),
      similaritySearchVectorWithScore: () => closed().similaritySearchVectorWithScore(vector, 1),
      maxMarginalRelevanceSearch: () => closed().maxMarginalRelevanceSearch("red", { k: 1 }),
      retriever: () => closed().asRetriever({ k: 1 }).invoke("red"),
      explain: () => closed().explain("red"),
      syncDocuments: () => syncDocuments(closed(), folder),
    };
    for (const [name, enter] of Object.entries(entries)) {
      const error = await errorOf(enter());
      expect([name, error.name, error.message]).toEqual([
        name,
        "UnknownModelError",
        expect.stringMatching(/"old".*"imposter"/),
      ]);
    }
    expect(await store.get()).toHaveLength(3);

    // While versions change, nothing but the version's own embedder fills it.
    await store.models.add({ embeddings: new ModelEmbeddings("next", 16) });
    expect(await errorOf(store.models.backfill())).toBeInstanceOf(UnknownModelError);
    const wrong = { embedders: { "test/next@16": imposter } };
    expect(await errorOf(open(old, { tableName: table, ...wrong }))).toBeInstanceOf(ConfigurationError);
    await store.models.retire({ version: 2 });
  });
});

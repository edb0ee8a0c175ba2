import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { importJsonl } from "../../src/chroma/index.js";
import { Database } from "../../src/db/database.js";
import { PostgresVectorStore, type ExportRecord, type Filter, type PostgresVectorStoreArgs } from "../../src/index.js";
import { ensureSchema } from "../../src/schema/ensure.js";
import { resolveOptions } from "../../src/store/options.js";
import {
  describeServer,
  openServerDatabase,
  openTestDatabase,
  testSchema,
  type ServerTestDatabase,
  type TestDatabase,
} from "../helpers/database.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings();
let database: TestDatabase;
let tables = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});

afterAll(() => database.close());

const argsOf = (args: PostgresVectorStoreArgs = {}): PostgresVectorStoreArgs => ({
  pool: database.pool,
  tableName: `lexical_writes_${(tables += 1)}`,
  lexical: true,
  ...testSchema(),
  ...args,
});
const open = (args?: PostgresVectorStoreArgs): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(embeddings, argsOf(args));
const doc = (id: string, pageContent: string, metadata: Record<string, unknown> = {}) => ({
  id,
  pageContent,
  metadata,
});
const items = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => doc(`row ${i}`, text(i)));
const found = async (store: PostgresVectorStore, query: string, filter?: Filter): Promise<string[]> =>
  (await store.search(query, { searchType: "lexical", k: 1_000, filter }))
    .filter((hit) => hit.lexical)
    .map((hit) => hit.document.id!)
    .sort();

/** What one of the tables of the index holds, whoever it belongs to. */
async function indexed(store: PostgresVectorStore, part: string, columns: string): Promise<Record<string, unknown>[]> {
  const client = await database.pool.connect();
  try {
    const text = `select ${columns} from ${store.computedTableName.replace(/"$/, `_lexical${part}"`)} order by 1`;
    return (await client.query({ text })).rows;
  } finally {
    client.release();
  }
}

describe("bulk loads", () => {
  it.each(["off", "rls"] as const)("are indexed as they are stored, with tenancy %s", async (tenancy) => {
    const all = await open({ tenancy });
    const store = tenancy === "rls" ? all.forTenant("a") : all;
    const first = await store.bulkLoad(
      items(500, (i) => `word${i % 50} common`),
      { batchRows: 100, vacuum: false },
    );
    // The embedded database has no COPY.
    expect([tenancy === "rls" ? "staging" : "copy", "arrays"]).toContain(first.path);
    expect(await found(store, "common")).toHaveLength(500);
    expect(await found(store, "word7")).toHaveLength(10);
    // Over rows that are there: only what changes is indexed anew.
    const second = await store.bulkLoad(
      items(200, (i) => (i < 100 ? `word${i % 50} common` : `changed${i} common`)),
      { batchRows: 100, vacuum: false },
    );
    expect(["staging", "arrays"]).toContain(second.path);
    expect(await found(store, "word7")).toHaveLength(8);
    expect(await found(store, "changed150")).toEqual(["row 150"]);
    expect(await found(store, "common")).toHaveLength(500);
    await store.lexical.compact();
    expect(await store.lexical.state()).toMatchObject({ chunks: 500, dead: 0, segments: 1 });
  });

  it("are compacted in the background", async () => {
    const store = await open();
    await store.bulkLoad(
      items(2_000, (i) => `word${i}`),
      { batchRows: 100, vacuum: false },
    );
    await store.end();
    const segments = await indexed(store, "_segments", "segment, chunks");
    expect(segments.length).toBeLessThan(15);
    expect(segments.reduce((sum, row) => sum + Number(row["chunks"]), 0)).toBe(2_000);
  });
});

describe("imports", () => {
  it("are indexed where they come to be seen, and nowhere else", async () => {
    const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-lexical-"));
    try {
      const file = join(folder, "records.jsonl");
      const args = argsOf({ searchType: "lexical" });
      const load = (text: string, existing: "fail" | "replace") => {
        const records = Array.from({ length: 100 }, (_, i) => ({
          id: `${i}`,
          vector: [i, 1, 2, 3],
          text: `${text} ${i}`,
        }));
        writeFileSync(file, records.map((record) => JSON.stringify(record)).join("\n"));
        const mapping = { id: "id", vector: "vector", document: "text" };
        return importJsonl({ ...args, file, mapping, existing, pageRows: 30 });
      };
      await load("apple", "fail");
      const store = await PostgresVectorStore.fromExistingIndex(embeddings, { ...args, collectionName: "default" });
      expect(await found(store, "apple")).toHaveLength(100);
      await load("pear", "replace");
      expect(await found(store, "apple")).toEqual([]);
      expect(await found(store, "pear")).toHaveLength(100);
      expect(await indexed(store, "_segments", "distinct collection")).toEqual([{ collection: "default" }]);
      expect(await indexed(store, "_documents", "distinct collection")).toEqual([{ collection: "default" }]);
      expect(await store.lexical.state()).toMatchObject({ chunks: 100, dead: 0 });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("promoted keys", () => {
  const filter = { year: { gte: 2020 }, kind: "fruit" };

  it("filter both legs, and go on when they are demoted", async () => {
    const args = argsOf({ promotedKeys: { year: "number", kind: "text" } });
    const { promotedKeys: _, ...without } = args;
    await PostgresVectorStore.initialize(embeddings, args);
    const store = await PostgresVectorStore.initialize(embeddings, without);
    await store.addDocuments([
      doc("1", "apples and pears", { year: 2019, kind: "fruit" }),
      doc("2", "apples and plums", { year: 2021, kind: "fruit" }),
      doc("3", "apples and screens", { year: 2022, kind: "tool" }),
    ]);
    const both = async (): Promise<unknown[]> =>
      (await store.search("apples", { searchType: "hybrid", filter })).map(({ document, lexical, dense }) => [
        document.id,
        lexical?.rank,
        dense?.rank,
      ]);
    expect(await found(store, "apples", filter)).toEqual(["2"]);
    expect(await both()).toEqual([["2", 1, 1]]);
    const demote = (key: string): Promise<unknown> =>
      ensureSchema(
        new Database(database.pool),
        resolveOptions(without).layout,
        () => Promise.reject(new Error("the table is there")),
        { demote: [key] },
      );
    await demote("year");
    expect(await found(store, "apples", filter)).toEqual(["2"]);
    await demote("kind");
    expect(await both()).toEqual([["2", 1, 1]]);
    // The triggers see rows of another shape than when they were planned.
    await store.addDocuments([doc("2", "bananas", { year: 2021, kind: "fruit" }), doc("4", "apples", { year: 2024 })]);
    expect(await found(store, "apples")).toEqual(["1", "3", "4"]);
    expect(await store.maxMarginalRelevanceSearch("apples", { k: 1, filter: { ...filter } })).toHaveLength(1);
  });
});

describeServer("a vector index", () => {
  let server: ServerTestDatabase;
  beforeAll(async () => {
    server = await openServerDatabase();
  });
  afterAll(() => server.close());

  it("serves the leg by vector, which counts what it met", async () => {
    const pool = server.newPool();
    const recorded = recordQueries(pool);
    const store = await PostgresVectorStore.initialize(new HashedEmbeddings(64), argsOf({ pool }));
    const rows = Array.from({ length: 9_000 }, (_, i) =>
      doc(`row ${i}`, `word${i % 500} text ${i}`, { common: i % 10 !== 0 }),
    );
    await store.bulkLoad(rows, { vacuum: false });
    await store.createHnswIndex({ m: 16, efConstruction: 128 });
    const filter = { common: true };
    const dense = await store.search("word7 text 7", { k: 5, filter });
    recorded.length = 0;
    const hits = await store.search("word7 text 7", { searchType: "hybrid", k: 5, efSearch: 100, filter });
    expect(recorded.some(({ text }) => text.includes("dense as materialized") && /as met\b/.test(text))).toBe(true);
    expect(hits[0]).toMatchObject({ document: { id: "row 7" }, lexical: { rank: 1 }, dense: { rank: 1 } });
    expect(hits.every((hit) => hit.document.metadata["common"] === true)).toBe(true);
    expect(dense[0]!.document.id).toBe("row 7");
  });
});

describe("documents", () => {
  it("are filtered by their text in both legs", async () => {
    const store = await open();
    await store.addDocuments([doc("1", "apples and pears"), doc("2", "apples and plums")]);
    for (const searchType of ["lexical", "hybrid"] as const) {
      const hits = await store.search("apples", { searchType, whereDocument: { $contains: "plums" } });
      expect(hits.map((hit) => [hit.document.id, hit.lexical?.rank])).toEqual([["2", 1]]);
    }
  });
});

describe("tenants", () => {
  it("are exported, imported and deleted with their index", async () => {
    const store = await open({ tenancy: "rls", partitions: "by-tenant" });
    await store.forTenant("a").addDocuments(items(120, (i) => `word${i} common`));
    await store.forTenant("b").addDocuments([doc("b", "common")]);
    const records: ExportRecord[] = [];
    for await (const record of store.tenants.export("a")) records.push(record);
    expect(records).toHaveLength(122);
    expect(await store.tenants.import("c", records)).toBe(120);
    expect(await found(store.forTenant("c"), "common")).toHaveLength(120);
    expect(await store.tenants.import("c", records)).toBe(120);
    expect(await found(store.forTenant("c"), "word7")).toEqual(["row 7"]);
    const { deleted } = await store.tenants.delete("c", { batchRows: 50, pauseMs: 0 });
    expect(deleted).toBeGreaterThanOrEqual(120);
    for (const part of ["", "_documents", "_segments"]) {
      expect(await indexed(store, part, "distinct tenant_id")).toEqual([{ tenant_id: "a" }, { tenant_id: "b" }]);
    }
    expect(await found(store.forTenant("b"), "common")).toEqual(["b"]);
  });
});

import type pg from "pg";
import { Document } from "@langchain/core/documents";
import { afterAll, beforeAll, expect, it, test } from "vitest";
import { PostgresVectorStore, type Filter } from "../../src/index.js";
import { DistinctEmbeddings } from "../helpers/base-tables.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { recordQueries, type RecordedQuery } from "../helpers/recorded-queries.js";
import { exactNearest, recall } from "../helpers/vectors.js";

const DIMENSIONS = 32;
const LARGE = 12_000;
const KEYS = { year: "number", source: "text", done: "boolean" } as const;

const metadataOf = (index: number): Record<string, unknown> => ({
  year: 1_000 + (index % 1_000),
  source: `folder-${index % 200}/file-${index}.md`,
  done: index % 500 === 0,
});

/** Each keeps at most 1 % of the tenant, and the column by which it is found. */
const FILTERS: readonly [string, Filter, RegExp][] = [
  ["equality of numbers", { year: 1_500 }, /promoted_year = '1500'/],
  ["a list of numbers", { year: { in: [1_500, 1_600, 1_700] } }, /promoted_year = ANY/],
  ["a range of numbers", { year: { gte: 1_500, lt: 1_505 } }, /promoted_year >= .*promoted_year <= /],
  ["equality of texts", { source: "folder-7/file-7.md" }, /promoted_source = 'folder-7/],
  ["a list of texts", { source: { in: ["folder-7/file-7.md", "folder-7/file-207.md"] } }, /promoted_source = ANY/],
  ["a range of texts", { source: { gte: "folder-7/", lt: "folder-70" } }, /promoted_source >= .*promoted_source < /],
  ["what texts begin with", { source: { $like: "folder-7/%" } }, /promoted_source >= .*promoted_source < /],
  ["equality of booleans", { done: true }, /promoted_done (= true|)/],
  ["one of two keys", { $or: [{ year: 1_500 }, { source: "folder-7/file-7.md" }] }, /BitmapOr/],
  ["a key beside one that is not promoted", { year: 1_500, other: { $exists: false } }, /promoted_year = '1500'/],
];

describeServer("plans by promoted keys under row-level security", () => {
  const embeddings = new DistinctEmbeddings(DIMENSIONS);
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let recorded: RecordedQuery[];
  let store: PostgresVectorStore;

  beforeAll(async () => {
    database = await openServerDatabase();
    const config = { tableName: "plans", tenancy: "rls" } as const;
    const ownerPool = database.newPool({ connectionString: database.ownerUrl });
    const owner = await PostgresVectorStore.initialize(embeddings, { ...config, promotedKeys: KEYS, pool: ownerPool });
    const fill = async (tenant: string, rows: number): Promise<void> => {
      const documents = Array.from(
        { length: rows },
        (_, index) =>
          new Document({ id: String(index), pageContent: `${tenant} ${index}`, metadata: metadataOf(index) }),
      );
      await owner.forTenant(tenant).addDocuments(documents);
    };
    await fill("large", LARGE);
    for (let index = 0; index < 20; index += 1) await fill(`small-${index}`, 300);
    await owner.createHnswIndex();
    await ownerPool.query("analyze plans");
    pool = database.newPool({ connectionString: database.appUrl });
    recorded = recordQueries(pool);
    store = (await PostgresVectorStore.initialize(embeddings, { ...config, pool })).forTenant("large");
  });

  afterAll(() => database.close());

  /** What `call` ran on the table of chunks, planned again as the app role and in the scope that it ran in. */
  async function planOf(call: () => Promise<unknown>): Promise<string> {
    recorded.length = 0;
    await call();
    const query = recorded.find(({ text }) => /langchain-pgvector:(search|get|delete|expire) /.test(text))!;
    const client = await pool.connect();
    try {
      await client.query("begin");
      for (const [name, value] of Object.entries({ ...query.settings, "app.current_tenant": "large" })) {
        await client.query("select set_config($1, $2, true)", [name, value]);
      }
      const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain (costs off) ${query.text}`, [
        ...query.values,
      ]);
      return rows.map((row) => row["QUERY PLAN"]).join("\n");
    } finally {
      await client.query("rollback");
      client.release();
    }
  }

  /** The rows are found by a promoted key's index, within the tenant. */
  function expectIndex(plan: string, condition: RegExp): void {
    expect(plan).toMatch(/Index Scan (using|on) plans_promoted_\w+_idx/);
    expect(plan).toMatch(/Index Cond: .*tenant_id = 'large'.*promoted_/);
    expect(plan).toMatch(condition);
    expect(plan).not.toContain("Seq Scan on plans");
    expect(plan).not.toContain("hnsw");
    expect(plan).toMatch(/One-Time Filter: .*current_setting/s);
  }

  it.each(FILTERS)("a search with %s", async (_, filter, condition) => {
    expectIndex(await planOf(() => store.search("large 7", { k: 10, filter })), condition);
  });

  it.each(FILTERS)("get with %s", async (_, filter, condition) => {
    expectIndex(await planOf(() => store.get({ where: filter })), condition);
  });

  it("delete and expire by a filter", async () => {
    const filter = { year: 999_999 };
    expectIndex(await planOf(() => store.delete({ filter })), /promoted_year = '999999'/);
    expectIndex(await planOf(() => store.expire({ filter })), /promoted_year = '999999'/);
  });

  it("a filter that keeps most rows leaves the search to the vector index", async () => {
    const plan = await planOf(() => store.search("large 7", { k: 10, filter: { year: { gte: 1_010 } } }));
    expect(plan).toContain("plans_embedding_hnsw_idx");
  });

  test("the nearest are found whichever way the filter is answered", async () => {
    const contents = Array.from({ length: LARGE }, (_, index) => `large ${index}`);
    const vectors = await embeddings.embedDocuments(contents);
    const keeps: [Filter, (index: number) => boolean][] = [
      [{ year: { gte: 1_500, lt: 1_510 } }, (index) => index % 1_000 >= 500 && index % 1_000 < 510],
      [{ source: { $like: "folder-7/%" } }, (index) => index % 200 === 7],
      [{ year: { gte: 1_010 } }, (index) => index % 1_000 >= 10],
    ];
    for (const [filter, keep] of keeps) {
      const kept = contents.flatMap((_, index) => (keep(index) ? [index] : []));
      const recalls: number[] = [];
      for (let query = 0; query < 100; query += 1) {
        const vector = vectors[(query * 997) % LARGE]!;
        const wanted = exactNearest(
          vector,
          kept.map((index) => vectors[index]!),
          10,
        ).map((at) => String(kept[at]!));
        const hits = await store.search(vector, { k: 10, filter, efSearch: 200 });
        recalls.push(
          recall(
            hits.map(({ document }) => document.id!),
            wanted,
          ),
        );
      }
      expect(recalls.reduce((sum, value) => sum + value, 0) / recalls.length).toBeGreaterThanOrEqual(0.95);
    }
  });
});

import type pg from "pg";
import { Document } from "@langchain/core/documents";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { recordQueries, type RecordedQuery } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 32;
const LARGE = 12_000;
const SMALL = 60;

describeServer("plans under row-level security", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let recorded: RecordedQuery[];
  let store: PostgresVectorStore;

  beforeAll(async () => {
    database = await openServerDatabase();
    const embeddings = new HashedEmbeddings(DIMENSIONS);
    const config = { tableName: "plans", tenancy: "rls" } as const;
    const ownerPool = database.newPool({ connectionString: database.ownerUrl });
    const owner = await PostgresVectorStore.initialize(embeddings, { ...config, pool: ownerPool });
    const fill = async (tenant: string, rows: number): Promise<void> => {
      const documents = Array.from(
        { length: rows },
        (_, index) => new Document({ id: String(index), pageContent: `${tenant} ${index}`, metadata: { n: index } }),
      );
      await owner.forTenant(tenant).addDocuments(documents);
    };
    await fill("large", LARGE);
    for (let index = 0; index < 40; index += 1) await fill(`small-${index}`, SMALL);
    await owner.createHnswIndex({ m: 4, efConstruction: 16, targetRecall: false });
    await ownerPool.query("analyze plans");
    pool = database.newPool({ connectionString: database.appUrl });
    recorded = recordQueries(pool);
    store = await PostgresVectorStore.initialize(embeddings, { ...config, pool });
  });

  afterAll(() => database.close());

  /** What `call` ran on the table of chunks, planned again as the app role and in the scope that it ran in. */
  async function planOf(tenant: string, call: (view: PostgresVectorStore) => Promise<unknown>): Promise<string> {
    recorded.length = 0;
    await call(store.forTenant(tenant));
    const verb = /langchain-pgvector:(search|get|delete) /;
    const query = recorded.find(({ text }) => verb.test(text));
    if (query === undefined)
      throw new Error(`Nothing was recorded among ${recorded.map(({ text }) => text).join("\n")}`);
    const client = await pool.connect();
    try {
      await client.query("begin");
      const settings = { ...query.settings, "app.current_tenant": tenant };
      for (const [name, value] of Object.entries(settings)) {
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

  /** The policy beside the literal predicate: compared once, before any row is looked at. */
  function expectOneTimeFilter(plan: string, tenant: string): void {
    expect(plan).toMatch(
      new RegExp(
        `One-Time Filter: .*NULLIF\\(current_setting\\('app\\.current_tenant'.*'${tenant}'|One-Time Filter: .*'${tenant}'.*NULLIF`,
        "s",
      ),
    );
    // The policy must not be a filter on rows as well; the one on the tenant's state looks into the registry once.
    expect(plan).not.toMatch(/^\s*Filter: (?!.*state <>).*current_setting/m);
    expect(plan).toMatch(/InitPlan 1[\s\S]*langchain_pgvector_tenants_pkey/);
  }

  it("a large tenant's search uses the vector index", async () => {
    const plan = await planOf("large", (view) => view.search("large 77", { k: 10 }));
    expect(plan).toContain("Index Scan using plans_embedding_hnsw_idx on plans");
    expectOneTimeFilter(plan, "large");
  });

  it("a large tenant's search by the signs of its vectors uses their index", async () => {
    const wide = new HashedEmbeddings(256);
    const config = { tableName: "signs", tenancy: "rls", quantization: "binary", efSearch: 64 } as const;
    const ownerPool = database.newPool({ connectionString: database.ownerUrl });
    const owner = await PostgresVectorStore.initialize(wide, { ...config, pool: ownerPool });
    const documents = Array.from({ length: 4_000 }, (_, n) => ({ id: `${n}`, pageContent: `sign ${n}`, metadata: {} }));
    await owner.forTenant("large").addDocuments(documents);
    await owner.createHnswIndex({ m: 4, efConstruction: 16, targetRecall: false });
    const signs = (await PostgresVectorStore.initialize(wide, { ...config, pool })).forTenant("large");
    const plan = await planOf("large", () => signs.search("sign 77", { k: 10 }));
    expect(plan).toContain("Index Scan using signs_embedding_hnsw_idx on signs");
    expect(plan).toMatch(/Order By: .*binary_quantize.*<~>/);
    expectOneTimeFilter(plan, "large");
    const { statements } = await signs.explain("sign 77", { k: 10 });
    expect(statements.map(({ vectorIndex }) => vectorIndex)).toEqual(["signs_embedding_hnsw_idx"]);
  });

  it("a small tenant's search uses the primary key", async () => {
    const plan = await planOf("small-7", (view) => view.search("small 77", { k: 10 }));
    expect(plan).toContain("plans_pkey");
    expect(plan).not.toContain("hnsw");
    expect(plan).not.toContain("Seq Scan on plans");
    expect(plan).toMatch(/Index Cond: .*tenant_id = 'small-7'/);
    expectOneTimeFilter(plan, "small-7");
  });

  it("a filtered search of a small tenant reads no row of others", async () => {
    const plan = await planOf("small-7", (view) => view.search("small 77", { k: 10, filter: { n: { $lt: 20 } } }));
    expect(plan).toContain("plans_pkey");
    expect(plan).not.toContain("Seq Scan on plans");
  });

  it("get by ids uses the primary key", async () => {
    const plan = await planOf("large", (view) => view.get({ ids: ["3", "5"] }));
    expect(plan).toMatch(/Index (Only )?Scan (using|on) plans_pkey/);
    expect(plan).toMatch(/Index Cond: .*tenant_id = 'large'.*id = /);
    expectOneTimeFilter(plan, "large");
  });

  it("get by page follows the primary key", async () => {
    const plan = await planOf("large", (view) => view.get({ limit: 5 }));
    expect(plan).toContain("Index Scan using plans_pkey");
    expect(plan).not.toContain("Sort");
  });

  it("delete by ids uses the primary key", async () => {
    const plan = await planOf("small-3", (view) => view.delete({ ids: ["3", "5"] }));
    expect(plan).toMatch(/Index Scan (using|on) plans_pkey/);
    expect(plan).toMatch(/Index Cond: .*tenant_id = 'small-3'.*id = /);
    expectOneTimeFilter(plan, "small-3");
  });

  it("finds nothing, and says so at once, in the scope of another tenant", async () => {
    const client = await pool.connect();
    try {
      await client.query("begin");
      await client.query("select set_config('app.current_tenant', 'small-1', true)");
      const { rows } = await client.query<{ "QUERY PLAN": string }>(
        "explain (analyze, costs off, timing off, summary off) select text from plans where tenant_id = 'large'",
      );
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
      expect(plan).toContain("never executed");
      expect(plan).not.toMatch(/Rows Removed by Filter/);
    } finally {
      await client.query("rollback");
      client.release();
    }
  });
});

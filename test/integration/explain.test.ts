import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ConfigurationError, PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const ROWS = 6_000;

describeServer("store.explain", () => {
  let database: ServerTestDatabase;
  let ownerPool: pg.Pool;
  let owner: PostgresVectorStore;
  let store: PostgresVectorStore;
  let view: PostgresVectorStore;

  beforeAll(async () => {
    database = await openServerDatabase();
    const embeddings = new HashedEmbeddings(8);
    const config = { tableName: "explained", tenancy: "rls", lexical: true } as const;
    ownerPool = database.newPool({ connectionString: database.ownerUrl });
    owner = await PostgresVectorStore.initialize(embeddings, { ...config, pool: ownerPool });
    const note = (id: number) => ({ id: `${id}`, pageContent: `note ${id}`, metadata: { n: id } });
    await owner.forTenant("a").bulkLoad(Array.from({ length: ROWS }, (_, id) => note(id)));
    await owner.forTenant("b").addDocuments([{ id: "1", pageContent: "the secret of b", metadata: {} }]);
    await owner.createHnswIndex({ m: 4, efConstruction: 16, targetRecall: false });
    await ownerPool.query("analyze explained");
    const pool = database.newPool({ connectionString: database.appUrl });
    store = await PostgresVectorStore.initialize(embeddings, { ...config, pool });
    view = store.forTenant("a");
  });

  afterAll(() => database.close());

  const ids = ({ findings }: Awaited<ReturnType<PostgresVectorStore["explain"]>>): string[] =>
    findings.map(({ id }) => id);

  it("names the index that a search used, and finds nothing wrong", async () => {
    const explained = await view.explain("note 77", { k: 10 });
    expect(explained.statements).toHaveLength(1);
    expect(explained.statements[0]).toMatchObject({ name: "search", vectorIndex: "explained_embedding_hnsw_idx" });
    expect(explained.statements[0]!.settings).toMatchObject({ "hnsw.ef_search": expect.any(String) as string });
    expect(ids(explained)).toEqual([]);
    expect(explained.text).toContain("the vector index explained_embedding_hnsw_idx gave the order");
  });

  it("says that an exact search was chosen, and why", async () => {
    const explained = await view.explain("note 77", { filter: { n: 77 } });
    expect(explained.statements[0]!.vectorIndex).toBeUndefined();
    expect(ids(explained)).toContain("exact-search-chosen");
    expect(ids(explained)).toContain("filter-not-leakproof");
    expect(explained.text).toMatch(/Most of the rows read from explained .* not leakproof/);
    // How many rows others have is nobody's business: the scan read theirs as well.
    expect(JSON.stringify(explained)).not.toMatch(/Rows Removed by Filter":\s*6000|6,00[01]/);
  });

  it.each(["lexical", "hybrid"] as const)("explains a %s search as the store runs it", async (searchType) => {
    const { statements } = await view.explain("note 77", { searchType });
    expect(statements.map(({ name }) => name)).toContain(`search-${searchType}`);
    const tables = statements.flatMap((statement) => statement.tables.map(({ table }) => table));
    expect(tables).toContain("explained_lexical");
  });

  it("explains a vector, and rejects what search rejects", async () => {
    const { statements } = await view.explain([1, 0, 0, 0, 0, 0, 0, 0], { k: 3 });
    expect(statements[0]!.name).toBe("search");
    await expect(view.explain([1, 0])).rejects.toThrow(/8/);
  });

  const nearest = (order: string, limit = "limit 5"): { sql: string } => ({
    sql: `select id from explained order by ${order} ${limit}`,
  });
  const v = "'[1,0,0,0,0,0,0,0]'";

  it.each([
    [`embedding <-> ${v}`, "limit 5", "query-operator-mismatch"],
    [`embedding::halfvec(8) <=> ${v}`, "limit 5", "query-casts-column"],
    [`embedding <=> ${v} desc`, "limit 5", "query-order-descending"],
    [`1 - (embedding <=> ${v})`, "limit 5", "query-order-not-bare"],
    [`embedding <=> ${v}`, "", "query-without-limit"],
  ])("says why SQL ordered by %s (%s) uses no index", async (order, limit, id) => {
    const explained = await view.explain(nearest(order, limit));
    expect(ids(explained)).toContain(id);
  });

  it("finds nothing wrong with SQL that an index serves, and binds its values", async () => {
    const explained = await view.explain({
      sql: "select id from explained where tenant_id = $2 order by embedding <=> $1::vector limit 5;",
      values: [v.slice(1, -1), "a"],
    });
    expect(explained.statements[0]).toMatchObject({ name: "query", vectorIndex: "explained_embedding_hnsw_idx" });
    expect(ids(explained)).toEqual([]);
  });

  it.each([
    "delete from explained",
    "select 1; select 2",
    "with x as (delete from explained returning 1) select 1",
    "",
  ])("does not run %j", async (sql) => {
    await expect(view.explain({ sql })).rejects.toThrow(
      /takes a query only|cannot insert multiple commands|read-only transaction/,
    );
    expect((await view.get({ ids: ["1"] })).length).toBe(1);
  });

  it("refuses statements before any I/O", async () => {
    await expect(view.explain({ sql: "/* select */ drop table x" })).rejects.toBeInstanceOf(ConfigurationError);
    await expect(view.explain({ sql: "explain select 1" })).rejects.toBeInstanceOf(ConfigurationError);
  });

  it("leaves nothing behind on the connection", async () => {
    await view.explain({
      sql: "select set_config('app.current_tenant', 'b', false), set_config('work_mem', '99MB', false)",
    });
    const { rows } = await view.pool.query(
      "select current_setting('work_mem') as memory, current_setting('app.current_tenant') as tenant",
    );
    expect(rows[0]).toMatchObject({ tenant: "a" });
    expect(rows[0]!["memory"]).not.toBe("99MB");
  });

  it("shows nothing of another tenant", async () => {
    const explained = await view.explain({
      sql: "select * from explained where text like '%secret%' or tenant_id = 'b'",
    });
    expect(explained.statements[0]!.tables.reduce((sum, { rows }) => sum + rows, 0)).toBe(0);
    expect(JSON.stringify(explained)).not.toContain("the secret of b");
  });

  it("says that a wrong operator class is why", async () => {
    await ownerPool.query("drop index explained_embedding_hnsw_idx");
    await ownerPool.query("create index wrong on explained using hnsw (embedding vector_l2_ops) with (m = 4)");
    const fresh = await PostgresVectorStore.initialize(new HashedEmbeddings(8), {
      pool: database.newPool({ connectionString: database.appUrl }),
      tableName: "explained",
      tenancy: "rls",
      tenantId: "a",
    });
    const explained = await fresh.explain("note 77");
    expect(explained.findings[0]).toMatchObject({ id: "index-wrong-operator-class", object: "public.wrong" });
    expect(explained.findings[0]!.cure).toContain("vector_cosine_ops");
    await ownerPool.query(explained.findings[0]!.cure.split("\n")[1]!);
    await ownerPool.query(explained.findings[0]!.cure.split("\n")[0]!);
    const again = await PostgresVectorStore.initialize(new HashedEmbeddings(8), {
      pool: database.newPool({ connectionString: database.appUrl }),
      tableName: "explained",
      tenancy: "rls",
      tenantId: "a",
    });
    const cured = await again.explain("note 77", { k: 10 });
    expect(cured.statements[0]!.vectorIndex).toBe("explained_embedding_idx");
    expect(ids(cured)).toEqual([]);
  });
});

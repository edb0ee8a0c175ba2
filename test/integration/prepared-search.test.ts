import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, testSchema } from "../helpers/database.js";
import type { ServerTestDatabase } from "../helpers/open-database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

describeServer("searches whose statement the server keeps", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let store: PostgresVectorStore;
  let table = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
  });

  beforeEach(async () => {
    // One connection, so that every call meets the statements of the one before.
    pool = database.newPool({ max: 1 });
    store = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
      pool,
      tableName: `prepared_${(table += 1)}`,
      tenancy: "rls",
      ...testSchema(),
    });
    for (const tenant of ["a", "b"]) {
      await store.forTenant(tenant).addDocuments([{ id: "1", pageContent: `from ${tenant}`, metadata: { n: 1 } }]);
    }
  });

  afterAll(() => database.close());

  const find = async (tenant: string): Promise<string[]> =>
    (await store.forTenant(tenant).search("from", { k: 5 })).map((hit) => hit.document.pageContent);

  async function kept(): Promise<number> {
    const { rows } = await pool.query<{ count: number }>("select count(*)::int from pg_prepared_statements");
    return rows[0]!.count;
  }

  test("is parsed once for a connection and all tenants, planned for each", async () => {
    expect(await find("a")).toEqual(["from a"]);
    const first = await kept();
    expect(first).toBeGreaterThan(0);
    for (let turn = 0; turn < 10; turn += 1) {
      expect(await find("b")).toEqual(["from b"]);
      expect(await find("a")).toEqual(["from a"]);
    }
    expect(await kept()).toBe(first);
    const { rows } = await pool.query<{ generic: string; custom: string }>(
      "select sum(generic_plans) as generic, sum(custom_plans) as custom from pg_prepared_statements where statement like '%search%'",
    );
    expect(rows[0]).toEqual({ generic: "0", custom: "21" });
  });

  test("keeps its plan where a filter asks for values of a promoted key", async () => {
    const tableName = `prepared_keys_${table}`;
    const config = { pool, tableName, tenancy: "rls", ...testSchema() } as const;
    const keyed = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
      ...config,
      promotedKeys: { n: "number" },
    });
    const documents = Array.from({ length: 3_000 }, (_, i) => ({
      id: `${i}`,
      pageContent: "x",
      metadata: { n: i % 100 },
    }));
    for (const tenant of ["a", "b"]) await keyed.forTenant(tenant).addDocuments(documents);
    await keyed.createHnswIndex();
    await pool.query(`analyze ${keyed.computedTableName}`);
    for (let turn = 0; turn < 8; turn += 1) {
      for (const tenant of ["a", "b", "nobody"]) {
        const hits = await keyed.forTenant(tenant).search("x", { k: 50, filter: { n: turn } });
        expect(hits.map((hit) => hit.document.metadata["n"])).toEqual(Array(tenant === "nobody" ? 0 : 30).fill(turn));
      }
    }
    expect(await keyed.forTenant("a").search("x", { k: 50, filter: { n: { $in: [98, 99, 100] } } })).toHaveLength(50);
    const { rows } = await pool.query<{ name: string; types: string[]; generic: number }>(
      `select name, parameter_types::text[] as types, generic_plans::int as generic from pg_prepared_statements
       where statement like $1 order by generic_plans desc`,
      ["%:search %promoted_n%"],
    );
    expect(rows.map(({ generic }) => generic)).toEqual([24, 1]);
    await pool.query("set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_indexscan = off");
    for (const { name, types } of rows) {
      const nulls = types.map(() => "null").join(", ");
      const plan = await pool.query<Record<string, string>>(`explain execute ${name}(${nulls})`);
      const text = plan.rows.map((row) => row["QUERY PLAN"]).join("\n");
      expect(text).toMatch(/Bitmap Index Scan on prepared_keys_\d+_promoted_n/);
    }
  });

  test("does not ask for its columns again", async () => {
    const client = await pool.connect();
    const { connection } = client as unknown as { connection: { describe(message: unknown): void } };
    const describe = vi.spyOn(connection, "describe");
    client.release();
    expect(await find("a")).toEqual(["from a"]);
    const first = describe.mock.calls.length;
    expect(first).toBeGreaterThan(0);
    expect(await find("b")).toEqual(["from b"]);
    expect(describe.mock.calls).toHaveLength(first);
    await pool.query("deallocate all");
    expect(await find("a")).toEqual(["from a"]);
    expect(describe.mock.calls.length).toBeGreaterThan(first);
  });

  test("goes on when the server has lost it, as behind a pooler that changes servers", async () => {
    expect(await find("a")).toEqual(["from a"]);
    await pool.query("deallocate all");
    expect(await find("b")).toEqual(["from b"]);
    expect(await find("a")).toEqual(["from a"]);
    expect(await kept()).toBe(0);
  });

  test("goes on after a search that failed, and is still kept", async () => {
    expect(await find("a")).toEqual(["from a"]);
    await pool.query(`alter table ${store.computedTableName} rename to elsewhere_${table}`);
    expect((await errorOf(find("a"))).name).toBe("DatabaseError");
    await pool.query(`alter table elsewhere_${table} rename to ${store.tableName}`);
    expect(await find("a")).toEqual(["from a"]);
    expect(await find("b")).toEqual(["from b"]);
    expect(await kept()).toBeGreaterThan(0);
  });

  test("goes on when the type of a column has changed", async () => {
    expect(await find("a")).toEqual(["from a"]);
    await pool.query(`alter table ${store.computedTableName} alter column id type varchar(100)`);
    expect(await find("a")).toEqual(["from a"]);
    expect(await find("b")).toEqual(["from b"]);
  });

  test("does not keep more than a bounded number of texts", async () => {
    for (let terms = 1; terms <= 230; terms += 1) {
      const filter = { $or: Array.from({ length: terms }, () => ({ n: { $lt: 5 } })) };
      expect(await store.forTenant("a").search("from", { k: 1, filter })).toHaveLength(1);
    }
    expect(await kept()).toBeLessThanOrEqual(200);
  });
});

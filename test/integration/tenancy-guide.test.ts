import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { OfflineEmbeddings, PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";

/** What docs/tenancy.md and docs/threat-model.md say about PostgreSQL, with the roles that the guide makes. */
describeServer("the guide to tenancy", () => {
  const prefix = `lpv_guide_${randomBytes(4).toString("hex")}`;
  const appRole = `${prefix}_role`;
  const roles = [`${prefix}_owner`, `${prefix}_app`, appRole];
  const SIZES = { a: 20, b: 900 };
  let database: ServerTestDatabase;
  let admin: pg.Pool;
  let owner: pg.Pool;
  let app: pg.Pool;

  beforeAll(async () => {
    database = await openServerDatabase();
    admin = database.newPool();
    const guide = readFileSync(new URL("../../docs/tenancy.md", import.meta.url), "utf8");
    const sql = /^```sql\n([\s\S]*?)^```$/m
      .exec(guide)![1]!
      .replaceAll("langchain_pgvector_app", appRole)
      .replaceAll(/\brag_(owner|app)\b/g, `${prefix}_$1`)
      .replaceAll("database rag ", `database ${new URL(database.url).pathname.slice(1)} `);
    await admin.query(sql);
    owner = await loginAs(roles[0]!);
    app = await loginAs(roles[1]!);
    const args = { tableName: "articles", tenancy: "rls" as const, appRole };
    const owned = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { ...args, pool: owner });
    const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { ...args, pool: app });
    for (const [tenant, size] of Object.entries(SIZES)) {
      const documents = Array.from({ length: size }, (_, i) => ({
        id: `${i}`,
        pageContent: `${tenant} ${i}`,
        metadata: {},
      }));
      await store.forTenant(tenant).addDocuments(documents);
    }
    await owned.createHnswIndex();
    await owner.query("analyze articles");
  });

  afterAll(async () => {
    for (const role of roles) await admin.query(`drop owned by ${role} cascade; drop role ${role}`);
    await database.close();
  });

  async function loginAs(role: string): Promise<pg.Pool> {
    const password = randomBytes(9).toString("hex");
    await admin.query(`alter role ${role} password '${password}'`);
    const url = new URL(database.url);
    Object.assign(url, { username: role, password });
    return database.newPool({ connectionString: url.href });
  }

  /** Rows of the last statement, in a transaction with the tenant set that is rolled back; or the error's SQLSTATE. */
  async function run(
    pool: pg.Pool,
    text: string,
    tenant = "a",
  ): Promise<{ rows: unknown[]; notices: number } | string> {
    const client = await pool.connect();
    let notices = 0;
    const count = (): void => void (notices += 1);
    client.on("notice", count);
    try {
      await client.query("begin");
      await client.query("select set_config('app.current_tenant', $1, true)", [tenant]);
      const last = [await client.query(text)].flat().at(-1)!;
      return { rows: last.rows, notices };
    } catch (error) {
      return (error as { code: string }).code;
    } finally {
      client.off("notice", count);
      await client.query("rollback");
      client.release();
    }
  }
  const rows = async (pool: pg.Pool, text: string, tenant?: string): Promise<unknown[]> => {
    const outcome = await run(pool, text, tenant);
    return typeof outcome === "string" ? [outcome] : outcome.rows;
  };
  const COUNT = "select count(*)::int as n from articles";

  it("makes roles that can work, and that the policies bind", async () => {
    for (const pool of [app, owner]) {
      expect(await rows(pool, COUNT)).toEqual([{ n: SIZES.a }]);
      expect(await rows(pool, COUNT, "nobody")).toEqual([{ n: 0 }]);
      expect(await rows(pool, COUNT, "")).toEqual([{ n: 0 }]);
    }
    expect(await rows(app, "create table mine (id int)")).toEqual(["42501"]);
    expect(await rows(app, "truncate articles")).toEqual(["42501"]);
  });

  it("statistics are shown to neither of them", async () => {
    const stats = "select attname from pg_stats where tablename = 'articles'";
    expect(await rows(admin, stats)).not.toEqual([]);
    expect(await rows(app, stats)).toEqual([]);
    expect(await rows(owner, stats)).toEqual([]);
    expect(await rows(app, "select * from pg_statistic")).toEqual(["42501"]);
  });

  it("turning row security off gives an error, and a cheap function sees no row of others", async () => {
    expect(await rows(app, `set local row_security = off; ${COUNT}`)).toEqual(["42501"]);
    const spy = `create function pg_temp.spy(text) returns bool language plpgsql cost 0.0000001
      as $$ begin raise notice '%', $1; return true; end $$;
      select count(*)::int as n from articles where pg_temp.spy(text)`;
    expect(await run(app, spy)).toEqual({ rows: [{ n: SIZES.a }], notices: SIZES.a });
  });

  it("the list of tenants shows a tenant itself, and the owner all of them", async () => {
    const list = "select tenant_id from langchain_pgvector_tenants order by 1";
    expect(await rows(app, list)).toEqual([{ tenant_id: "a" }]);
    expect(await rows(owner, list, "")).toEqual([{ tenant_id: "a" }, { tenant_id: "b" }]);
  });

  it("what is said to remain does remain", async () => {
    expect(await rows(app, `select set_config('app.current_tenant', 'b', true); ${COUNT}`)).toEqual([{ n: SIZES.b }]);
    const scan = "set local enable_indexscan = off; set local enable_bitmapscan = off;";
    const plan = await rows(app, `${scan} explain (analyze, costs off) select * from articles`);
    expect(JSON.stringify(plan)).toContain(`Rows Removed by Filter: ${SIZES.b}`);
    const size = "select reltuples::int as n from pg_class where relname = 'articles'";
    expect(await rows(app, size)).toEqual([{ n: SIZES.a + SIZES.b }]);
    expect(await rows(app, "lock table articles in access exclusive mode; select 1 as ok")).toEqual([{ ok: 1 }]);
    expect(await rows(owner, `alter table articles disable row level security; ${COUNT}`)).toEqual([
      { n: SIZES.a + SIZES.b },
    ]);
  });
});

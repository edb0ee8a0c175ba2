import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { baseStore, DistinctEmbeddings, sampleDocuments } from "../helpers/base-tables.js";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";

describeServer("promoted keys on the command line", () => {
  const embeddings = new DistinctEmbeddings(16);
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let folder: CliFolder;
  let table = "";
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });
  afterAll(() => database.close());
  beforeEach(() => {
    folder = new CliFolder();
    table = `cli_promoted_${(tables += 1)}`;
  });
  afterEach(() => folder.remove());

  const run = (verb: string, ...args: string[]): Promise<CliRun> =>
    folder.run([verb, "--table", table, ...args], { env: { DATABASE_URL: database.ownerUrl } });
  const columns = async (): Promise<string[]> => {
    const { rows } = await pool.query<{ name: string }>(
      `select attname as name from pg_attribute where attrelid = to_regclass($1) and attname like 'promoted%' order by 1`,
      [table],
    );
    return rows.map(({ name }) => name);
  };

  test("init makes a table with them, and says what differs later", async () => {
    const made = await run("init", "--dimensions", "16", "--promote", "year:number", "--promote", "a:b:text");
    expect(made).toMatchObject({ code: 0 });
    expect(await columns()).toEqual([expect.stringMatching(/^promoted_a_b_[0-9a-f]{12}$/) as string, "promoted_year"]);
    expect((await run("init", "--promote", "year:number")).out).toBe("The schema is current; nothing to do.\n");
    const differs = await run("init", "--promote", "year:text");
    expect(differs.code).toBe(2);
    expect(differs.err.at(-1)).toMatch(/"year" is "text" here and "number" in the table/);
    expect((await run("init", "--promote", "other:boolean")).out).toBe("applied promote other\n");
  });

  test("a table with rows is rewritten only when that is allowed", async () => {
    await run("init", "--dimensions", "16");
    const store = await PostgresVectorStore.initialize(embeddings, { pool, tableName: table });
    const { documents } = sampleDocuments(50);
    await store.addDocuments(documents);
    const promote = ["--promote", "index:number", "--promote", "nested.even:boolean"];
    const refused = await run("init", ...promote);
    expect(refused.code).toBe(2);
    expect(refused.err.at(-1)).toMatch(
      /has rows and no column for "index", "nested.even".*\(0\.\d MiB\).*init --table \S+ --promote index:number --promote nested.even:boolean --rewrite/,
    );
    const plan = await run("init", ...promote, "--plan");
    expect(plan.out).toMatch(/-- writes the table and all its indexes again, 0\.\d MiB; reads and writes wait/);
    expect(plan.out.match(/alter table/g)).toHaveLength(1);
    expect(await columns()).toEqual([]);
    expect((await run("init", ...promote, "--rewrite")).out).toBe("applied promote index, nested.even\n");
    const { rows } = await pool.query(`select count(*)::int as n from ${table} where promoted_index >= 25`);
    expect(rows).toEqual([{ n: 25 }]);
  });

  test("the owner rewrites the rows of tenants that it does not see", async () => {
    const tenancy = ["--tenancy", "rls"];
    await run("init", "--dimensions", "16", ...tenancy);
    const app = database.newPool({ connectionString: database.appUrl });
    const store = await PostgresVectorStore.initialize(embeddings, { pool: app, tableName: table, tenancy: "rls" });
    for (const tenant of ["a", "b"]) await store.forTenant(tenant).addDocuments(sampleDocuments(20).documents);
    expect((await run("init", ...tenancy, "--promote", "index:number")).code).toBe(2);
    const done = await run("init", ...tenancy, "--promote", "index:number", "--rewrite");
    expect(done.out).toBe("applied promote index\n");
    const { rows } = await pool.query(`select count(promoted_index)::int as n from ${table}`);
    expect(rows).toEqual([{ n: 40 }]);
    expect(await store.forTenant("a").get({ where: { index: { lt: 5 } } })).toHaveLength(5);
    const later = await PostgresVectorStore.initialize(embeddings, { pool: app, tableName: table, tenancy: "rls" });
    expect(await later.forTenant("b").get({ where: { index: { lt: 5 } } })).toHaveLength(5);
    const refused = PostgresVectorStore.initialize(embeddings, {
      pool: app,
      tableName: table,
      tenancy: "rls",
      promotedKeys: { subject: "text" },
    });
    await expect(refused).rejects.toThrow(/has rows and no column for "subject"/);
  });

  test("the SQL of a plan can be run by hand", async () => {
    await run("init", "--dimensions", "16");
    const store = await PostgresVectorStore.initialize(embeddings, { pool, tableName: table });
    await store.addDocuments(sampleDocuments(5).documents);
    await pool.query(`begin; ${(await run("init", "--promote", "it's:text", "--plan")).out}; commit`);
    expect((await run("init", "--promote", "it's:text", "--plan")).out).toBe("The schema is current; nothing to do.\n");
  });

  test("--demote drops them", async () => {
    await run("init", "--dimensions", "16", "--promote", "year:number", "--promote", "done:boolean");
    const unknown = await run("init", "--demote", "month");
    expect(unknown).toMatchObject({ code: 2 });
    expect(unknown.err.at(-1)).toMatch(/--demote "month": the key is not promoted \("done", "year" are\)/);
    expect((await run("init", "--demote", "year", "--promote", "year:text")).code).toBe(2);
    expect((await run("init", "--demote", "year", "--plan")).out).toMatch(/drop column "promoted_year"/);
    expect((await run("init", "--demote", "year")).out).toBe("applied demote year\n");
    expect(await columns()).toEqual(["promoted_done"]);
    expect((await run("init", "--promote", "year:text")).out).toBe("applied promote year\n");
  });

  test("wrong flags are refused", async () => {
    for (const flag of ["year", "year:int", ":"]) {
      expect((await run("init", "--promote", flag)).code).toBe(2);
    }
    expect((await run("init", "--promote", "year:text", "--promote", "year:number")).code).toBe(2);
  });

  test("adopt promotes in the rewrite that it does anyway", async () => {
    const base = await baseStore(embeddings, { pool, tableName: table }, 16);
    const { documents, ids } = sampleDocuments(30);
    await base.addDocuments(documents, { ids });
    const { code, out } = await folder.run(["adopt", "--table", table, "--promote", "subject:text"], {
      env: { DATABASE_URL: database.url },
    });
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining("adopted: 30 rows") as string });
    const { rows } = await pool.query(`select count(*)::int as n from ${table} where promoted_subject = 'index'`);
    expect(rows).toEqual([{ n: 4 }]);
  });
});

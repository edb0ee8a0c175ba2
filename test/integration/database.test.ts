import { readFileSync, readdirSync } from "node:fs";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { initFolder } from "../helpers/container.js";
import { describeServer, openServerDatabase, openTestDatabase, type ServerTestDatabase } from "../helpers/database.js";

/** The column `answer` of the first row. */
async function ask(url: string, text: string): Promise<unknown> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    // Several statements give an array of results.
    const result = [await client.query<{ answer: unknown }>(text)].flat().pop();
    return result?.rows[0]?.answer;
  } finally {
    await client.end();
  }
}

test("a fresh database answers and starts empty", async () => {
  const database = await openTestDatabase();
  try {
    const client = await database.pool.connect();
    const { rows } = await client.query({
      text: "select count(*)::int as tables from pg_tables where schemaname = 'public'",
    });
    client.release();
    expect(rows).toEqual([{ tables: 0 }]);
  } finally {
    await database.close();
  }
});

describeServer("databases of the test server", () => {
  let database: ServerTestDatabase;

  beforeAll(async () => {
    database = await openServerDatabase();
  });

  afterAll(async () => {
    await database.close();
  });

  test("come with pgvector", async () => {
    const version = await ask(database.url, "select extversion as answer from pg_extension where extname = 'vector'");
    expect(version).toMatch(/^0\.\d+\.\d+$/);
  });

  test("the application's login is bound by row-level security and may change nothing", async () => {
    const powers =
      "select rolsuper or rolbypassrls or rolcreaterole as answer from pg_roles where rolname = current_user";
    expect(await ask(database.appUrl, powers)).toBe(false);
    expect(await ask(database.appUrl, "select pg_has_role('langchain_pgvector_app', 'usage') as answer")).toBe(true);
    await expect(ask(database.appUrl, "create table public.mine (id int)")).rejects.toMatchObject({ code: "42501" });
    await expect(ask(database.appUrl, "create schema mine")).rejects.toMatchObject({ code: "42501" });
    await ask(database.appUrl, "create temporary table staging (id int)");
  });

  test("the owner's login works as the owner role and is no superuser", async () => {
    expect(await ask(database.ownerUrl, "select current_user as answer")).toBe("langchain_pgvector_owner");
    expect(await ask(database.ownerUrl, "select current_setting('is_superuser') as answer")).toBe("off");
    await ask(database.ownerUrl, "create table public.owned (id int)");
    const owner = "select tableowner as answer from pg_tables where tablename = 'owned'";
    expect(await ask(database.url, owner)).toBe("langchain_pgvector_owner");
  });

  test("two databases do not see each other", async () => {
    const other = await openServerDatabase();
    try {
      await ask(other.url, "create table public.only_here (id int)");
      expect(await ask(database.url, "select to_regclass('public.only_here') as answer")).toBeNull();
    } finally {
      await other.close();
    }
  });

  test("run with the settings file of the container", async ({ skip }) => {
    skip(database.source === "TEST_DATABASE_URL", "a server given by its address has settings of its own");
    expect(await ask(database.url, "select current_setting('maintenance_work_mem') as answer")).toBe("512MB");
    expect(await ask(database.url, "select current_setting('random_page_cost') as answer")).toBe("1.1");
    expect(await ask(database.url, "select current_setting('shared_preload_libraries') as answer")).toBe(
      "pg_stat_statements",
    );
    // Version 18 cuts a comment off that stands before the statement.
    const counted = "select calls as answer from pg_stat_statements where query like 'select /* counted */%'";
    await ask(database.url, "select /* counted */ 1 as answer");
    const schema = "select extnamespace::regnamespace::text as answer from pg_extension where extname like 'pg_stat%'";
    const inSchema = `set search_path to ${String(await ask(database.url, schema))}; ${counted}`;
    expect(Number(await ask(database.url, inSchema))).toBeGreaterThan(0);
  });

  test("take the init files again, from several sessions at a time", async () => {
    const files = readdirSync(initFolder).filter((file) => file.endsWith(".sql"));
    const texts = files.toSorted().map((file) => readFileSync(`${initFolder}/${file}`, "utf8"));
    const twice = await Promise.all([openServerDatabase(), openServerDatabase()]);
    try {
      const runs = await Promise.allSettled(
        twice.map(async ({ url }) => {
          for (const text of texts) await ask(url, text);
        }),
      );
      expect(runs.map((run) => run.status)).toEqual(["fulfilled", "fulfilled"]);
    } finally {
      await Promise.all(twice.map((each) => each.close()));
    }
  });

  test("closing drops the database, even with a client that was never given back", async () => {
    const doomed = await openServerDatabase();
    await doomed.pool.connect();
    const name = new URL(doomed.url).pathname.slice(1);
    await doomed.close();
    expect(await ask(database.url, `select count(*)::int as answer from pg_database where datname = '${name}'`)).toBe(
      0,
    );
  });
});

import { randomBytes } from "node:crypto";
import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Database } from "../../src/db/database.js";
import { ConfigurationError, PostgresVectorStore, TenantIsolationError } from "../../src/index.js";
import { ensureSchema } from "../../src/schema/ensure.js";
import { newModel } from "../../src/store/open.js";
import { resolveOptions, type PostgresVectorStoreArgs } from "../../src/store/options.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings();
const note = (id: string, pageContent: string) => ({ id, pageContent, metadata: { by: pageContent } });
const WHO = "select current_user::text as role, current_setting('app.current_tenant', true) as tenant";

describeServer("roles and tenancy", () => {
  let database: ServerTestDatabase;
  let admin: pg.Pool;
  let app: pg.Pool;
  let tables = 0;
  const roles: string[] = [];

  beforeAll(async () => {
    database = await openServerDatabase();
    admin = database.newPool();
    app = database.newPool({ connectionString: database.appUrl, max: 2 });
  });

  afterAll(async () => {
    for (const role of roles) await admin.query(`drop owned by ${role}; drop role ${role}`);
    await database.close();
  });

  const argsOf = (args: PostgresVectorStoreArgs = {}): PostgresVectorStoreArgs => ({
    pool: admin,
    tableName: `roles_${(tables += 1)}`,
    tenancy: "rls",
    ...testSchema(),
    ...args,
  });
  const open = (args: PostgresVectorStoreArgs): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, args);

  /** An app role of one test alone: what joins the shared one, linters of other databases find too. */
  function ownAppRole(): string {
    const name = `lpv_test_${randomBytes(5).toString("hex")}`;
    roles.push(name);
    return name;
  }

  /** A login of this test alone, in whose name a pool works. */
  async function login(attributes: string): Promise<{ name: string; pool: pg.Pool }> {
    const name = `lpv_test_${randomBytes(5).toString("hex")}`;
    const password = randomBytes(9).toString("hex");
    await admin.query(`create role ${name} login ${attributes} password '${password}'`);
    roles.push(name);
    await admin.query(`grant connect on database ${new URL(database.url).pathname.slice(1)} to ${name}`);
    const url = new URL(database.url);
    url.username = name;
    url.password = password;
    return { name, pool: database.newPool({ connectionString: url.href }) };
  }

  it("a role that does not own the table deletes a tenant, and leaves its index to the owner", async () => {
    const appRole = ownAppRole();
    const args = argsOf({ appRole });
    const owner = await open(args);
    await owner.forTenant("gone").addDocuments([note("1", "from gone")]);
    await owner.createHnswIndex({ tenantId: "gone", targetRecall: false });
    const { name, pool } = await login("bypassrls");
    const schema = args.schemaName ?? "public";
    await admin.query(
      `grant usage on schema ${schema} to ${name}; grant all on all tables in schema ${schema} to ${name}`,
    );
    await admin.query(`grant ${appRole} to ${name}`);
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message), info: () => undefined, debug: () => undefined };
    const clerk = await PostgresVectorStore.fromExistingIndex(embeddings, { ...args, pool, logger });
    expect((await clerk.tenants.delete("gone", { vacuum: false })).deleted).toBeGreaterThan(0);
    expect(warnings.join()).toMatch(/hnsw_idx" of the deleted tenant is left.*drop index concurrently/);
    expect((await owner.indexes.list()).filter(({ type }) => type === "hnsw")).toHaveLength(1);
  });

  it("a superuser's connection works as the app role, for the call only", async () => {
    const pool = database.newPool({ max: 1 });
    const store = await open(argsOf({ pool }));
    const a = store.forTenant("a");
    await a.addDocuments([note("1", "from a")]);
    expect((await a.pool.query(WHO)).rows).toEqual([{ role: "langchain_pgvector_app", tenant: "a" }]);
    expect((await a.pool.query(`select count(*)::int as n from ${store.computedTableName}`)).rows).toEqual([{ n: 1 }]);
    expect((await store.forTenant("b").pool.query(`select id from ${store.computedTableName}`)).rows).toEqual([]);
    expect((await pool.query(`${WHO}, current_setting('role') as setting`)).rows).toEqual([
      { role: "postgres", tenant: "", setting: "none" },
    ]);
  });

  it("a restricted login needs no switch and no right to change the schema", async () => {
    const args = argsOf({ collectionName: "c" });
    await open(args);
    const store = await open({ ...args, pool: app });
    const a = store.forTenant("a");
    await a.addDocuments([note("1", "from a")]);
    const { rows } = await a.pool.query(WHO);
    expect(rows).toEqual([{ role: new URL(database.appUrl).username, tenant: "a" }]);
    expect(await a.search("from a")).toHaveLength(1);
    expect(await store.forTenant("b").search("from a")).toEqual([]);
  });

  it("the owner is bound by the policies like everybody else", async () => {
    const own = await openServerDatabase();
    try {
      const owner = own.newPool({ connectionString: own.ownerUrl });
      const store = await open(argsOf({ pool: owner }));
      await store.forTenant("a").addDocuments([note("1", "from a")]);
      expect((await owner.query(`select id from ${store.computedTableName}`)).rows).toEqual([]);
      expect(await store.forTenant("a").getByIds(["1"])).toHaveLength(1);
      expect(await store.forTenant("b").getByIds(["1"])).toEqual([]);
      // The list of tenants is the owner's to keep.
      const registry = `${store.schemaName ?? "public"}.langchain_pgvector_tenants`;
      expect((await owner.query(`select tenant_id, state from ${registry}`)).rows).toEqual([
        { tenant_id: "a", state: "active" },
      ]);
    } finally {
      await own.close();
    }
  });

  it("a login that nobody has given the app role is told how to get it", async () => {
    const args = argsOf();
    const store = await open(args);
    await store.forTenant("a").addDocuments([note("1", "from a")]);
    const { pool } = await login("");
    const error = await errorOf(open({ ...args, pool }));
    expect(error).toBeInstanceOf(ConfigurationError);
    await admin.query(/run: (grant .*;)$/.exec(error.message)![1]!);
    const member = await open({ ...args, pool });
    expect(await member.forTenant("a").getByIds(["1"])).toHaveLength(1);
  });

  it("a role that no policy binds and that may not become the app role is refused, with the cure", async () => {
    const appRole = ownAppRole();
    const args = argsOf({ appRole });
    const store = await open(args);
    await store.forTenant("a").addDocuments([note("1", "from a")]);
    const { name, pool } = await login("bypassrls");
    await admin.query(`grant select, insert on all tables in schema ${store.schemaName ?? "public"} to ${name}`);
    const error = await errorOf(open({ ...args, pool }));
    expect(error).toBeInstanceOf(TenantIsolationError);
    expect(error.message).toContain(name);
    const cure = /run: (grant .*;)$/.exec(error.message)?.[1];
    await admin.query(cure!);
    const cured = await open({ ...args, pool });
    expect(await cured.forTenant("b").get()).toEqual([]);
    expect((await cured.forTenant("a").pool.query(WHO)).rows).toEqual([{ role: appRole, tenant: "a" }]);
  });

  it("an app role that no policy binds is refused, with the cure", async () => {
    const { name } = await login("bypassrls");
    const args = argsOf({ appRole: name });
    const error = await errorOf(open(args));
    expect(error).toBeInstanceOf(TenantIsolationError);
    await admin.query(/Run: (alter role .*;)$/.exec(error.message)![1]!);
    const store = await open(args);
    expect((await store.forTenant("a").pool.query(WHO)).rows).toEqual([{ role: name, tenant: "a" }]);
  });

  it("the app role can read and write rows and nothing else", async () => {
    const args = argsOf({ collectionName: "c" });
    const store = await open(args);
    await store.forTenant("a").addDocuments([note("1", "from a")]);
    const chunks = store.computedTableName;
    const collections = store.computedCollectionTableName;
    const schema = store.schemaName ?? "public";
    const of = (table: string): string => `${schema}.langchain_pgvector_${table}`;
    const forbidden = [
      ...[chunks, collections, of("tenants"), of("models"), of("revisions")].flatMap((table) => [
        `truncate ${table}`,
        `drop table ${table}`,
        `alter table ${table} disable row level security`,
        `alter table ${table} no force row level security`,
        `create policy mine on ${table} using (true)`,
        `create index on ${table} ((1))`,
        `create trigger mine before insert on ${table} execute function suppress_redundant_updates_trigger()`,
      ]),
      `drop policy langchain_pgvector_tenant on ${chunks}`,
      `alter policy langchain_pgvector_tenant on ${chunks} using (true)`,
      `update ${of("tenants")} set state = 'active'`,
      `delete from ${of("tenants")}`,
      `insert into ${of("models")} (store) values ('x')`,
      `insert into ${of("revisions")} (relation) values ('x')`,
      `create table ${schema}.mine (id int)`,
      `create view ${schema}.mine as select * from ${chunks}`,
      `create function ${schema}.mine() returns int language sql as 'select 1'`,
      "create schema mine",
      "create role mine",
      "alter role langchain_pgvector_app bypassrls",
    ];
    for (const statement of forbidden) {
      expect(
        `${statement}: ${await app.query(statement).then(
          () => "done",
          (error) => error.code,
        )}`,
      ).toBe(`${statement}: 42501`);
    }
    // What it may do ends at the tenant that is set, and without one it sees nothing.
    expect((await app.query(`select id from ${chunks}`)).rows).toEqual([]);
    expect((await app.query(`select name from ${collections}`)).rows).toEqual([]);
    expect((await app.query(`select tenant_id from ${of("tenants")}`)).rows).toEqual([]);
    expect((await app.query(`delete from ${chunks}`)).rowCount).toBe(0);
    await expect(app.query(`insert into ${collections} (tenant_id, name) values ('b', 'x')`)).rejects.toMatchObject({
      code: "42501",
    });
  });

  it("row-level security is enabled and forced on every relation with a tenant", async () => {
    const store = await open(argsOf({ collectionName: "c" }));
    const { rows } = await admin.query<{ relname: string; ok: boolean; policies: string[] }>(
      `select c.relname, c.relrowsecurity and c.relforcerowsecurity as ok,
         (select array_agg(p.polname::text order by p.polname) from pg_policy p where p.polrelid = c.oid) as policies
       from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
       where c.relkind in ('r', 'p', 'm', 'v', 'f') and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`,
    );
    expect(rows.map((row) => row.relname)).toEqual(
      expect.arrayContaining([store.tableName, `${store.tableName}_collections`, "langchain_pgvector_tenants"]),
    );
    for (const row of rows) {
      expect(row).toMatchObject({ ok: true, policies: expect.arrayContaining(["langchain_pgvector_tenant"]) });
    }
  });

  it("leaves neither tenant nor role on a pooled connection, whatever happens to the call", async () => {
    const pool = database.newPool({ max: 1 });
    const store = await open(argsOf({ pool }));
    const a = store.forTenant("a");
    await a.addDocuments([note("1", "from a")]);
    const table = store.computedTableName;
    const wrongDimensions = [1, 2, 3];
    const calls: [string, () => Promise<unknown>][] = [
      ["a cast error", () => a.pool.query(`select text::int from ${table}`)],
      ["a syntax error", () => a.pool.query("selec 1")],
      ["a refused row", () => a.pool.query(`insert into ${table} (tenant_id) values ('b')`)],
      ["a wrong vector", () => a.search(wrongDimensions)],
      ["a refused write", () => a.addVectors([wrongDimensions], [note("2", "x")])],
      ["a bad regular expression", () => a.get({ whereDocument: { $regex: "(" } })],
      ["a time-out", () => a.search("from a", { timeoutMs: 1, k: 1 })],
      ["a cancel", () => a.pool.query("select pg_cancel_backend(pg_backend_pid()), pg_sleep(9)")],
      ["an abort", () => a.search("from a", { signal: AbortSignal.abort() })],
      ["a commit of its own", () => a.pool.query("commit")],
      ["a rollback of its own", () => a.pool.query("rollback")],
      ["a lost connection", () => a.pool.query("select pg_terminate_backend(pg_backend_pid())")],
      ["nothing wrong", () => a.search("from a")],
    ];
    for (const [name, call] of calls) {
      await call().catch(() => undefined);
      const { rows } = await pool.query(`${WHO}, current_setting('role') as setting`);
      expect([name, rows[0].role, rows[0].tenant ?? "", rows[0].setting]).toEqual([name, "postgres", "", "none"]);
      // A transaction that was left open would give both the same time.
      const at = async (): Promise<string> => (await pool.query("select now()::text as at")).rows[0].at;
      expect([name, await at()]).not.toEqual([name, await at()]);
    }
  });

  it("a plain store refuses a table of tenants, and tenancy a plain table until init turns it on", async () => {
    const tenants = argsOf();
    await open(tenants);
    const { tenancy: _, ...plainArgs } = tenants;
    const refused = await errorOf(open(plainArgs));
    expect(refused).toBeInstanceOf(ConfigurationError);
    expect(refused.message).toMatch(/tenancy: "rls"/);

    const args = argsOf({ collectionName: "c" });
    const { tenancy: __, ...before } = args;
    const plain = await open(before);
    await plain.addDocuments([note("1", "from before")]);
    const error = await errorOf(open(args));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toContain(`init --table ${args.tableName} --tenancy rls`);
    // Nothing has changed for those who use it.
    expect(await plain.getByIds(["1"])).toHaveLength(1);

    const options = resolveOptions(args);
    const enable = () =>
      ensureSchema(new Database(admin), options.layout, () => newModel(options, embeddings), { enableTenancy: true });
    await Promise.all([enable(), enable(), enable()]);
    const store = await open({ ...args, pool: app });
    expect(await store.forTenant("default").getByIds(["1"])).toMatchObject([{ pageContent: "from before" }]);
    expect(await store.forTenant("a").get()).toEqual([]);
    await store.forTenant("a").addDocuments([note("1", "from a")]);
    expect(await store.forTenant("default").getByIds(["1"])).toMatchObject([{ pageContent: "from before" }]);
    expect(await errorOf(open(before))).toBeInstanceOf(ConfigurationError);
  });
});

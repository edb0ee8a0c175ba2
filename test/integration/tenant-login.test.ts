import pg from "pg";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { Database } from "../../src/db/database.js";
import { ConfigurationError, PostgresVectorStore, TenantIsolationError } from "../../src/index.js";
import { ensureSchema } from "../../src/schema/ensure.js";
import { resolveOptions } from "../../src/store/options.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const HOSTILE = `o'brien"; drop table x; -- \\ */ é`;
const PASSWORD = "s3cret' $$ \\ word";

describeServer("a login of a tenant's own", () => {
  let database: ServerTestDatabase;
  let superuser: pg.Pool;
  let owner: PostgresVectorStore;
  let admin: PostgresVectorStore;
  let name: string;
  const made = new Set<string>();
  const config = { tableName: "strict", tenancy: "rls", collectionName: "notes", ...testSchema() } as const;

  beforeAll(async () => {
    database = await openServerDatabase();
    superuser = database.newPool();
    const ownerPool = database.newPool({ connectionString: database.ownerUrl });
    owner = await PostgresVectorStore.initialize(new HashedEmbeddings(), { ...config, pool: ownerPool, lexical: true });
    admin = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), { ...config, pool: superuser });
    for (const tenant of ["a", "b", HOSTILE]) {
      await owner.forTenant(tenant).addDocuments([
        { id: "1", pageContent: `secret of ${tenant}`, metadata: {} },
        { id: "2", pageContent: `another of ${tenant}`, metadata: {} },
      ]);
    }
    const schema = testSchema().schemaName;
    name = `${schema === undefined ? "" : `"${schema}".`}strict`;
  });
  // Roles belong to the cluster and outlive the database.
  afterEach(async () => {
    for (const tenant of ["a", "b", HOSTILE]) await admin.tenants.dropLogin(tenant);
    for (const role of made) await superuser.query(`drop role if exists ${pg.escapeIdentifier(role)}`);
    made.clear();
  });
  afterAll(() => database.close());

  const connect = async (role: string): Promise<pg.Pool> => {
    const url = new URL(database.url);
    url.username = role;
    url.password = encodeURIComponent(PASSWORD);
    return database.newPool({ connectionString: url.href, max: 2 });
  };

  const rolesLike = async (role: string): Promise<number> =>
    (await superuser.query("select from pg_roles where rolname = $1", [role])).rowCount!;

  it.each(["a", HOSTILE])("sees its tenant %j only, whatever it sets or becomes", async (tenant) => {
    const role = await admin.tenants.login(tenant, { password: PASSWORD });
    const pool = await connect(role);
    const client = await pool.connect();
    try {
      const setTo = (value: string) => client.query("select set_config('app.current_tenant', $1, false)", [value]);
      const ids = async (relation = name): Promise<string[]> => [
        ...new Set(
          (await client.query<{ tenant_id: string }>(`select tenant_id from ${relation}`)).rows.map((r) => r.tenant_id),
        ),
      ];
      expect(await ids()).toEqual([]);
      await setTo(tenant);
      expect(await ids()).toEqual([tenant]);
      await client.query("select set_config('app.tenant_administration', 'b', false)");
      await setTo("b");
      expect(await ids()).toEqual([]);
      expect(await ids(name.replace("strict", "strict_collections"))).toEqual([]);
      expect(await ids(name.replace("strict", "langchain_pgvector_tenants"))).toEqual([]);
      expect((await client.query(`update ${name} set metadata = '{}'`)).rowCount).toBe(0);
      expect((await client.query(`delete from ${name}`)).rowCount).toBe(0);
      const insert = (id: string): string =>
        `insert into ${name} (tenant_id, collection, id, text, content_hash) values ('b', 'notes', '${id}', 'x', '')`;
      expect(await errorOf(client.query(insert("x")))).toMatchObject({ code: "42501" });
      expect(await errorOf(client.query(`${insert("1")} on conflict do nothing`))).toMatchObject({ code: "42501" });
      for (const other of ["langchain_pgvector_app", "langchain_pgvector_owner", "postgres"]) {
        expect(await errorOf(client.query(`set role ${other}`))).toMatchObject({ code: "42501" });
      }
      for (const statement of [`truncate ${name}`, `alter table ${name} disable row level security`]) {
        expect(await errorOf(client.query(statement))).toMatchObject({ code: "42501" });
      }
    } finally {
      client.release();
    }

    const store = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), { ...config, pool });
    const own = store.forTenant(tenant);
    await own.addDocuments([{ id: "3", pageContent: "one addition", metadata: {} }]);
    expect(await own.search("secret", { k: 10 })).toHaveLength(3);
    expect((await own.search("addition", { searchType: "lexical" }))[0]!.document.id).toBe("3");
    await own.delete({ ids: ["3"] });
    expect(await own.search("addition", { searchType: "lexical" })).toEqual([]);
    expect(await store.forTenant("b").search("secret")).toEqual([]);
    const refused = await errorOf(store.forTenant("b").addDocuments([{ id: "9", pageContent: "x", metadata: {} }]));
    expect(refused).toBeInstanceOf(TenantIsolationError);
    expect(await errorOf(store.tenants.list())).toBeInstanceOf(TenantIsolationError);
    // The others are not held back by the policy of this login.
    expect(await owner.forTenant("b").search("secret", { k: 10 })).toHaveLength(2);
    expect((await owner.tenants.list()).map(({ rows }) => rows)).toEqual([2, 2, 2]);
  });

  it("gets its rights to a lexical index that was added later by another call", async () => {
    const args = { ...config, tableName: "strict_later", pool: superuser };
    const before = await PostgresVectorStore.initialize(new HashedEmbeddings(), args);
    const docs = [{ id: "1", pageContent: "first words", metadata: {} }];
    await before.forTenant("a").addDocuments(docs);
    const role = await before.tenants.login("a", { password: PASSWORD });
    try {
      const { layout } = resolveOptions({ ...args, lexical: true });
      const model = (): never => expect.fail("the table is there");
      await ensureSchema(new Database(superuser), layout, model, { enableLexical: true });
      const after = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), args);
      await after.lexical.build();
      const pool = await connect(role);
      const store = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), { ...args, pool });
      const own = store.forTenant("a");
      expect((await errorOf(own.addDocuments(docs))).message).toMatch(/permission denied/);
      expect(await after.tenants.login("a", { password: PASSWORD })).toBe(role);
      await own.addDocuments([{ id: "1", pageContent: "changed words", metadata: {} }]);
      const [hit] = await own.search("changed", { searchType: "lexical" });
      expect(hit!.lexical).toMatchObject({ terms: ["chang"] });
    } finally {
      await before.tenants.delete("a");
    }
    expect(await rolesLike(role)).toBe(0);
  });

  it("sends no password, in no statement and in no error", async () => {
    const pool = database.newPool();
    const recorded = recordQueries(pool);
    const store = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), { ...config, pool });
    const role = await store.tenants.login("a", { password: PASSWORD });
    const { steps } = await store.tenants.planLogin("b", { password: PASSWORD });
    const sent = JSON.stringify([recorded, steps]);
    expect(sent).toContain("create role");
    expect(sent).toContain("SCRAM-SHA-256$");
    expect(sent).not.toContain("s3cret");
    expect(JSON.stringify(steps)).not.toContain("SCRAM");
    const failed = await errorOf(owner.tenants.login("b", { password: PASSWORD }));
    expect(`${failed.message} ${String(failed.cause)} ${JSON.stringify(failed)}`).not.toContain("s3cret");
    await expect(store.tenants.login("a", { password: "pässword" })).rejects.toThrow(ConfigurationError);
    const client = await (await connect(role)).connect();
    expect((await client.query("select current_user::text as me")).rows).toEqual([{ me: role }]);
    client.release();
  });

  it("plans without effects, and tells an owner who may not make roles what to ask for", async () => {
    const { role, steps } = await owner.tenants.planLogin("a");
    expect(steps.map((step) => step.name)).toEqual([
      "tenant-login/role",
      ...Array<string>(3 + 9).fill("tenant-login/policy"),
      "tenant-login/rights",
    ]);
    expect(await rolesLike(role)).toBe(0);
    const failed = await errorOf(owner.tenants.login("a"));
    expect(failed).toBeInstanceOf(TenantIsolationError);
    expect(failed.message).toContain(`create role "${role}" login;`);
    await superuser.query(`create role "${role}" login`);
    made.add(role);
    expect(await owner.tenants.login("a")).toBe(role);
    expect(await owner.tenants.login("a")).toBe(role);
    const again = await owner.tenants.planLogin("a");
    expect(again.steps.map((step) => step.name)).toEqual(["tenant-login/rights"]);
    // The owner may take all rights away; the role itself belongs to whoever made it.
    expect(await owner.tenants.dropLogin("a")).toEqual({ role, dropped: false });
    const { rows } = await superuser.query("select has_table_privilege($1, $2, 'select') as may", [role, name]);
    expect(rows).toEqual([{ may: false }]);
  });

  it("goes with its tenant, at once for sessions that are open", async () => {
    await owner.forTenant("gone").addDocuments([{ id: "1", pageContent: "x", metadata: {} }]);
    const role = await admin.tenants.login("gone", { password: PASSWORD });
    const pool = await connect(role);
    await pool.query("select 1");
    const report = await admin.tenants.delete("gone");
    expect(report.login).toEqual({ role, dropped: true });
    expect(await errorOf(pool.query(`select * from ${name}`))).toBeInstanceOf(Error);
    expect(await rolesLike(role)).toBe(0);
    const { rows } = await superuser.query(
      "select polname from pg_policy where polname like 'langchain_pgvector_login%'",
    );
    expect(rows).toEqual([]);
    expect(await admin.tenants.dropLogin("gone")).toBeUndefined();
    expect(await admin.tenants.planDropLogin("gone")).toBeUndefined();
  });

  it("takes no role that is more than a login, and no tenant that is not there", async () => {
    const powerful = `${new URL(database.url).pathname.slice(1)}_power`;
    made.add(powerful);
    await superuser.query(`create role ${powerful} login bypassrls`);
    const bypasses = await errorOf(admin.tenants.login("a", { role: powerful }));
    expect(bypasses).toBeInstanceOf(ConfigurationError);
    expect(bypasses.message).toContain("bypassrls");
    await superuser.query(`alter role ${powerful} nobypassrls; grant langchain_pgvector_app to ${powerful}`);
    const member = await errorOf(admin.tenants.login("a", { role: powerful }));
    expect(member.message).toContain("langchain_pgvector_app");
    await superuser.query(`revoke langchain_pgvector_app from ${powerful}`);
    expect(await admin.tenants.login("a", { role: powerful })).toBe(powerful);
    expect(await admin.tenants.dropLogin("a")).toEqual({ role: powerful, dropped: false });
    expect(await errorOf(admin.tenants.login("nobody"))).toBeInstanceOf(ConfigurationError);
  });
});

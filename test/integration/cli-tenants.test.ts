import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import type { TenantInfo } from "../../src/index.js";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

describeServer("the verb tenants", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let folder: CliFolder;
  let store: PostgresVectorStore;
  let table = "";
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool({ connectionString: database.ownerUrl });
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    folder = new CliFolder();
    folder.secrets.push(new URL(database.ownerUrl).password, "tenant-password");
    table = `cli_tenants_${(tables += 1)}`;
    store = await PostgresVectorStore.initialize(new HashedEmbeddings(), { pool, tableName: table, tenancy: "rls" });
    for (const tenant of ["acme", "other"]) {
      const documents = [1, 2, 3].map((n) => ({ id: `${n}`, pageContent: `${tenant} ${n}`, metadata: { n } }));
      await store.forTenant(tenant).addDocuments(documents);
    }
  });
  afterEach(() => folder.remove());

  const options = () => ({ env: { DATABASE_URL: database.ownerUrl } });
  const run = (...args: string[]): Promise<CliRun> => folder.run(["tenants", ...args, "--table", table], options());
  const json = <T>(...args: string[]): Promise<T> => folder.json(["tenants", ...args, "--table", table], options());

  test("list, create, suspend, resume", async () => {
    expect(await json<{ created: boolean }>("create", "new")).toEqual({ tenantId: "new", created: true });
    expect((await run("suspend", "acme")).out).toBe("suspended\n");
    const list = await json<TenantInfo[]>("list");
    expect(list.map(({ tenantId, state, rows }) => [tenantId, state, rows])).toEqual([
      ["acme", "suspended", 3],
      ["new", "active", 0],
      ["other", "active", 3],
    ]);
    const { out, err } = await run("list");
    expect(out).toMatch(/^tenant +state +rows +MiB +since\nacme +suspended +3 +0\.0 +\d{4}-\d\d-\d\d\n/);
    expect(err[0]).toMatch(/^database: .* · tenant: all · embedder: none needed$/);
    expect((await run("resume", "acme")).out).toBe("active\n");
    expect(await run("resume", "nobody")).toMatchObject({ code: 2, out: "" });
  });

  test("export to a file, delete, import", async () => {
    expect((await run("export", "acme", "--out", "acme.jsonl")).out).toBe("exported 3 chunks\n");
    const file = join(folder.path, "acme.jsonl");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const before = readFileSync(file, "utf8");
    expect((await run("export", "acme")).out).toBe(before);
    expect((await run("export", "acme", "--out", "acme.jsonl")).code).toBe(2);
    expect(await run("export", "nobody", "--out", "none.jsonl")).toMatchObject({ code: 2 });
    expect(existsSync(join(folder.path, "none.jsonl"))).toBe(false);

    const refused = await run("delete", "acme");
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err.join()).toContain("--yes");
    expect(await json("delete", "acme", "--yes")).toEqual({ tenantId: "acme", deleted: 3, notVacuumed: [] });
    expect((await json<TenantInfo[]>("list")).map(({ tenantId }) => tenantId)).toEqual(["other"]);
    expect(await json("import", "acme", "acme.jsonl")).toEqual({ tenantId: "acme", chunks: 3 });
    expect((await run("export", "acme")).out).toBe(before);
    expect(await run("import", "acme", "absent.jsonl")).toMatchObject({ code: 2 });
    folder.put({ "half.jsonl": before.slice(0, before.lastIndexOf('{"type":"end"')) });
    const half = await run("import", "acme", "half.jsonl");
    expect(half).toMatchObject({ code: 1, out: "" });
    expect(half.err.join()).toContain("cut off");
  });

  test("login: the plan has no effects, the password is not printed", async () => {
    const { out } = await run("login", "acme", "--plan");
    expect(out).toContain('create role "lpv_');
    expect(out).toContain("as restrictive to");
    folder.put({ "password.txt": "tenant-password\n" });
    const refused = await run("login", "acme", "--password-file", "password.txt");
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.err.join()).toContain("CREATEROLE");

    const admin = { env: { DATABASE_URL: database.url } };
    folder.secrets.push(new URL(database.url).password);
    const verb = ["tenants", "login", "acme", "--table", table];
    const { role } = await folder.json<{ role: string }>([...verb, "--password-file", "password.txt"], admin);
    const url = new URL(database.url);
    url.username = role;
    url.password = "tenant-password";
    const own = database.newPool({ connectionString: url.href, max: 1 });
    await own.query("set app.current_tenant = 'acme'");
    expect((await own.query(`select tenant_id from ${table}`)).rowCount).toBe(3);
    await own.end();
    expect((await folder.run([...verb, "--drop", "--plan"], admin)).out).toContain("drop role");
    expect((await folder.run([...verb, "--drop"], admin)).out).toBe(`dropped ${role}\n`);
    expect((await folder.run([...verb, "--drop"], admin)).out).toBe("the tenant has no login\n");
  });

  test("expire, of one tenant and of all", async () => {
    expect(await json("expire", "--tenant", "acme", "--filter", '{"n": {"$gte": 2}}')).toEqual({ deleted: 2 });
    expect(await json("expire", "--older-than", "1d")).toEqual({ deleted: 0 });
    expect((await run("expire", "--before", "2999-01-01")).out).toBe("deleted 4 chunks\n");
    for (const wrong of [
      [],
      ["--older-than", "soon"],
      ["--before", "x"],
      ["--tenant", "nobody", "--older-than", "1s"],
    ]) {
      expect((await run("expire", ...wrong)).code).toBe(2);
    }
  });

  test("help names every subcommand", async () => {
    const { out, code } = await folder.run(["tenants", "--help"]);
    expect(code).toBe(0);
    for (const verb of ["list", "create", "suspend", "resume", "delete", "export", "import", "login", "expire"]) {
      expect(out).toMatch(new RegExp(`^ {2}${verb}\\b`, "m"));
    }
  });

  test("isolate and merge", async () => {
    expect((await run("isolate", "acme")).err.join()).toContain("init --partitioned");
    const parted = `${table}_parted`;
    const at = (...args: string[]): string[] => [...args, "--table", parted];
    const init = at("init", "--tenancy", "rls", "--partitioned", "--inline-vectors");
    expect((await folder.run([...init, "--plan"], options())).out).toMatch(
      /default\s+with \(toast_tuple_target = 8160\)/,
    );
    expect(await folder.run(init, options())).toMatchObject({ code: 0 });
    const plain = ["init", "--tenancy", "rls", "--table", `${table}_plain`];
    expect(await folder.run(plain, options())).toMatchObject({ code: 0 });
    const late = await folder.run([...plain, "--partitioned"], options());
    expect(late.err.join()).toContain("not partitioned, which is decided when a table is made");
    const client = await pool.connect();
    await client.query("begin; set local app.current_tenant = 'acme'");
    await client.query(
      `insert into ${parted} (tenant_id, collection, id, text, content_hash, embedding) select 'acme', '', n::text, 'x', '', array_fill(0.5::float4, array[d]) from (select dimensions as d from langchain_pgvector_models where store = '${parted}') m, generate_series(1, 10) n`,
    );
    await client.query(`insert into langchain_pgvector_tenants (tenant_id, store) values ('acme', $1)`, [parted]);
    await client.query("commit");
    client.release();

    const { out } = await folder.run(at("tenants", "isolate", "acme", "--plan"), options());
    expect(out).toMatch(/^-- 10 rows, 0\.0 MiB to copy\n-- begin-move\ncreate table /);
    expect(out).toContain("attach partition");
    const moved = await folder.run(at("tenants", "isolate", "acme"), options());
    expect(moved.out).toMatch(
      /^moved 10 rows to \w+; writes of the tenant waited for \d+ ms, everything for \d+ ms\n$/,
    );
    expect(moved.err.join("\n")).toContain("switching to the copy");
    expect((await folder.run(at("tenants", "isolate", "acme"), options())).out).toMatch(/^the tenant is in .* already/);
    expect((await folder.run(at("tenants", "merge", "acme", "--plan"), options())).out).toContain("default;");
    expect(await folder.json(at("tenants", "merge", "acme"), options())).toMatchObject({ moved: true, rows: 10 });
  });
});

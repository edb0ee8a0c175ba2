import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lintTenancy, PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { createBackup } from "../../src/ops/backup/create-backup.js";
import type { DatabaseManifest } from "../../src/ops/backup/manifest.js";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { clientTools } from "../helpers/client-tools.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const pgBin = clientTools() ?? "";
const TENANTS = ["acme", "bolt", "crane"];
const TABLE = "articles";
const CHUNKS = 20;
const QUERIES = ["pages and tuples", "vacuum of dead rows", "a graph of neighbours"];

describe.skipIf(pgBin === "")(`backup and restore${pgBin === "" ? " (needs pg_dump)" : ""}`, () => {
  describeServer("of a store of several tenants", () => {
    let source: ServerTestDatabase;
    let folder: CliFolder;
    let expected: string;
    const opened: ServerTestDatabase[] = [];

    const config = (url: string, tenantId: string): PostgresVectorStoreArgs => ({
      connectionString: url,
      tableName: TABLE,
      tenancy: "rls",
      tenantId,
      lexical: true,
      promotedKeys: { year: "number" },
    });

    beforeAll(async () => {
      source = await openServerDatabase();
      opened.push(source);
      folder = new CliFolder();
      const store = await PostgresVectorStore.initialize(new HashedEmbeddings(), config(source.ownerUrl, TENANTS[0]!));
      const words = ["pages", "tuples", "vacuum", "dead rows", "graph", "neighbours", "index", "query"];
      for (const tenant of TENANTS) {
        const documents = Array.from({ length: CHUNKS }, (_, i) => ({
          id: `${tenant}-${i}`,
          pageContent: `${words[i % 8]} and ${words[(i * 3 + 1) % 8]} of ${tenant}, number ${i}, "quoted" \\ back\nslash`,
          metadata: { year: 2000 + i },
        }));
        await store.forTenant(tenant).addDocuments(documents);
      }
      await store.createHnswIndex();
      await store.tenants.suspend("crane");
      await store.end();
      await source
        .newPool()
        .query(
          "create table orders (id int); insert into orders values (1); create view old_orders as select * from orders; create function total() returns int language sql as 'select 1'",
        );
      expected = await answers(source.appUrl);
    });
    afterAll(async () => {
      folder.remove();
      for (const database of opened) await database.close();
    });

    /** What the application finds, in each mode. */
    async function answers(url: string): Promise<string> {
      const found: unknown[] = [];
      for (const tenant of ["acme", "bolt"]) {
        const store = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), config(url, tenant));
        for (const searchType of ["similarity", "lexical", "hybrid"] as const) {
          for (const query of QUERIES) {
            const hits = await store.search(query, { k: 5, searchType });
            found.push(hits.map(({ document, score }) => [document.id, document.metadata, score]));
          }
        }
        await store.end();
      }
      return JSON.stringify(found);
    }

    async function fresh(): Promise<ServerTestDatabase> {
      const database = await openServerDatabase();
      opened.push(database);
      return database;
    }

    const run = (url: string, ...args: string[]): Promise<CliRun> =>
      folder.run([...args, "--pg-bin", pgBin], { env: { DATABASE_URL: url } });

    async function done(url: string, ...args: string[]): Promise<CliRun> {
      const result = await run(url, ...args);
      expect(result.err.filter((line) => line.startsWith("error"))).toEqual([]);
      expect(result.code).toBe(0);
      return result;
    }

    const manifestOf = (name: string): DatabaseManifest =>
      JSON.parse(readFileSync(join(folder.path, name, "manifest.json"), "utf8")) as DatabaseManifest;

    test("a restored store answers as before, behind the same policies", async () => {
      const { out } = await done(source.url, "backup", "whole", "--compress", "3");
      expect(out).toMatch(/^wrote .* into .*whole/);
      const manifest = manifestOf("whole");
      const chunks = manifest.relations.find(({ name }) => name === TABLE)!;
      expect(chunks.content?.rows).toBe(TENANTS.length * CHUNKS);
      expect(manifest.relations.map(({ name }) => name)).toContain("langchain_pgvector_tenants");
      expect(manifest.relations.map(({ name }) => name)).not.toContain("orders");
      expect(manifest.searches).toHaveLength(10);
      expect(readFileSync(join(folder.path, "whole/roles.sql"), "utf8")).toContain(
        'create role "langchain_pgvector_app"',
      );
      expect(statSync(join(folder.path, "whole")).mode & 0o077).toBe(0);

      const target = await fresh();
      const plan = await done(target.url, "restore", "whole", "--plan");
      expect(plan.out).toMatch(/about \d+ s/);
      const restored = await done(target.url, "restore", "whole", "--jobs", "2");
      expect(restored.out).toContain("10 searches");
      expect(await answers(target.appUrl)).toBe(expected);
      expect(
        await lintTenancy({ pool: target.newPool({ connectionString: target.ownerUrl }), tableName: TABLE }),
      ).toEqual(await lintTenancy({ pool: source.newPool({ connectionString: source.ownerUrl }), tableName: TABLE }));
      const { rows } = await target
        .newPool()
        .query("select to_regclass('orders') as orders, to_regproc('total') as total");
      expect(rows).toEqual([{ orders: null, total: null }]);

      const again = await run(target.url, "restore", "whole");
      expect(again.code).toBe(2);
      expect(again.err.join("\n")).toMatch(/already; nothing was changed\. .*--clean/);
      const wrong = await run(target.url, "restore", "whole", "--clean", "other");
      expect(wrong.code).toBe(2);
      expect(wrong.err.join("\n")).toContain("Name the database that is to lose them");
      await done(target.url, "restore", "whole", "--clean", new URL(target.url).pathname.slice(1));
      expect(await answers(target.appUrl)).toBe(expected);
      const written = await PostgresVectorStore.fromExistingIndex(
        new HashedEmbeddings(),
        config(target.appUrl, "acme"),
      );
      await written.addDocuments([{ pageContent: "a later page", metadata: {} }]);
      expect(await written.search("later", { searchType: "lexical" })).toHaveLength(1);
      await written.end();
    });

    test("a role that would dump a part is refused, and a backup role dumps all without BYPASSRLS", async () => {
      const environment = pgEnvironment(source.ownerUrl);
      // What pg_dump itself does: the first fails, the second ends well with no rows.
      const plain = spawnSync(join(pgBin, "pg_dump"), ["--table", TABLE], { env: environment, encoding: "utf8" });
      expect(plain.status).toBe(1);
      expect(plain.stderr).toContain("row-level security policy");
      const trap = spawnSync(join(pgBin, "pg_dump"), ["--table", TABLE, "--enable-row-security", "--data-only"], {
        env: environment,
        encoding: "utf8",
      });
      expect(trap.status).toBe(0);
      expect(trap.stdout).not.toContain("acme-1");
      const shown = await done(source.url, "backup", "part", "--plan");
      expect(shown.out).toMatch(
        /pg_dump \d+.*\n\d+ tables, .* without indexes\nRow-level security does not bind the role/,
      );
      for (const url of [source.ownerUrl, source.appUrl]) {
        const refused = await run(url, "backup", "part");
        expect(refused.code).toBe(1);
        expect(refused.err.join("\n")).toMatch(/would dump a part of the rows, or none.*articles.*--create-role/);
      }
      expect(readdirSync(folder.path)).not.toContain("part");

      const role = `${new URL(source.url).pathname.slice(1)}_backup`;
      const plan = await done(source.ownerUrl, "backup", "--create-role", role, "--plan");
      expect(plan.out).toContain(
        `create policy langchain_pgvector_backup on public.${TABLE} for select to "${role}" using (true);`,
      );
      const admin = source.newPool();
      await admin.query(`create role ${role} login password 'db-password'`);
      const shut = await run(source.ownerUrl, "backup", "--create-role", role);
      expect(shut.err.join("\n")).toMatch(/owner of the database run: grant connect on database .*;/);
      await admin.query(`grant connect on database ${new URL(source.url).pathname.slice(1)} to ${role}`);
      await done(source.ownerUrl, "backup", "--create-role", role);
      const url = new URL(source.url);
      [url.username, url.password] = [role, "db-password"];
      try {
        await done(url.href, "backup", "by-role");
        const rows = (name: string): unknown =>
          manifestOf(name).relations.map((relation) => [relation.name, relation.content]);
        expect(rows("by-role")).toEqual(rows("whole"));
        const findings = await lintTenancy({
          pool: source.newPool({ connectionString: source.ownerUrl }),
          tableName: TABLE,
        });
        expect(findings.filter(({ code }) => code === "extra-policy")).toEqual([]);

        // A table that came after the role is not forgotten silently.
        await admin.query(`drop policy langchain_pgvector_backup on ${TABLE}_loads`);
        const later = await run(url.href, "backup", "later");
        expect(later.err.join("\n")).toMatch(/hides them in articles_loads\./);
        await done(source.ownerUrl, "backup", "--create-role", role);

        await admin.query(`drop owned by ${role}`);
        await admin.query(`drop role ${role}`);
        const target = await fresh();
        const restored = await done(target.url, "restore", "by-role");
        expect(restored.out).toContain(`logins to give a password, with psql's \\password: ${role}`);
        expect(await answers(target.appUrl)).toBe(expected);
        const { rows: made } = await admin.query("select rolcanlogin, rolbypassrls from pg_roles where rolname = $1", [
          role,
        ]);
        expect(made).toEqual([{ rolcanlogin: true, rolbypassrls: false }]);
      } finally {
        for (const { newPool } of opened) await newPool().query(`drop owned by ${role}`);
        await admin.query(`drop role ${role}`);
      }
    });

    test("the owner restores without being a superuser", async () => {
      const target = await fresh();
      const name = new URL(target.url).pathname.slice(1);
      const { rows } = await target
        .newPool()
        .query<{ owner: string }>(
          "select pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = 'public'",
        );
      expect(rows[0]?.owner).toBeDefined();
      await done(target.ownerUrl, "restore", "whole");
      expect(await answers(target.appUrl)).toBe(expected);
      await done(target.ownerUrl, "restore", "whole", "--clean", name);
      expect(await answers(target.appUrl)).toBe(expected);
    });

    test("a backup that is cut off or changed is detected before anything is restored", async () => {
      const target = await fresh();
      await done(source.url, "backup", "cut", "--format", "directory", "--jobs", "2");
      const [file] = manifestOf("cut")
        .files.filter(({ path }) => path.endsWith(".gz"))
        .toSorted((a, b) => b.bytes - a.bytes);
      const path = join(folder.path, "cut", file!.path);
      const bytes = readFileSync(path);
      truncateSync(path, bytes.length - 10);
      const cut = await run(target.url, "restore", "cut");
      expect(cut.code).toBe(1);
      expect(cut.err.join("\n")).toMatch(/nothing was restored: .* is cut off: it has \d+ of \d+ bytes/);
      bytes[bytes.length - 20]! ^= 1;
      writeFileSync(path, bytes);
      const changed = await run(target.url, "restore", "cut", "--dry-run");
      expect(changed.err.join("\n")).toContain("its SHA-256 differs");
      bytes[bytes.length - 20]! ^= 1;
      writeFileSync(path, bytes);
      const { rows } = await target.newPool().query("select to_regclass('articles') as found");
      expect(rows).toEqual([{ found: null }]);
      await done(target.url, "restore", "cut", "--jobs", "2");
      expect(await answers(target.appUrl)).toBe(expected);
    });

    test("what was restored is compared, and taken away when it differs", async () => {
      const target = await fresh();
      await done(source.url, "backup", "altered");
      const path = join(folder.path, "altered/manifest.json");
      const text = readFileSync(path, "utf8");
      const checksum = manifestOf("altered").relations.find(({ name }) => name === TABLE)!.content!.checksum;
      writeFileSync(path, text.replace(`"${checksum}"`, '"1"'));
      const rows = await run(target.url, "restore", "altered");
      expect(rows.err.join("\n")).toMatch(/not those of the backup: articles has rows with other values/);
      writeFileSync(path, text.replaceAll('"hits": [', '"hits": [{"id":"x","distance":-1},'));
      const searches = await run(target.url, "restore", "altered");
      expect(searches.err.join("\n")).toMatch(/10 of 10 recorded searches find other rows/);
      writeFileSync(path, text.replace("langchain_pgvector_active", "langchain_pgvector_other"));
      const policies = await run(target.url, "restore", "altered");
      expect(policies.err.join("\n")).toMatch(/policy langchain_pgvector_other on articles.* differs or is missing/);
      const interrupt = new AbortController();
      writeFileSync(path, text);
      const stopped = await folder.run(["restore", "altered", "--pg-bin", pgBin], {
        env: { DATABASE_URL: target.url },
        signal: interrupt.signal,
        onErr: (line) => line.startsWith("building") && interrupt.abort(new Error("interrupted")),
      });
      expect(stopped.err.at(-1)).toBe("interrupted");
      const { rows: left } = await target
        .newPool()
        .query("select relname from pg_class where relname like '%articles%' or relname like 'langchain%'");
      expect(left).toEqual([]);
    });

    test("without embeddings the rows are kept, and what to embed again is said", async () => {
      const { out } = await done(source.url, "backup", "small", "--without-embeddings");
      expect(out).toMatch(/to embed again: 60 chunks of articles\.embedding with .*16 dimensions/);
      const target = await fresh();
      const restored = await done(target.url, "restore", "small");
      expect(restored.out).toContain("to embed again: 60 chunks");
      const { rows } = await target
        .newPool()
        .query(`select count(*)::int as rows, count(embedding)::int as vectors from ${TABLE}`);
      expect(rows).toEqual([{ rows: 60, vectors: 0 }]);
      const store = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), config(target.appUrl, "bolt"));
      const found = await store.search("vacuum", { searchType: "lexical", k: 50 });
      expect(found.length).toBeGreaterThan(3);
      await store.addDocuments(found.map(({ document }) => document));
      expect(await store.search("vacuum", { k: 50 })).toHaveLength(found.length);
      await store.end();
    });

    test("the schema alone, and one tenant", async () => {
      await done(source.url, "backup", "schema", "--schema-only");
      const target = await fresh();
      await done(target.url, "restore", "schema");
      const { rows } = await target.newPool().query(`select count(*)::int as rows from ${TABLE}`);
      expect(rows).toEqual([{ rows: 0 }]);
      const empty = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), config(target.appUrl, "new"));
      await empty.addDocuments([{ pageContent: "the first page", metadata: { year: 1 } }]);
      expect(await empty.search("page", { searchType: "hybrid", filter: { year: 1 } })).toHaveLength(1);
      await empty.end();
      await done(source.ownerUrl, "backup", "acme", "--tenant", "acme", "--table", TABLE);
      const made = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
        ...config(source.ownerUrl, "copy"),
        tableName: "copies",
      });
      const { out } = await done(source.ownerUrl, "restore", "acme", "--tenant", "copy", "--table", "copies");
      expect(out).toBe("restored 20 chunks\n");
      expect(await made.search(QUERIES[0]!, { k: 50 })).toHaveLength(CHUNKS);
      await made.end();
      truncateSync(join(folder.path, "acme/tenant.jsonl.gz"), 100);
      const cut = await run(source.ownerUrl, "restore", "acme", "--tenant", "copy", "--table", "copies");
      expect(cut.err.join("\n")).toContain("is cut off");
    });

    test("partitions, odd names and no tenancy", async () => {
      const schema = 'Odd "schema" (1)';
      const database = await fresh();
      const owner = database.newPool({ connectionString: database.ownerUrl });
      await owner.query(`create schema "Odd ""schema"" (1)"`);
      await owner.query(`create table "Odd ""schema"" (1)"."other, table" (id serial)`);
      const place = { pool: owner, schemaName: schema, tableName: "Ärticles" };
      const store = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
        ...place,
        tenancy: "rls",
        tenantId: "acme",
        partitions: "by-tenant",
        collectionName: "first",
      });
      await store.forTenant("bolt").addDocuments([{ pageContent: "a page", metadata: {} }]);
      await store.tenants.isolate("bolt");
      const plain = { ...place, tableName: "plain" };
      const open = await PostgresVectorStore.initialize(new HashedEmbeddings(), { ...plain, collectionName: "second" });
      await open.addDocuments([{ pageContent: "an open page", metadata: {} }]);
      await done(database.url, "backup", "odd", "--schema", schema);
      const { relations } = manifestOf("odd");
      expect(relations.filter(({ parent }) => parent !== null)).toHaveLength(2);
      expect(relations.map(({ name }) => name)).not.toContain("other, table");

      const target = await fresh();
      const pool = target.newPool({ connectionString: target.ownerUrl });
      await done(target.ownerUrl, "restore", "odd");
      const first = { ...place, pool, tenancy: "rls", tenantId: "bolt", collectionName: "first" } as const;
      const restored = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), first);
      expect(await restored.search("page")).toHaveLength(1);
      const second = { ...plain, pool, collectionName: "second" };
      const other = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), second);
      expect(await other.search("page")).toHaveLength(1);
    });

    test("passwords are handed over in the environment, and an interrupt leaves nothing", async () => {
      const bin = join(folder.path, "bin");
      const seen = join(folder.path, "seen");
      const wrap = (name: string, script: string): void => {
        folder.put({ [`bin/${name}`]: `#!/bin/sh\n${script}\n` });
        chmodSync(join(bin, name), 0o755);
      };
      wrap("pg_restore", `exec ${pgBin}/pg_restore "$@"`);
      // The trap is set before anything is seen, and what it might leave holds no pipe of the backup.
      const wait = `sleep 60 >/dev/null 2>&1 & p=$!; trap 'kill $p; exit 1' TERM`;
      wrap(
        "pg_dump",
        `[ "$1" = --version ] || { ${wait}; echo "$@" >>${seen}; [ -n "$PGPASSWORD" ] && echo password >>${seen}; wait; }\nexec ${pgBin}/pg_dump "$@"`,
      );
      const interrupt = new AbortController();
      const backup = createBackup({
        connectionString: source.url,
        folder: join(folder.path, "stopped"),
        pgBin: bin,
        environment: { PATH: process.env["PATH"] },
        signal: interrupt.signal,
      });
      const waiting = setInterval(() => {
        if (existsSync(seen) && readFileSync(seen, "utf8").includes("password\n")) interrupt.abort(new Error("enough"));
      }, 20);
      await expect(backup).rejects.toThrow("enough");
      clearInterval(waiting);
      expect(readFileSync(seen, "utf8")).not.toContain(new URL(source.url).password);
      expect(readdirSync(folder.path).filter((name) => name.startsWith("stopped"))).toEqual([]);

      wrap("pg_dump", `echo "pg_dump (PostgreSQL) 14.2"`);
      await expect(
        createBackup({ connectionString: source.url, folder: join(folder.path, "old"), pgBin: bin, environment: {} }),
      ).rejects.toThrow(/is version 14\.2 and cannot dump a server of version \d+\. .*--pg-bin/);
      const secret = new URL(source.url).password;
      wrap(
        "pg_dump",
        `[ "$1" = --version ] && exec ${pgBin}/pg_dump --version; echo "error: no $PGPASSWORD" >&2; exit 1`,
      );
      await expect(
        createBackup({ connectionString: source.url, folder: join(folder.path, "bad"), pgBin: bin, environment: {} }),
      ).rejects.toThrow(expect.objectContaining({ message: expect.not.stringContaining(secret) as string }) as Error);
    });

    test.each([
      [["backup"], /Name a new folder/],
      [["backup", "x", "--jobs", "2"], /use the format "directory"/],
      [["backup", "x", "--compress", "lots"], /compress is "lots"/],
      [["backup", "x", "--schema-only", "--without-embeddings"], /leave one of them out/],
      [["backup", "x", "--tenant", "acme", "--format", "directory"], /--format does not go with --tenant/],
      [["backup", "whole"], /is there already; name a new folder/],
      [["restore", "nowhere"], /no manifest\.json/],
      [["restore", "acme"], /of the tenant "acme" alone/],
      [["restore", "whole", "--tenant", "acme", "--table", TABLE], /all stores of a schema/],
    ])("refuses %j", async (args, message) => {
      const { code, err } = await run(source.ownerUrl, ...args);
      expect(err.join("\n")).toMatch(message);
      expect(code).toBe(2);
    });
  });
});

/** How `pg_dump` is told where to connect. */
function pgEnvironment(url: string): NodeJS.ProcessEnv {
  const { hostname, port, username, password, pathname } = new URL(url);
  return { PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password, PGDATABASE: pathname.slice(1) };
}

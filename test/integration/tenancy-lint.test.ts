import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lintTenancy, type Finding, type FindingCode } from "../../src/ops/tenancy-lint.js";
import { OfflineEmbeddings, PostgresVectorStore, SchemaVersionError } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";

interface Case {
  readonly code: FindingCode;
  readonly severity?: Finding["severity"];
  /** SQL that makes the fault; `{t}` is the table of chunks, `{c}` that of collections, `{p}` a partition, `{app}` the app role. */
  readonly fault: string;
  /** Part of the finding's object. */
  readonly object?: string;
  /** Puts back what the cure does not, such as a view. */
  readonly tidy?: string;
  /** What the cure leaves of the same code, when it is not nothing. */
  readonly name?: string;
}

const TENANT = "tenant_id = nullif(current_setting('app.current_tenant', true), '')";

const CASES: readonly Case[] = [
  { code: "row-security-off", fault: "alter table {t} disable row level security, no force row level security" },
  { code: "row-security-not-forced", fault: "alter table {c} no force row level security" },
  { code: "row-security-not-forced", fault: "alter table {r} no force row level security", name: "registry" },
  {
    code: "policy-missing",
    fault: "drop policy langchain_pgvector_tenant on {t}",
    object: "langchain_pgvector_tenant",
  },
  {
    code: "policy-missing",
    fault: "drop policy langchain_pgvector_active on {t}",
    object: "langchain_pgvector_active",
  },
  { code: "policy-missing", fault: "drop policy langchain_pgvector_tenant on {r}", name: "registry" },
  { code: "policy-changed", fault: "alter policy langchain_pgvector_tenant on {t} using (true)" },
  {
    code: "promoted-key-without-index",
    severity: "warning",
    fault: "drop index {t}_promoted_year_idx",
    object: "promoted_year",
  },
  {
    code: "promoted-key-without-index",
    severity: "warning",
    fault: "drop index {t}_promoted_year_idx; create index other_idx on {t} (promoted_year, tenant_id)",
    object: "promoted_year",
    name: "led by another column",
    tidy: "drop index other_idx",
  },
  {
    code: "policy-changed",
    fault: `alter policy langchain_pgvector_tenant on {t} with check (${TENANT} or collection = 'open')`,
    name: "with check",
  },
  { code: "policy-changed", fault: "alter policy langchain_pgvector_active on {c} to {app}", name: "roles" },
  { code: "policy-changed", fault: "alter policy langchain_pgvector_admin on {r} to public", name: "administrator" },
  {
    code: "extra-policy",
    fault: "create policy anyone on {t} for select using (collection = 'shared')",
    object: "anyone",
  },
  {
    code: "extra-policy",
    severity: "warning",
    fault: "create policy auditor on {t} for select to {other} using (true)",
    name: "for another role",
  },
  {
    code: "extra-policy",
    fault: "create policy langchain_pgvector_backup on {t} for select to {app} using (true)",
    name: "the policy of backups, for the application",
  },
  {
    code: "extra-policy",
    severity: "warning",
    fault: "create policy langchain_pgvector_backup on {t} to {other} using (true)",
    name: "the policy of backups, to write",
  },
  { code: "app-role-bypasses", fault: "alter role {app} bypassrls" },
  {
    code: "app-role-owns-table",
    fault: "alter table {t} owner to {app}",
    tidy: "reassign owned by {app} to current_user",
  },
  {
    code: "app-role-owns-table",
    fault: "alter table {c} owner to {other}; grant {other} to {app}",
    tidy: "alter table {c} owner to current_user",
    name: "by membership",
  },
  {
    code: "member-bypasses",
    fault: "alter role {other} bypassrls; grant {app} to {other}",
    tidy: "revoke {app} from {other}",
  },
  {
    code: "member-bypasses",
    fault: "alter role {other} superuser; grant {app} to {other}",
    tidy: "alter role {other} nosuperuser",
    name: "superuser",
  },
  {
    code: "key-without-tenant",
    fault: "alter table {t} add column ref text, add constraint ref_key unique (ref)",
    tidy: "alter table {t} drop column ref",
  },
  {
    code: "key-without-tenant",
    fault: "create unique index once on {t} (collection, lower(text)) where id <> 'x'",
    tidy: "drop index once",
    name: "index",
  },
  {
    code: "key-without-tenant",
    severity: "warning",
    fault: "create unique index late on {t} (id, tenant_id)",
    tidy: "drop index late",
    name: "not in front",
  },
  {
    code: "key-without-tenant",
    fault:
      "alter table {t} drop constraint {name}_pkey cascade, add constraint {name}_pkey primary key (collection, id)",
    name: "primary key",
  },
  {
    code: "foreign-key-without-tenant",
    fault:
      "create unique index by_id on {t} (id); create table notes (tenant_id text, chunk text constraint notes_chunk references {t} (id))",
    tidy: "drop table notes; drop index by_id",
  },
  { code: "view-without-security-invoker", fault: "create view plain as select * from {t}", tidy: "drop view plain" },
  {
    code: "view-without-security-invoker",
    severity: "warning",
    fault: "create view plain as select * from {t}; alter view plain owner to {other}",
    tidy: "drop view plain",
    name: "of an owner that policies bind",
  },
  {
    code: "view-without-security-invoker",
    fault:
      "create view inner_view with (security_invoker) as select * from {t}; create view outer_view as select * from inner_view",
    tidy: "drop view outer_view, inner_view",
    object: "outer_view",
    name: "over a view",
  },
  {
    code: "materialized-view-readable",
    fault: "create materialized view copied as select * from {t}; grant select on copied to public",
    tidy: "drop materialized view copied",
  },
  { code: "materialized-view", severity: "warning", fault: "create materialized view copied as select * from {t}" },
  { code: "excessive-grant", fault: "grant truncate, trigger on {t} to {app}" },
  { code: "excessive-grant", fault: "grant references on {c} to public", name: "to everybody" },
  { code: "registry-writable", fault: "grant update on {r} to {app}" },
  {
    code: "function-search-path",
    fault:
      "create function all_texts() returns setof text security definer language sql as 'select text from {t}'; alter function all_texts() owner to {other}",
    tidy: "drop function all_texts()",
  },
  {
    code: "function-bypasses",
    fault:
      "create function all_texts(wanted int) returns setof text security definer set search_path = public language sql as 'select text from {t}'",
    tidy: "drop function all_texts(int)",
  },
  {
    code: "function-bypasses",
    severity: "warning",
    fault: "create procedure anything() security definer set search_path = pg_catalog language sql as 'select 1'",
    tidy: "drop procedure anything()",
    name: "elsewhere",
  },
  {
    // What a role sets in every database, every linter of the server finds: that is broken on a server of its own.
    code: "tenant-setting-stored",
    fault: "alter role {app} in database {db} set app.current_tenant = 'acme'",
    object: "in database",
  },
  { code: "tenant-setting-stored", fault: "alter database {db} set app.current_tenant = 'acme'", object: "database" },
  {
    code: "trigger-copies-rows",
    severity: "warning",
    fault:
      "create table audit (text text); create function copy_row() returns trigger language plpgsql as $$ begin insert into audit values (new.text); return new; end $$; create trigger copying after insert on {t} for each row execute function copy_row()",
    tidy: "drop trigger copying on {t}; drop function copy_row(); drop table audit",
  },
  {
    code: "rule-copies-rows",
    severity: "warning",
    fault:
      "create table audit (text text); create rule copying as on insert to {t} do also insert into audit values (new.text)",
    tidy: "drop table audit",
  },
  {
    code: "publication-of-all-tenants",
    severity: "warning",
    fault: "create publication few for table {t}",
    tidy: "drop publication few",
  },
  {
    code: "publication-of-all-tenants",
    severity: "warning",
    fault: "create publication whole for all tables",
    name: "of all tables",
  },
  {
    code: "publication-of-all-tenants",
    severity: "warning",
    fault: "create publication part for tables in schema public",
    tidy: "drop publication part",
    name: "of a schema",
  },
];

describeServer("the tenancy linter", () => {
  const suffix = randomBytes(4).toString("hex");
  const app = `lint_app_${suffix}`;
  const other = `lint_other_${suffix}`;
  const table = "articles";
  let database: ServerTestDatabase;

  const named = (sql: string): string =>
    sql
      .replaceAll("{t}", table)
      .replaceAll("{c}", `${table}_collections`)
      .replaceAll("{r}", "langchain_pgvector_tenants")
      .replaceAll("{name}", table)
      .replaceAll("{app}", app)
      .replaceAll("{other}", other)
      .replaceAll("{db}", new URL(database.url).pathname.slice(1));
  const run = async (sql: string): Promise<void> => {
    // As psql does: one statement after the other, each in a transaction of its own.
    const client = await database.newPool({ max: 1 }).connect();
    try {
      for (const statement of sql.split(/;(?![^$]*\$\$ *(?:;|$))(?!.*end \$\$)/)) {
        if (statement.trim() !== "") await client.query(named(statement));
      }
    } finally {
      client.release(true);
    }
  };
  const lint = async (): Promise<Finding[]> => {
    const pool = database.newPool({ max: 4 });
    const findings = await lintTenancy({ pool, tableName: table, collectionName: "docs", appRole: app });
    await pool.end();
    return findings.filter((finding) => finding.code !== "connection-bypasses");
  };

  beforeAll(async () => {
    database = await openServerDatabase();
    await run(`create role ${other}`);
    const args = {
      pool: database.pool,
      tableName: table,
      collectionName: "docs",
      appRole: app,
      tenancy: "rls",
      promotedKeys: { year: "number" },
      lexical: true,
    } as const;
    const store = await PostgresVectorStore.initialize(new OfflineEmbeddings({ dimensions: 16 }), args);
    await store.forTenant("acme").addDocuments([{ id: "1", pageContent: "one", metadata: {} }]);
  });

  afterAll(async () => {
    await run(`drop owned by ${app}, ${other} cascade; drop role ${app}, ${other}`);
    await database.close();
  });

  it("finds nothing wrong with a store as it is made", async () => {
    expect(await lint()).toEqual([]);
  });

  it.each(CASES.map((one) => [`${one.code}${one.name === undefined ? "" : `, ${one.name}`}`, one] as const))(
    "finds %s, and its cure works",
    async (_, { code, severity = "error", fault, object = "", tidy = "" }) => {
      await run(fault);
      try {
        const found = (await lint()).filter((finding) => finding.code === code);
        expect(found.map((finding) => finding.severity)).toContain(severity);
        expect(found.some((finding) => finding.object.includes(object))).toBe(true);
        for (const { cure } of found) await database.newPool({ max: 1 }).query(cure);
        expect((await lint()).filter((finding) => finding.code === code)).toEqual([]);
      } finally {
        await run(tidy);
      }
      expect(await lint()).toEqual([]);
    },
  );

  it("finds partitions without policies", async () => {
    await run(
      `create table parted (like ${table} including all) partition by list (tenant_id);
       create table parted_big partition of parted for values in ('big');
       create table parted_rest partition of parted default;
       comment on table parted is 'partitioned';
       alter table ${table} rename to ${table}_plain;
       alter table parted rename to ${table}`,
    );
    try {
      const findings = await lint();
      const objects = findings.filter(({ code }) => code === "row-security-off").map((finding) => finding.object);
      expect(objects).toEqual(["public.articles", "public.parted_big", "public.parted_rest"]);
      for (const { cure } of findings) await run(cure);
      expect(await lint()).toEqual([]);
    } finally {
      await run(`drop table ${table}; alter table ${table}_plain rename to ${table}`);
    }
  });

  it("finds a tenant that a pool keeps in its sessions", async () => {
    const pool = database.newPool({ max: 1 });
    await pool.query("set app.current_tenant = 'acme'");
    const args = { pool, tableName: table, collectionName: "docs", appRole: app };
    const finding = (await lintTenancy(args)).find(({ code }) => code === "tenant-setting-in-session");
    expect(finding?.severity).toBe("error");
    await pool.query(finding!.cure);
    expect((await lintTenancy(args)).map(({ code }) => code)).not.toContain("tenant-setting-in-session");
  });

  it("warns about a connection that no policy binds, and is content with the login that cures it", async () => {
    const login = `${app}_login`;
    const args = { tableName: table, collectionName: "docs", appRole: app };
    const [finding] = await lintTenancy({ ...args, pool: database.pool });
    expect(finding).toMatchObject({ code: "connection-bypasses", severity: "warning" });
    await run(finding!.cure);
    await run(`alter role ${login} password '${suffix}'; grant connect, temporary on database {db} to ${login}`);
    const url = new URL(database.url);
    url.username = login;
    url.password = suffix;
    try {
      expect(await lintTenancy({ ...args, connectionString: url.href })).toEqual([]);
    } finally {
      await run(`drop owned by ${login}; drop role ${login}`);
    }
  });

  it("says so when it may not compare policies", async () => {
    const args = {
      pool: database.newPool({ connectionString: database.appUrl }),
      tableName: table,
      collectionName: "docs",
      appRole: app,
    };
    const role = new URL(database.appUrl).username;
    await run(`grant ${app} to ${role}; revoke temporary on database {db} from langchain_pgvector_app`);
    try {
      const findings = await lintTenancy(args);
      expect(findings.map(({ code }) => code)).toEqual(["policies-unchecked"]);
      await run(findings[0]!.cure);
      expect(await lintTenancy(args)).toEqual([]);
    } finally {
      await run(`revoke ${app} from ${role}; revoke temporary on database {db} from ${role}`);
    }
  });

  it("finds an app role that is not there", async () => {
    const args = { pool: database.pool, tableName: table, appRole: `${app}_gone` };
    const finding = (await lintTenancy(args)).find(({ code }) => code === "app-role-missing");
    await run(finding!.cure);
    expect((await lintTenancy(args)).map(({ code }) => code)).not.toContain("app-role-missing");
    await run(`drop role ${app}_gone`);
  });

  it("refuses a store that is not there", async () => {
    const lost = lintTenancy({ pool: database.pool, tableName: "lost", appRole: app });
    await expect(lost).rejects.toThrow(SchemaVersionError);
  });
});

describe("the findings of the tenancy linter", () => {
  it("all have a case", () => {
    const elsewhere = ["policies-unchecked", "app-role-missing", "connection-bypasses", "tenant-setting-in-session"];
    const covered = new Set<string>([...CASES.map(({ code }) => code), ...elsewhere]);
    expect(covered.size).toBe(26);
  });
});

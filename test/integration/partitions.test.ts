import { Document } from "@langchain/core/documents";
import type { Pool as PgPool } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Database } from "../../src/db/database.js";
import { lintTenancy, PostgresVectorStore, runLeakSuite } from "../../src/index.js";
import { examine } from "../../src/ops/doctor/examine.js";
import { resolveOptions } from "../../src/store/options.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries, type RecordedQuery } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 32;
const embeddings = new HashedEmbeddings(DIMENSIONS);

const notes = (tenant: string, rows: number): Document[] =>
  Array.from(
    { length: rows },
    (_, i) => new Document({ id: String(i), pageContent: `${tenant} ${i}`, metadata: { i } }),
  );

describeServer("a table partitioned by tenant", () => {
  let database: ServerTestDatabase;
  let ownerPool: PgPool;
  let appPool: PgPool;
  let recorded: RecordedQuery[];
  let owner: PostgresVectorStore;
  let app: PostgresVectorStore;
  const config = { tableName: "parted", tenancy: "rls" } as const;

  beforeAll(async () => {
    database = await openServerDatabase();
    ownerPool = database.newPool({ connectionString: database.ownerUrl });
    appPool = database.newPool({ connectionString: database.appUrl });
    recorded = recordQueries(appPool);
    owner = await PostgresVectorStore.initialize(embeddings, { ...config, pool: ownerPool, partitions: "by-tenant" });
    app = await PostgresVectorStore.initialize(embeddings, { ...config, pool: appPool });
    await owner.createHnswIndex({ m: 4, efConstruction: 16 });
    await app.forTenant("big").addDocuments(notes("big", 4_000));
    await app.forTenant("small").addDocuments(notes("small", 50));
    await owner.tenants.suspend("small");
    await owner.tenants.resume("small");
    await ownerPool.query("analyze parted");
  });
  afterAll(() => database.close());

  it("opens without DDL and without saying that it is partitioned", async () => {
    recorded.length = 0;
    const again = await PostgresVectorStore.initialize(embeddings, { ...config, pool: appPool });
    expect(await again.forTenant("small").get({ limit: 100 })).toHaveLength(50);
    expect(recorded.filter(({ text }) => /create|alter/i.test(text))).toEqual([]);
  });

  it("gives the app role nothing on partitions, which have the policies of their table", async () => {
    const { rows } = await ownerPool.query<{ name: string; secured: boolean; policies: number; granted: boolean }>(
      `select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as secured,
         (select count(*)::int4 from pg_policy where polrelid = c.oid) as policies,
         has_table_privilege('langchain_pgvector_app', c.oid, 'select') as granted
       from pg_partition_tree('parted') p join pg_class c on c.oid = p.relid where p.isleaf`,
    );
    expect(rows).toEqual([{ name: "parted_default", secured: true, policies: 2, granted: false }]);
    const direct = await errorOf(appPool.query("select * from parted_default"));
    expect(direct.message).toMatch(/permission denied/);
  });

  it("builds an index of each partition, and again does nothing", async () => {
    const indexes = async (): Promise<unknown[]> =>
      (
        await ownerPool.query(
          `select c.relname, c.relkind, i.indisvalid, i.indexrelid::int8 from pg_index i join pg_class c on c.oid = i.indexrelid
           where c.relname like 'parted%hnsw%' order by 1`,
        )
      ).rows;
    const before = await indexes();
    expect(before).toMatchObject([
      { relname: "parted_default_embedding_hnsw_idx", relkind: "i", indisvalid: true },
      { relname: "parted_embedding_hnsw_idx", relkind: "I", indisvalid: true },
    ]);
    await owner.createHnswIndex();
    expect(await indexes()).toEqual(before);
  });

  it("upserts, reads, deletes and expires", async () => {
    const view = app.forTenant("writer");
    await view.addDocuments(notes("writer", 20));
    await view.addDocuments([new Document({ id: "3", pageContent: "changed", metadata: { i: 99 } })]);
    expect((await view.getByIds(["3"]))[0]?.pageContent).toBe("changed");
    await view.delete({ ids: ["1"] });
    await view.delete({ filter: { i: { $lt: 3 } } });
    expect(await view.expire({ filter: { i: 99 } })).toBe(1);
    expect(await view.get({ limit: 100 })).toHaveLength(16);
    expect((await view.search("writer 7", { k: 1 }))[0]?.document.id).toBe("7");
  });

  it("keeps tenants: list, export, import, suspend, delete", async () => {
    await owner.tenants.create("copy");
    expect(await owner.tenants.import("copy", owner.tenants.export("small"))).toBe(50);
    const list = await owner.tenants.list();
    expect(list.find(({ tenantId }) => tenantId === "copy")).toMatchObject({ rows: 50, state: "active" });
    await owner.tenants.suspend("copy");
    expect(await app.forTenant("copy").get()).toEqual([]);
    expect((await errorOf(app.forTenant("copy").addDocuments(notes("copy", 1)))).name).toBe("TenantIsolationError");
    expect((await owner.tenants.delete("copy")).deleted).toBe(50);
    expect((await ownerPool.query("select from pg_class where relname like 'parted%copy%'")).rows).toEqual([]);
  });

  it("has nothing for linter and doctor to find", async () => {
    expect(await lintTenancy({ pool: ownerPool, tableName: "parted" })).toEqual([]);
    const { layout } = resolveOptions({ ...config, pool: ownerPool });
    const { findings } = await examine(new Database(ownerPool), layout);
    expect(findings.filter(({ page }) => /(schema|tenancy|indexes)\.md/.test(page))).toEqual([]);
  });

  it("keeps tenants apart under attack", async () => {
    const report = await runLeakSuite({
      connectionString: database.appUrl,
      adminConnectionString: database.ownerUrl,
      operations: 1_500,
      tenants: 40,
      seed: 5,
      partitioned: true,
    });
    expect(report).toMatchObject({
      leakedRows: 0,
      crossTenantWrites: 0,
      leakedErrorBytes: 0,
      unexpected: 0,
      findings: [],
    });
  });
});

import { afterAll, beforeAll, expect, it } from "vitest";
import { adopt, planAdopt, PostgresVectorStore } from "../../src/index.js";
import { baseStore, DistinctEmbeddings, sampleDocuments, tableState } from "../helpers/base-tables.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";

describeServer("adopting a table with a tenant key in its metadata", () => {
  const embeddings = new DistinctEmbeddings(16);
  let database: ServerTestDatabase;

  beforeAll(async () => {
    database = await openServerDatabase();
  });
  afterAll(() => database.close());

  const fill = async (tableName: string, collections: boolean): Promise<void> => {
    const { documents, ids } = sampleDocuments(60);
    const tagged = documents.map((document, index) => ({
      ...document,
      metadata: { ...document.metadata, customer: index % 3 === 0 ? 7 : `c${index % 3}` },
    }));
    for (const name of collections ? ["one", "two"] : [undefined]) {
      const config = { pool: database.newPool(), tableName };
      const base = await baseStore(
        embeddings,
        name === undefined
          ? config
          : {
              ...config,
              collectionTableName: `${tableName}_names`,
              collectionName: name,
              collectionMetadata: { name },
            },
        16,
      );
      const half = name === "two" ? tagged.slice(30) : collections ? tagged.slice(0, 30) : tagged;
      await base.addDocuments(half, { ids: name === "two" ? ids.slice(30) : ids.slice(0, half.length) });
    }
  };

  it("gives each tenant its rows and closes the table to everyone else", async () => {
    await fill("shop", false);
    const config = { pool: database.pool, tableName: "shop", tenancy: "rls" as const, tenantKey: "customer" };
    const plan = await planAdopt(config);
    expect(plan.steps.map((step) => step.name)).toEqual(expect.arrayContaining(["chunks", "tenancy", "grants"]));
    const report = await adopt(config);
    expect(report).toMatchObject({ outcome: "adopted", rows: 60, steps: plan.steps });
    const store = await PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName: "shop",
      tenancy: "rls",
    });
    for (const tenant of [7, "c1", "c2"]) {
      const rows = await store.forTenant(tenant).get();
      expect(rows.map((row) => row.metadata!["customer"])).toEqual(Array(20).fill(tenant));
    }
    expect(await store.forTenant("default").get()).toEqual([]);
    expect((await store.tenants.list()).map(({ tenantId, rows }) => [tenantId, rows])).toEqual([
      ["7", 20],
      ["c1", 20],
      ["c2", 20],
    ]);
  });

  it("keeps collections apart within each tenant, with their metadata", async () => {
    await fill("shelves", true);
    const names = { pool: database.pool, tableName: "shelves", collectionTableName: "shelves_names" };
    await adopt({ ...names, tenancy: "rls", tenantKey: "customer" });
    const counts = await Promise.all(
      ["one", "two"].map(async (collectionName) => {
        const store = new PostgresVectorStore(embeddings, { ...names, collectionName, tenancy: "rls", tenantId: "c1" });
        const { rows } = await store.pool.query("select cmetadata from shelves_names where name = $1", [
          collectionName,
        ]);
        return [(await store.get()).length, rows];
      }),
    );
    expect(counts).toEqual([
      [10, [{ cmetadata: { name: "one" } }]],
      [10, [{ cmetadata: { name: "two" } }]],
    ]);
  });

  it("refuses rows that do not say their tenant, and leaves the table alone", async () => {
    await fill("gaps", false);
    const pool = database.newPool();
    await pool.query("update gaps set metadata = metadata - 'customer' where metadata ->> 'index' = '5'");
    const before = await tableState(pool, "gaps");
    const error = await errorOf(
      adopt({ pool: database.pool, tableName: "gaps", tenancy: "rls", tenantKey: "customer" }),
    );
    expect(error.name).toBe("SchemaDriftError");
    expect(error.message).toContain('1 rows of "gaps"');
    expect(await tableState(pool, "gaps")).toEqual(before);
    const off = await errorOf(adopt({ pool: database.pool, tableName: "gaps", tenantKey: "customer" }));
    expect(off.name).toBe("ConfigurationError");
  });
});

import { afterAll, beforeAll, expect, it } from "vitest";
import {
  lintTenancy,
  PostgresVectorStore,
  TenantIsolationError,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { ModelEmbeddings } from "../helpers/model-embeddings.js";

const old = new ModelEmbeddings("old", 16);
const next = new ModelEmbeddings("next", 24);
const documents = (tenant: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    id: String(index),
    pageContent: `${tenant} keeps thing ${index}`,
    metadata: {},
  }));

describeServer("changing the model under row-level security", () => {
  let database: ServerTestDatabase;

  beforeAll(async () => {
    database = await openServerDatabase();
  });
  afterAll(() => database.close());

  const open = (user: "owner" | "app", args: Partial<PostgresVectorStoreArgs>, embeddings = old) =>
    PostgresVectorStore.initialize(embeddings, {
      pool: database.newPool({ connectionString: user === "owner" ? database.ownerUrl : database.appUrl }),
      tenancy: "rls",
      embedders: { [next.fingerprint]: next },
      ...testSchema(),
      ...args,
    });

  it("is done by the owner, who sees no rows, tenant by tenant; tenants and their logins go on meanwhile", async () => {
    const tableName = "rls_models";
    const owner = await open("owner", { tableName, tenantId: "a" });
    const app = await open("app", { tableName });
    const tenants = ["a", "b", "c"];
    for (const [index, tenant] of tenants.entries()) {
      await app.forTenant(tenant).addDocuments(documents(tenant, 5 + index));
    }
    expect(await errorOf(app.models.status())).toBeInstanceOf(TenantIsolationError);
    await owner.models.add({ embeddings: next });
    await app.forTenant("a").addDocuments([{ id: "new", pageContent: "a keeps more", metadata: {} }]);
    const result = await owner.models.backfill({ maxSlowdown: false });
    expect(result).toMatchObject({ filled: 18, missing: 0, state: "ready" });
    const findings = await lintTenancy({
      pool: database.newPool({ connectionString: database.appUrl }),
      tableName,
      ...testSchema(),
    });
    expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
    expect(findings.map(({ code }) => code)).toEqual([]);

    // One tenant first.
    await owner.models.override("b", 2);
    const length = async (tenant: string) =>
      (await app.forTenant(tenant).search("keeps thing 1", { k: 1, includeEmbeddings: true }))[0]!.embedding!.length;
    expect([await length("a"), await length("b"), await length("c")]).toEqual([16, 24, 16]);
    await owner.models.override("b", undefined);
    expect(await length("b")).toBe(16);
    await owner.models.override("b", 2);
    await owner.models.cutover();
    expect([await length("a"), await length("b"), await length("c")]).toEqual([24, 24, 24]);
    for (const tenant of tenants) {
      const found = await app.forTenant(tenant).search("keeps thing", { k: 50 });
      expect(found.every(({ document }) => document.pageContent.startsWith(tenant))).toBe(true);
    }
    await owner.models.retire({ version: 1 });
    expect(await length("a")).toBe(24);
    await owner.tenants.delete("b");
    expect((await owner.tenants.list()).map(({ tenantId }) => tenantId)).toEqual(["a", "c"]);
  });
});

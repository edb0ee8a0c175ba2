import { afterAll, beforeAll, expect, it } from "vitest";
import {
  lintTenancy,
  PostgresVectorStore,
  TenantIsolationError,
  UnknownModelError,
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

  it("an export goes on with the vectors that it began with, until their version is retired", async () => {
    const owner = await open("owner", { tableName: "rls_models_export", tenantId: "a" });
    await owner.addDocuments(documents("a", 6));
    await owner.addDocuments([{ id: "9", pageContent: "a keeps the last thing", metadata: {} }]);
    const chunks: { content: string; embedding: ArrayLike<number> | null }[] = [];
    const exporting = async (change: (chunk: number) => Promise<unknown>): Promise<void> => {
      chunks.length = 0;
      for await (const record of owner.tenants.export("a", { pageRows: 2 })) {
        if (record.type !== "chunk") continue;
        const { content, embedding } = record;
        if (embedding !== null && !("indices" in embedding)) chunks.push({ content, embedding });
        await change(chunks.length);
      }
    };
    await exporting(async (chunk) => {
      if (chunk === 2) await owner.models.add({ embeddings: next });
      if (chunk === 3) await owner.models.backfill({ maxSlowdown: false });
      if (chunk === 5) await owner.models.cutover();
    });
    expect(chunks).toHaveLength(7);
    for (const { content, embedding } of chunks) {
      expect(Array.from(embedding!)).toEqual(Array.from(Float32Array.from(old.vectorOf(content))));
    }
    await owner.models.rollback();
    const retired = exporting(async (chunk) => {
      if (chunk === 2) await owner.models.cutover({ version: 2 });
      if (chunk === 4) await owner.models.retire({ version: 1 });
    });
    const error = await errorOf(retired);
    expect(error).toBeInstanceOf(UnknownModelError);
    expect(error.message).toMatch(/version 1 .* was retired while it ran; begin a new export/);
  });
});

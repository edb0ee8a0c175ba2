import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import type pg from "pg";
import { Document } from "@langchain/core/documents";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore, TenantIsolationError, type PostgresVectorStoreArgs } from "../../src/index.js";
import { bulkItems } from "../helpers/bulk-items.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 8;
const embeddings = new HashedEmbeddings(DIMENSIONS);

describeServer("a bulk load by roles and drivers that may less", () => {
  let database: ServerTestDatabase;
  let admin: pg.Pool;
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    admin = database.newPool();
  });

  afterAll(() => database.close());

  const argsOf = (args: PostgresVectorStoreArgs = {}): PostgresVectorStoreArgs => ({
    pool: admin,
    tableName: `load_roles_${(tables += 1)}`,
    ...testSchema(),
    ...args,
  });
  const open = (args: PostgresVectorStoreArgs): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, args);

  it("works for a login that row-level security binds", async () => {
    const args = argsOf({ tenancy: "rls", tenantId: "a" });
    await open(args);
    const store = await open({ ...args, pool: database.newPool({ connectionString: database.appUrl, max: 1 }) });
    const result = await store.bulkLoad(bulkItems(500, DIMENSIONS), { batchRows: 40, checkpoint: "c" });
    expect(result).toMatchObject({ rows: 500, path: "staging" });
    expect(await store.get({ limit: 1_000 })).toHaveLength(500);
    expect(await store.forTenant("b").get()).toEqual([]);
  });

  it("works where temporary tables are not allowed", async () => {
    const args = argsOf({ tenancy: "rls", tenantId: "a" });
    await open(args);
    const name = new URL(database.url).pathname.slice(1);
    const roles = `public, ${["langchain_pgvector_app", "langchain_pgvector_owner", new URL(database.appUrl).username].map((role) => `"${role}"`).join(", ")}`;
    await admin.query(`revoke temporary on database "${name}" from ${roles}`);
    try {
      for (const [url, path] of [
        [database.appUrl, "arrays"],
        [database.url, "arrays"],
      ] as const) {
        const store = await open({ ...args, pool: database.newPool({ connectionString: url }) });
        expect(await store.bulkLoad(bulkItems(300, DIMENSIONS), { batchRows: 40 })).toMatchObject({ rows: 300, path });
      }
      const half = await open(argsOf({ tenancy: "rls", tenantId: "a", storageType: "halfvec" }));
      expect(await half.bulkLoad(bulkItems(300, DIMENSIONS))).toMatchObject({ rows: 300, path: "arrays" });
    } finally {
      await admin.query(`grant temporary on database "${name}" to public`);
    }
  });

  it("works through a driver that cannot compose protocol messages", async () => {
    const pool = {
      connect: async () => {
        const client = await admin.connect();
        return {
          query: (request: { text: string; values?: unknown[] }) => client.query(request.text, request.values),
          release: (destroy?: boolean | Error) => client.release(destroy),
        };
      },
      end: () => Promise.resolve(),
    };
    const store = await open(argsOf({ pool: pool as NonNullable<PostgresVectorStoreArgs["pool"]> }));
    expect(await store.bulkLoad(bulkItems(300, DIMENSIONS))).toMatchObject({ rows: 300, path: "arrays" });
    expect(await store.get({ limit: 1_000 })).toHaveLength(300);
  });

  it("is refused to a suspended tenant, and stops when the tenant is suspended meanwhile", async () => {
    const store = await open(argsOf({ tenancy: "rls" }));
    await store.tenants.create("a");
    await store.tenants.suspend("a");
    const error = await errorOf(store.forTenant("a").bulkLoad(bulkItems(100, DIMENSIONS)));
    expect(error).toBeInstanceOf(TenantIsolationError);
    expect(error.message).toContain("suspended");
    await store.tenants.resume("a");
    let suspending: Promise<void> | undefined;
    const load = store.forTenant("a").bulkLoad(bulkItems(200_000, DIMENSIONS), {
      batchRows: 500,
      onProgress: () => {
        suspending ??= store.tenants.suspend("a");
      },
    });
    expect((await errorOf(load)).message).toContain("suspended");
    await suspending;
    await store.tenants.resume("a");
    const { rows } = await store.forTenant("a").pool.query(`select count(*)::int as n from ${store.computedTableName}`);
    expect(rows[0].n % 500).toBe(0);
  });

  it("takes no more memory for more rows", async () => {
    const dimensions = 256;
    const store = await PostgresVectorStore.initialize(
      new HashedEmbeddings(dimensions),
      argsOf({ tenancy: "rls", tenantId: "a" }),
    );
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    /** Peak in bytes of what is reachable while so many rows are loaded. */
    const peakOf = async (rows: number): Promise<number> => {
      let peak = 0;
      let batches = 0;
      const options = { batchRows: 500, vacuum: false };
      await store.bulkLoad(bulkItems(rows, dimensions), {
        ...options,
        onProgress: () => {
          batches += 1;
          if (batches % 5 !== 0) return;
          // Array buffers are freed on another thread, for which the second one waits.
          collect();
          collect();
          const { heapUsed, arrayBuffers } = process.memoryUsage();
          peak = Math.max(peak, heapUsed + arrayBuffers);
        },
      });
      return peak;
    };
    await peakOf(2_000);
    const few = await peakOf(10_000);
    const many = await peakOf(60_000);
    // The additional vectors alone are 51 MB.
    expect(many - few).toBeLessThan(10 * 2 ** 20);
    expect(many / few).toBeLessThan(1.2);
  });

  it.each(["vector", "halfvec"] as const)("stores any %s, text and metadata as they are", async (storageType) => {
    const store = await open(argsOf({ storageType }));
    const other = await open(argsOf({ storageType }));
    const item = fc.record({
      id: fc.string({ unit: "grapheme", minLength: 1, maxLength: 10 }),
      pageContent: fc.string({ unit: "binary", maxLength: 200 }),
      metadata: fc.dictionary(fc.string(), fc.jsonValue()),
      embedding: fc
        .array(fc.double({ min: -60_000, max: 60_000, noNaN: true }), { minLength: DIMENSIONS, maxLength: DIMENSIONS })
        .map((vector) => vector.with(0, 1)),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(item, { selector: ({ id }) => id.replaceAll("\0", ""), maxLength: 20 }),
        async (items) => {
          const usable = items.filter(({ id }) => !id.includes("\0"));
          const documents = usable.map(({ id, pageContent, metadata }) => new Document({ id, pageContent, metadata }));
          await store.bulkLoad(
            documents.map((document, i) => ({ document, embedding: usable[i]!.embedding })),
            {
              batchRows: 3,
              vacuum: false,
            },
          );
          await other.addVectors(
            usable.map(({ embedding }) => embedding),
            documents,
          );
        },
      ),
      { numRuns: 40 },
    );
    const all = { limit: 10_000, include: ["documents", "metadatas", "embeddings"] } as const;
    expect(await store.get({ ...all, include: [...all.include] })).toEqual(
      await other.get({ ...all, include: [...all.include] }),
    );
  });
});

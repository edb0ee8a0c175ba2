import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries, type RecordedQuery } from "../helpers/recorded-queries.js";
import { vectorSpace } from "../helpers/vector-space.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 64;
const NOTE = /^langchain-pgvector: efSearch (\d+), recall@10 (0\.99\d|1\.000) in (\d+) searches$/;

describeServer("the recall of an index, measured when it is built", () => {
  const space = vectorSpace({ dimensions: DIMENSIONS });
  const next = space(2);
  const embeddings = new HashedEmbeddings(DIMENSIONS);
  let database: ServerTestDatabase;
  let ownerPool: pg.Pool;
  let recorded: RecordedQuery[];
  let owner: PostgresVectorStore;
  let pool: pg.Pool;

  beforeAll(async () => {
    database = await openServerDatabase();
    const config = { tableName: "measured", tenancy: "rls" } as const;
    // One connection: measuring must not need a second one while it holds the first.
    ownerPool = database.newPool({ connectionString: database.ownerUrl, max: 1 });
    owner = await PostgresVectorStore.initialize(embeddings, { ...config, pool: ownerPool });
    const draw = space(1);
    for (const [tenant, rows] of [
      ["large", 12_000],
      ["own", 4_000],
      ["small", 100],
    ] as const) {
      const documents = Array.from({ length: rows }, (_, i) => ({ id: String(i), pageContent: "", metadata: {} }));
      await owner.forTenant(tenant).addVectors(documents.map(draw), documents);
    }
    pool = database.newPool({ connectionString: database.appUrl });
    recorded = recordQueries(pool);
  });

  afterAll(() => database.close());

  async function notes(table: string): Promise<Record<string, string | null>> {
    const { rows } = await ownerPool.query<{ name: string; note: string | null }>(
      `select c.relname as name, obj_description(c.oid, 'pg_class') as note from pg_index i
       join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam and a.amname = 'hnsw'
       where i.indrelid = $1::regclass`,
      [table],
    );
    return Object.fromEntries(rows.map(({ name, note }) => [name, note]));
  }

  async function settingsOf(tenant: string, efSearch?: number): Promise<RecordedQuery["settings"]> {
    // A new store, since one that is open learns of new indexes within a minute.
    const store = await PostgresVectorStore.initialize(embeddings, { tableName: "measured", tenancy: "rls", pool });
    await store.forTenant(tenant).search(Array.from(next()), { k: 10, ...(efSearch !== undefined && { efSearch }) });
    return recorded.findLast(({ text }) => text.includes(":search"))!.settings;
  }

  it("is noted on the index, and decides how many candidates searches take", async () => {
    await owner.createHnswIndex();
    const note = (await notes("measured"))["measured_embedding_hnsw_idx"]!;
    expect(note).toMatch(NOTE);
    const [, efSearch, , searches] = NOTE.exec(note)!;
    expect(Number(searches)).toBeGreaterThanOrEqual(20);
    expect(Number(efSearch)).toBeLessThan(1_000);
    const used = Number((await settingsOf("large"))["hnsw.ef_search"]);
    // The tenant has three quarters of the rows: four candidates for each of ten hits, and a third more.
    expect(used).toBeGreaterThanOrEqual(Math.max(Number(efSearch), 50));
    expect(used).toBeLessThanOrEqual(Math.max(Number(efSearch), 60));
    expect((await settingsOf("large", 321))["hnsw.ef_search"]).toBe("321");
  });

  it("is another for a tenant's own index, which its searches use and nobody else's", async () => {
    await owner.createHnswIndex({ tenantId: "own" });
    expect((await notes("measured"))["measured_embedding_own_hnsw_idx"]).toMatch(NOTE);
    const settings = await settingsOf("own");
    expect(Number(settings["hnsw.ef_search"])).toBeLessThan(200);
    // All that the index holds is the tenant's: nothing can be missed for want of rows of others.
    expect(settings["hnsw.iterative_scan"]).toBeUndefined();
    expect((await settingsOf("large"))["hnsw.iterative_scan"]).toBe("relaxed_order");
    expect((await settingsOf("small"))["enable_indexscan"]).toBe("off");
  });

  it("is left out when it is not wanted, or too few rows would use the index", async () => {
    await owner.createHnswIndex({ namespace: "plain", targetRecall: false });
    await owner.createHnswIndex({ tenantId: "small" });
    expect(await notes("measured")).toMatchObject({
      plain_measured_embedding_hnsw_idx: null,
      measured_embedding_small_hnsw_idx: null,
    });
  });

  it("refuses what cannot be, before anything is built", async () => {
    const refused = (config: object): Promise<Error> => errorOf(owner.createHnswIndex({ namespace: "no", ...config }));
    for (const targetRecall of [0, 1.1, Number.NaN]) {
      expect((await refused({ targetRecall })).message).toMatch(/targetRecall must be false or above 0/);
    }
    expect((await refused({ tenantId: "" })).name).toBe("ConfigurationError");
    const single = await PostgresVectorStore.initialize(embeddings, { pool: ownerPool, tableName: "single" });
    expect((await errorOf(single.createHnswIndex({ tenantId: "a" }))).message).toMatch(/tenantId needs tenancy/);
    expect(Object.keys(await notes("measured")).some((name) => name.startsWith("no_"))).toBe(false);
  });
});

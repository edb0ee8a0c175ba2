import { Document } from "@langchain/core/documents";
import type { Pool as PgPool } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { recordQueries, type RecordedQuery } from "../helpers/recorded-queries.js";
import { vectorSpace } from "../helpers/vector-space.js";
import { exactNearest, HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 64;
const LARGE = 8_000;
const SMALL = 60;
const QUERIES = 100;

describeServer("searches of a table partitioned by tenant", () => {
  let database: ServerTestDatabase;
  let ownerPool: PgPool;
  let appPool: PgPool;
  let recorded: RecordedQuery[];
  let owner: PostgresVectorStore;
  let store: PostgresVectorStore;
  let partition = "";
  const vectors: Record<string, number[][]> = {};
  const space = vectorSpace({ dimensions: DIMENSIONS });
  const draw = (stream: number, count: number): number[][] => {
    const next = space(stream);
    return Array.from({ length: count }, () => Array.from(next()));
  };
  const queries = draw(99, QUERIES);

  beforeAll(async () => {
    database = await openServerDatabase();
    ownerPool = database.newPool({ connectionString: database.ownerUrl });
    appPool = database.newPool({ connectionString: database.appUrl });
    recorded = recordQueries(appPool);
    const config = { tableName: "found", tenancy: "rls", dimensions: DIMENSIONS } as const;
    const embeddings = new HashedEmbeddings(DIMENSIONS);
    owner = await PostgresVectorStore.initialize(embeddings, { ...config, pool: ownerPool, partitions: "by-tenant" });
    store = await PostgresVectorStore.initialize(embeddings, { ...config, pool: appPool });
    const sizes = {
      own: LARGE,
      shared: LARGE,
      ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`s${i}`, SMALL])),
    };
    for (const [stream, [tenant, rows]] of Object.entries(sizes).entries()) {
      vectors[tenant] = draw(stream, rows);
      const documents = vectors[tenant].map(
        (_, i) => new Document({ id: String(i), pageContent: `${tenant} ${i}`, metadata: { percent: i % 100 } }),
      );
      await store.forTenant(tenant).addVectors(vectors[tenant], documents);
    }
    await owner.createHnswIndex();
    ({ partition } = await owner.tenants.isolate("own", { vacuum: false }));
    await owner.tenants.isolate("s0", { vacuum: false });
    // As another process would know it.
    store = await PostgresVectorStore.initialize(embeddings, { ...config, pool: appPool });
  });
  afterAll(() => database.close());

  it("the index of a partition is measured, whether it was built with the others or for a tenant that moved", async () => {
    const { rows } = await ownerPool.query<{ note: string | null }>(
      `select obj_description(i.indexrelid, 'pg_class') as note from pg_index i
       join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam and a.amname = 'hnsw'
       where i.indrelid in ($1::regclass, 'found_default'::regclass)`,
      [partition],
    );
    expect(rows).toHaveLength(2);
    for (const { note } of rows)
      expect(note).toMatch(/^langchain-pgvector: efSearch \d+, recall@10 0?1?\.\d+ in \d+ searches$/);
  });

  /** The last search that `call` ran, planned again as the app role in its scope, with the time that planning took. */
  async function planOf(tenant: string, filter?: object): Promise<string> {
    await store.forTenant(tenant).search(queries[0]!, { k: 10 });
    recorded.length = 0;
    await store.forTenant(tenant).search(queries[0]!, { k: 10, ...(filter && { filter }) });
    const query = recorded.find(({ text }) => text.includes("langchain-pgvector:search "))!;
    const client = await appPool.connect();
    try {
      await client.query("begin");
      for (const [name, value] of Object.entries({ ...query.settings, "app.current_tenant": tenant })) {
        await client.query("select set_config($1, $2, true)", [name, value]);
      }
      const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain (costs off) ${query.text}`, [
        ...query.values,
      ]);
      return rows.map((row) => row["QUERY PLAN"]).join("\n");
    } finally {
      await client.query("rollback");
      client.release();
    }
  }

  it("prunes to a tenant's own partition when it plans, and uses the vector index there", async () => {
    const plan = await planOf("own");
    expect(plan).toContain(`Index Scan using ${partition}_embedding_hnsw_idx on ${partition}`);
    expect(plan).not.toContain("found_default");
    // Pruning at run time would show as removed sub-plans.
    expect(plan).not.toMatch(/Subplans Removed|Append/);
    expect(plan).toMatch(/One-Time Filter: .*current_setting/);
  });

  it("prunes to the shared partition for a large tenant there, and uses its vector index", async () => {
    const plan = await planOf("shared");
    expect(plan).toContain("Index Scan using found_default_embedding_hnsw_idx on found_default");
    expect(plan).not.toContain(partition);
    expect(plan).not.toContain("Append");
  });

  it.each(["s0", "s7"])("searches the small tenant %s exactly, by its key", async (tenant) => {
    const plan = await planOf(tenant);
    expect(plan).not.toContain("hnsw");
    if (tenant === "s7") expect(plan).toContain("found_default_pkey");
    expect(plan).not.toContain("Append");
  });

  it.each([
    ["own", undefined],
    ["own", 1],
    ["shared", undefined],
    ["shared", 1],
    ["s0", undefined],
    ["s7", undefined],
  ])("recall@10 of %s with a filter that keeps %s % is at least 0.99", async (tenant, percent) => {
    const all = vectors[tenant]!.map((vector, id) => ({ vector, id }));
    const kept = percent === undefined ? all : all.filter(({ id }) => id % 100 < percent);
    let found = 0;
    for (const query of queries) {
      const ranked = exactNearest(
        query,
        kept.map(({ vector }) => vector),
        10,
      );
      const nearest = new Set(ranked.map((position) => String(kept[position]!.id)));
      const options = { k: 10, ...(percent !== undefined && { filter: { percent: { $lt: percent } } }) };
      const hits = await store.forTenant(tenant).search(query, options);
      expect(hits).toHaveLength(10);
      found += hits.filter(({ document }) => nearest.has(document.id!)).length;
    }
    expect(found / (10 * QUERIES)).toBeGreaterThanOrEqual(0.99);
  });

  it("knows of a partition that came after it was opened", async () => {
    await store.forTenant("shared").search(queries[0]!, { k: 10 });
    const { partition: later } = await owner.tenants.isolate("shared", { vacuum: false });
    expect(await store.forTenant("shared").search(queries[0]!, { k: 10 })).toHaveLength(10);
    expect(await owner.forTenant("shared").search(queries[0]!, { k: 10 })).toHaveLength(10);
    const { rows } = await ownerPool.query<{ indexes: number }>(
      "select count(*)::int4 as indexes from pg_inherits where inhparent = 'found_embedding_hnsw_idx'::regclass",
    );
    expect(rows).toEqual([{ indexes: 4 }]);
    expect(later).not.toBe(partition);
  });
});

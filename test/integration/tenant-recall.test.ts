import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Document } from "@langchain/core/documents";
import { PostgresVectorStore, type Filter } from "../../src/index.js";
import { describeServer, openServerDatabase, testSchema } from "../helpers/database.js";
import type { ServerTestDatabase } from "../helpers/open-database.js";
import { vectorSpace } from "../helpers/vector-space.js";
import { HashedEmbeddings, recall, seededRandom } from "../helpers/vectors.js";

const DIMENSIONS = 64;
const K = 10;
const QUERIES = 100;
const BUCKETS = 100;
const BATCH = 250;

/** 200 tenants: the four sizes that are asked, and 196 more of 100 rows. */
const SIZES = new Map([
  ["rows-40000", 40_000],
  ["rows-10000", 10_000],
  ["rows-1000", 1_000],
  ["rows-100", 100],
  ...Array.from({ length: 196 }, (_, index): [string, number] => [`other-${index}`, 100]),
]);

describeServer("recall by size of the tenant, in one table of 200 tenants", () => {
  const space = vectorSpace({ dimensions: DIMENSIONS });
  const next = space(2);
  const queries = Array.from({ length: QUERIES }, () => Array.from(next()));
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let store: PostgresVectorStore;

  beforeAll(async () => {
    database = await openServerDatabase();
    // One connection, so that its statistics can be asked for when a search has ended.
    pool = database.newPool({ max: 1 });
    store = await PostgresVectorStore.initialize(new HashedEmbeddings(DIMENSIONS), {
      pool,
      tableName: "recall",
      tenancy: "rls",
      ...testSchema(),
    });
    const random = seededRandom(3);
    const draw = space(1);
    // Batches of all tenants in turn, as a table that many of them write to grows.
    const batches = [...SIZES].flatMap(([tenant, rows]) =>
      Array.from({ length: Math.ceil(rows / BATCH) }, (_, batch) => ({ tenant, rows, start: batch * BATCH })),
    );
    const shuffled = batches.map((batch) => ({ batch, place: random() })).toSorted((a, b) => a.place - b.place);
    for (const { batch } of shuffled) {
      const ids = Array.from({ length: Math.min(BATCH, batch.rows - batch.start) }, (_, i) => String(batch.start + i));
      const metadata = (): { bucket: number } => ({ bucket: Math.floor(random() * BUCKETS) });
      const documents = ids.map((id) => new Document({ id, pageContent: `chunk ${id}`, metadata: metadata() }));
      await store.forTenant(batch.tenant).addVectors(documents.map(draw), documents);
    }
    await store.createHnswIndex();
  });

  afterAll(() => database.close());

  /** Ids of the nearest rows as the superuser finds them, row by row. */
  async function exact(tenant: string, query: number[], condition: string): Promise<string[]> {
    const { rows } = await pool.query<{ id: string }>(
      `select id from ${store.computedTableName} where tenant_id = $1 and ${condition}
       order by (embedding <=> $2) + 0, id limit ${K}`,
      [tenant, `[${query.join(",")}]`],
    );
    return rows.map((row) => row.id);
  }

  async function meanRecall(tenant: string, filter?: { sql: string; ours: Filter }): Promise<number> {
    const view = store.forTenant(tenant);
    let total = 0;
    for (const query of queries) {
      const wanted = await exact(tenant, query, filter?.sql ?? "true");
      const hits = await view.search(query, { k: K, filter: filter?.ours });
      expect(hits).toHaveLength(wanted.length);
      total += recall(
        hits.map((hit) => hit.document.id),
        wanted,
      );
    }
    return total / QUERIES;
  }

  const sizes = [100, 1_000, 10_000, 40_000];

  test.each(sizes)("%i rows", async (rows) => {
    expect(await meanRecall(`rows-${rows}`)).toBeGreaterThanOrEqual(0.99);
  });

  test.each(sizes)("%i rows, of which a filter keeps one in a hundred", async (rows) => {
    const filter = { sql: `metadata @> '{"bucket":7}'`, ours: { bucket: 7 } };
    expect(await meanRecall(`rows-${rows}`, filter)).toBeGreaterThanOrEqual(0.99);
  });

  test.each(sizes)("%i rows, of which a filter keeps one in five", async (rows) => {
    const filter = { sql: "(metadata ->> 'bucket')::int < 20", ours: { bucket: { $lt: 20 } } };
    expect(await meanRecall(`rows-${rows}`, filter)).toBeGreaterThanOrEqual(0.99);
  });

  async function indexScans(index = "%hnsw%"): Promise<number> {
    await pool.query("select pg_stat_force_next_flush()");
    const { rows } = await pool.query<{ scans: number }>(
      "select sum(idx_scan)::int as scans from pg_stat_user_indexes where indexrelname like $1",
      [index],
    );
    return rows[0]!.scans;
  }

  test("the large tenant is served by the index, the small one and a few rows of the large one are not", async () => {
    const scansOf = async (tenant: string, filter: Filter = {}): Promise<number> => {
      const before = await indexScans();
      await store.forTenant(tenant).search(queries[0]!, { k: K, filter });
      return (await indexScans()) - before;
    };
    expect(await scansOf("rows-100")).toBe(0);
    expect(await scansOf("rows-40000", { bucket: 7 })).toBe(0);
    expect(await scansOf("rows-40000")).toBe(1);
  });

  test("a tenant with an index of its own is served by that", async () => {
    await pool.query(
      `create index own_hnsw on ${store.computedTableName} using hnsw (embedding vector_cosine_ops)
       where tenant_id = 'rows-10000'`,
    );
    // Another process built it; a store that is opened later knows it at once.
    const later = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(DIMENSIONS), {
      pool,
      tableName: "recall",
      tenancy: "rls",
      ...testSchema(),
    });
    const all = await indexScans();
    for (let turn = 0; turn < 3; turn += 1) {
      await later.forTenant("rows-10000").search(queries[turn]!, { k: K });
      await later.forTenant("rows-40000").search(queries[turn]!, { k: K });
    }
    expect(await indexScans("own_hnsw")).toBe(3);
    expect(await indexScans()).toBe(all + 6);
    // Planned once each, although the plan of a partial index needs the tenant.
    const { rows } = await pool.query<{ custom: string }>(
      "select sum(custom_plans) as custom from pg_prepared_statements where statement like '%:search%' and statement like '%rows-10000%'",
    );
    expect(rows[0]).toEqual({ custom: "0" });
  });
});

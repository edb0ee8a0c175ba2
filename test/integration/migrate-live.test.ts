import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { PostgresVectorStore, SchemaVersionError } from "../../src/index.js";
import { CHUNKS_MIGRATIONS, type Migration } from "../../src/schema/migrations.generated.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { fixedDocuments, readModel, startTraffic } from "../helpers/tenant-traffic.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(16);
const TABLE = "migrated";
const config = { tableName: TABLE, tenancy: "rls", lexical: true } as const;

/** What a later version of the library would come with. */
const NEXT: Migration = {
  revision: 2,
  breaking: false,
  name: "0002-reviewed-at",
  sql: `alter table {{chunks}} add column reviewed_at timestamptz not null default '2026-01-01';
    alter table {{chunks}} add constraint reviewed check (reviewed_at > '2000-01-01') not valid;`,
};

describeServer("a schema migration on live traffic", () => {
  let database: ServerTestDatabase;

  beforeAll(async () => {
    database = await openServerDatabase();
  });
  afterAll(() => database.close());
  afterEach(() => {
    const at = CHUNKS_MIGRATIONS.indexOf(NEXT);
    if (at >= 0) (CHUNKS_MIGRATIONS as Migration[]).splice(at, 1);
  });

  const openApp = (): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, {
      ...config,
      pool: database.newPool({ connectionString: database.appUrl }),
    });

  it("waits for a long transaction without holding anybody up, fails nothing and loses nothing", async () => {
    const ownerPool = database.newPool({ connectionString: database.ownerUrl });
    await PostgresVectorStore.initialize(embeddings, { ...config, pool: ownerPool });
    const before = await openApp();
    const view = before.forTenant("acme");
    await view.addDocuments(fixedDocuments("acme", 50));
    const stop = new AbortController();
    const { traffic, done } = startTraffic(view, await readModel(view), { workers: 2, stop: stop.signal });
    const further = async (calls: number): Promise<void> => {
      const [reads, writes] = [traffic.reads + calls, traffic.writes + calls];
      await vi.waitUntil(() => traffic.reads >= reads && traffic.writes >= writes, { timeout: 60_000 });
    };
    await further(5);

    const holder = await database.newPool({ max: 1 }).connect();
    await holder.query(`begin; select 1 from ${TABLE} limit 1`);
    (CHUNKS_MIGRATIONS as Migration[]).push(NEXT);
    // Until the owner has migrated, the application's role opens nothing new, and says why.
    expect(await errorOf(openApp())).toBeInstanceOf(SchemaVersionError);
    const migrating = database.newPool({ connectionString: database.ownerUrl });
    const queries = recordQueries(migrating);
    const migration = PostgresVectorStore.initialize(embeddings, { ...config, pool: migrating });
    const attempts = (): number => queries.filter(({ text }) => text.includes("chunks/0002")).length;
    await vi.waitUntil(() => attempts() >= 2, { timeout: 60_000 });
    await further(5);
    await holder.query("commit");
    holder.release();
    await migration;
    await further(20);

    const after = await openApp();
    await after
      .forTenant("acme")
      .addDocuments([{ id: "new", pageContent: "written by the later version", metadata: {} }]);
    expect(await view.getByIds(["new"])).toMatchObject([{ id: "new" }]);
    expect(await view.search("written later version", { k: 1, searchType: "hybrid" })).toMatchObject([
      { document: { id: "new" } },
    ]);
    stop.abort();
    await done;
    expect(traffic.faults).toEqual([]);
    const rows = await readModel(view);
    rows.delete("new");
    expect(rows).toEqual(traffic.model);
    const { rows: columns } = await ownerPool.query(
      "select revision from langchain_pgvector_revisions where relation = $1 order by revision",
      [TABLE],
    );
    expect(columns).toEqual([{ revision: 1 }, { revision: 2 }]);
  }, 180_000);
});

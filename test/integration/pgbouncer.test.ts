import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { OfflineEmbeddings, PostgresVectorStore } from "../../src/index.js";
import { runLeakSuite } from "../../src/ops/leak-suite/run.js";
import { openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { findPgBouncer, startPgBouncer, type PgBouncer } from "../helpers/pgbouncer.js";

const reason =
  inject("testServer") === undefined
    ? "needs a PostgreSQL server, skipped on the embedded database"
    : findPgBouncer() === undefined
      ? "skipped: PgBouncer is not installed (Debian: apt-get install pgbouncer)"
      : undefined;

// oxlint-disable-next-line vitest/valid-describe-callback, vitest/valid-title
describe.skipIf(reason !== undefined)(`behind PgBouncer in transaction mode${reason ? ` (${reason})` : ""}`, () => {
  let database: ServerTestDatabase;
  let bouncer: PgBouncer;
  let store: PostgresVectorStore;

  beforeAll(async () => {
    database = await openServerDatabase();
    bouncer = await startPgBouncer([database.appUrl, database.ownerUrl, database.url]);
    const embeddings = new OfflineEmbeddings({ dimensions: 64 });
    const config = { tableName: "pooled", tenancy: "rls", collectionName: "docs" } as const;
    const owner = { ...config, connectionString: bouncer.through(database.ownerUrl) };
    await (await PostgresVectorStore.initialize(embeddings, owner)).end();
    const pool = database.newPool({ connectionString: bouncer.through(database.appUrl), max: 12 });
    store = await PostgresVectorStore.initialize(embeddings, { ...config, pool });
  });

  afterAll(async () => {
    await bouncer.stop();
    await database.close();
  });

  it("keeps the tenants of many clients apart on few server connections", async () => {
    const names = Array.from({ length: 12 }, (_, index) => `tenant-${index}`);
    const rounds = names.map(async (name) => {
      const view = store.forTenant(name);
      for (let round = 0; round < 8; round += 1) {
        await view.addDocuments([{ id: "same", pageContent: `${name} round ${round}`, metadata: { name } }]);
        const hits = await view.search("round", { k: 5 });
        expect(hits.map((hit) => hit.document.pageContent)).toEqual([`${name} round ${round}`]);
        expect(await view.get()).toHaveLength(1);
      }
    });
    await Promise.all(rounds);
    const connections = await database
      .newPool()
      .query<{ n: number }>(
        "select count(*)::int as n from pg_stat_activity where usename = $1 and datname = current_database()",
        [new URL(database.appUrl).username],
      );
    expect(connections.rows[0]!.n).toBeLessThanOrEqual(3);
  });

  it("leaves no tenant behind on a server connection", async () => {
    await store.forTenant("tenant-1").search("anything");
    const plain = database.newPool({ connectionString: bouncer.through(database.appUrl), max: 3 });
    const settings = await Promise.all(
      [1, 2, 3].map(() =>
        plain.query("select current_setting('app.current_tenant', true) as tenant, count(*) from pooled"),
      ),
    );
    for (const { rows } of settings) {
      expect(rows[0].tenant ?? "").toBe("");
      expect(rows[0].count).toBe("0");
    }
  });

  it("cancels a search and goes on", async () => {
    const view = store.forTenant("tenant-2");
    const controller = new AbortController();
    const searches = Array.from({ length: 6 }, () => view.search("round", { signal: controller.signal }));
    controller.abort(new Error("no more"));
    const outcomes = await Promise.allSettled(searches);
    expect(outcomes.some(({ status }) => status === "rejected")).toBe(true);
    expect(await view.search("round")).toHaveLength(1);
  });

  it("passes the leak suite", async () => {
    const report = await runLeakSuite({
      connectionString: bouncer.through(database.appUrl),
      adminConnectionString: bouncer.through(database.ownerUrl),
      poolSize: 8,
      operations: 1_000,
      tenants: 40,
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

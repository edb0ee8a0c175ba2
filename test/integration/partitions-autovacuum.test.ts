import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { prepareServer } from "../helpers/fresh-database.js";
import { findNativeBinaries, unprivilegedUser } from "../helpers/native-binaries.js";
import { startNativeServer, type NativeServer } from "../helpers/native-server.js";
import { openDatabaseOn, type ServerTestDatabase } from "../helpers/open-database.js";
import { fixedDocuments } from "../helpers/tenant-traffic.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(16);

// A server of its own, since how often autovacuum looks is a setting of the server.
describe.skipIf(findNativeBinaries(unprivilegedUser()) === undefined)(
  "moving a tenant while autovacuum is at work (needs native binaries)",
  () => {
    let server: NativeServer;
    let database: ServerTestDatabase;
    let owner: PostgresVectorStore;

    beforeAll(async () => {
      server = (await startNativeServer({ autovacuum_naptime: "1s" }))!;
      database = await openDatabaseOn({ ...(await prepareServer(server.url)), source: "native" });
      const pool = database.newPool({ connectionString: database.ownerUrl });
      const config = { tableName: "busy", tenancy: "rls" } as const;
      owner = await PostgresVectorStore.initialize(embeddings, { ...config, pool, partitions: "by-tenant" });
      const app = await PostgresVectorStore.initialize(embeddings, {
        ...config,
        pool: database.newPool({ connectionString: database.appUrl }),
      });
      await app.forTenant("big").addDocuments(fixedDocuments("big", 1_000));
      await app.forTenant("other").addDocuments(fixedDocuments("other", 1_000));
    });
    afterAll(async () => {
      await database.close();
      await server.stop();
    });

    /** Has autovacuum begin with a partition, so slowly that it would not come to an end during a test. */
    async function keepVacuuming(partition: string): Promise<void> {
      const pool = database.newPool({ max: 1 });
      await pool.query(
        `alter table ${partition} set (autovacuum_vacuum_insert_threshold = 1, autovacuum_vacuum_insert_scale_factor = 0,
           autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)`,
      );
      await pool.query("select pg_stat_force_next_flush()");
      const working = async (): Promise<number> =>
        (
          await pool.query(
            `select 1 from pg_stat_progress_vacuum p join pg_stat_activity a using (pid)
             where a.backend_type = 'autovacuum worker' and p.relid = $1::regclass`,
            [partition],
          )
        ).rows.length;
      await expect.poll(working, { timeout: 30_000, interval: 50 }).toBe(1);
    }

    it("ends the vacuum instead of giving up, both ways", async () => {
      await keepVacuuming("busy_default");
      const { moved, partition } = await owner.tenants.isolate("big", { vacuum: false });
      expect(moved).toBe(true);
      await keepVacuuming(partition);
      expect(await owner.tenants.merge("big")).toMatchObject({ moved: true, rows: 1_000 });
    }, 90_000);
  },
);

import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";
import { ModelEmbeddings } from "../helpers/model-embeddings.js";
import { startStandby, type Standby } from "../helpers/standby.js";

const DIMENSIONS = 32;
const ROWS = 60;
// Of one length, so that only the checks keep their vectors apart.
const old = (): ModelEmbeddings => new ModelEmbeddings("old", DIMENSIONS);
const next = (): ModelEmbeddings => new ModelEmbeddings("next", DIMENSIONS);
const text = (index: number): string => `planted text ${index} of ${index * 7 + 3} words ${index * index}`;

interface Reader {
  reads: number;
  failures: string[];
  stop: () => Promise<void>;
}

/** Searches for planted texts until it is stopped: each has to find itself, at no distance, in whatever version. */
function keepReading(store: PostgresVectorStore): Reader {
  const going = new AbortController();
  const reader: Reader = { reads: 0, failures: [], stop: () => Promise.resolve() };
  const loop = (async () => {
    for (let index = 0; !going.signal.aborted; index = (index + 1) % ROWS) {
      try {
        const [hit] = await store.search(text(index), { k: 1 });
        // Two texts may have one vector; a vector of the other model is never near.
        if (hit === undefined || hit.distance! > 1e-5) {
          reader.failures.push(`mixed: ${text(index)} found ${hit?.document.id} at ${hit?.distance}`);
        }
      } catch (error) {
        reader.failures.push(String(error));
      }
      reader.reads += 1;
    }
  })();
  reader.stop = () => {
    going.abort();
    return loop;
  };
  return reader;
}

async function readsMore(readers: readonly Reader[]): Promise<void> {
  const before = readers.map(({ reads }) => reads);
  while (readers.some((reader, index) => reader.reads < before[index]! + 5)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describeServer("a rolling deployment of three processes", () => {
  let database: ServerTestDatabase;
  let standby: Standby | undefined;
  const pools: pg.Pool[] = [];

  beforeAll(async () => {
    database = await openServerDatabase();
    standby = await startStandby(database.url).catch(() => undefined);
  });
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()));
    await standby?.remove();
    await database.close();
  });

  it("goes through every phase without a failed or a mixed read, on the primary and on a replica", async () => {
    const config = { tableName: "rolling", ...testSchema() };
    const both = () => ({ embedders: { [next().fingerprint]: next() } });
    const seed = await PostgresVectorStore.initialize(old(), { ...config, pool: database.newPool() });
    await seed.addDocuments(
      Array.from({ length: ROWS }, (_, index) => ({ id: String(index), pageContent: text(index), metadata: {} })),
    );
    const replica = (): pg.Pool => {
      const pool = new pg.Pool({ connectionString: standby!.at(database.url) });
      pool.on("error", () => undefined);
      pool.on("connect", (client) => void client.on("error", () => undefined));
      pools.push(pool);
      return pool;
    };
    const places = [(): pg.Pool => database.newPool(), ...(standby === undefined ? [] : [replica])];
    if (standby !== undefined) await caughtUp(replica(), database.newPool());
    const open = async (make: () => ModelEmbeddings, args: object): Promise<PostgresVectorStore[]> =>
      Promise.all(
        places.map((place) => PostgresVectorStore.fromExistingIndex(make(), { ...config, ...args, pool: place() })),
      );

    const readers = [...(await open(old, {})), ...(await open(old, both()))].map(keepReading);
    const admin = await PostgresVectorStore.initialize(old(), { ...config, ...both(), pool: database.newPool() });
    let written = ROWS;
    const write = async (): Promise<void> => {
      const id = String(10_000 + (written += 1));
      await admin.addDocuments([{ id, pageContent: `other thing ${id}`, metadata: {} }]);
    };
    await readsMore(readers);
    await admin.models.add({ embeddings: next() });
    await write();
    await readsMore(readers);
    await admin.models.backfill({ maxSlowdown: false });
    await write();
    await readsMore(readers);
    const plan = await admin.models.planCutover();
    expect(plan.objections.join()).toContain("processes lack the embedder of version 2");
    await admin.models.cutover({ force: true });
    await write();
    await readsMore(readers);
    if (standby !== undefined) await caughtUp(pools[0]!, database.newPool());
    const modern = (await open(next, {})).map(keepReading);
    await readsMore([...readers, ...modern]);
    await admin.models.rollback({ force: true });
    await write();
    await readsMore([...readers, ...modern]);
    await admin.models.cutover({ version: 2, force: true });
    await readsMore([...readers, ...modern]);
    // The processes that have the old embedder alone go before its version does.
    const ancient = readers.splice(0, places.length);
    await Promise.all(ancient.map((reader) => reader.stop()));
    await admin.models.retire({ version: 1, force: true });
    await write();
    await readsMore([...readers, ...modern]);
    await Promise.all([...readers, ...modern].map((reader) => reader.stop()));
    const all = [...ancient, ...readers, ...modern];
    expect(all.flatMap(({ failures }) => failures)).toEqual([]);
    expect(await admin.get({ limit: 1_000 })).toHaveLength(ROWS + 5);
    if (standby === undefined) console.warn("without a replica: pg_basebackup is not at hand");
  }, 180_000);
});

async function caughtUp(replica: pg.Pool, primary: pg.Pool): Promise<void> {
  // The servers of tests commit asynchronously; this one commit writes out what the others have left.
  await primary.query("begin; set local synchronous_commit = on; select pg_logical_emit_message(true, '', ''); commit");
  const { rows } = await primary.query<{ lsn: string }>("select pg_current_wal_lsn()::text as lsn");
  for (;;) {
    const found = await replica.query<{ ok: boolean }>("select pg_last_wal_replay_lsn() >= $1::pg_lsn as ok", [
      rows[0]!.lsn,
    ]);
    if (found.rows[0]!.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

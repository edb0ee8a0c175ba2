import { openPool } from "../../src/db/open-pool.js";
import { DatabaseError, PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeServer, openServerDatabase, type ServerTestDatabase, testSchema } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(4);
const documents = ["1", "2", "3"].map((id) => ({ id, pageContent: `text ${id}`, metadata: {} }));

describeServer("the life of a store", () => {
  let database: ServerTestDatabase;
  let admin: pg.Pool;

  beforeAll(async () => {
    database = await openServerDatabase();
    admin = database.newPool();
    await using store = await open("first");
    await store.addDocuments(documents);
  });

  afterAll(() => database.close());

  /** A store with a pool of its own, whose connections go by a name. */
  function open(name: string, args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> {
    return PostgresVectorStore.initialize(embeddings, { ...own(name), tableName: "living", ...testSchema(), ...args });
  }

  function own(name: string): PostgresVectorStoreArgs {
    const url = new URL(database.url);
    url.searchParams.set("application_name", name);
    return { connectionString: url.href };
  }

  async function backends(name: string): Promise<number> {
    const text = "select count(*)::int as n from pg_stat_activity where application_name = $1";
    const { rows } = await admin.query<{ n: number }>(text, [name]);
    return rows[0]!.n;
  }

  /** A backend is gone some time after its client has said goodbye. */
  async function gone(name: string): Promise<void> {
    await expect.poll(() => backends(name), { timeout: 10_000 }).toBe(0);
  }

  test("ends with the block that uses it", async () => {
    let stats: PostgresVectorStore["processStats"] | undefined;
    {
      await using store = await open("block");
      expect(await store.search("text", { k: 3 })).toHaveLength(3);
      stats = () => store.processStats();
      expect(await backends("block")).toBeGreaterThan(0);
    }
    expect(stats().pools).toMatchObject([{ used: 0, idle: 0, waiting: 0 }]);
    await gone("block");
  });

  test("gives its connections an age, at which the next call has another", async () => {
    expect(openPool({}).options.maxLifetimeSeconds).toBe(3_600);
    await using store = await open("ageing", { postgresConnectionOptions: { max: 1, maxLifetimeSeconds: 1 } });
    const pid = async (): Promise<number> => {
      expect(await store.search("text", { k: 3 })).toHaveLength(3);
      const { rows } = (await store.pool.query("select pg_backend_pid() as pid")) as { rows: { pid: number }[] };
      return rows[0]!.pid;
    };
    const first = await pid();
    await expect.poll(pid, { timeout: 20_000 }).not.toBe(first);
  });

  test("ends with the block when that throws", async () => {
    const error = await errorOf(
      (async () => {
        await using store = await open("thrown");
        await store.search("text", { k: -1 });
      })(),
    );
    expect(error.message).toContain("k must be");
    await gone("thrown");
  });

  test("ends after the calls that are under way, once however often it is asked to", async () => {
    const store = await open("graceful");
    const calls = Array.from({ length: 30 }, () => store.search("text", { k: 3 }));
    const added = store.addDocuments(documents);
    // Behind them in the queue of the pool.
    await Promise.all([...calls, added]);
    const late = store.search("text", { k: 3 });
    while (store.processStats().pools[0]!.used === 0) await new Promise(setImmediate);
    const ends = [store.end(), store.end()];
    expect(await late).toHaveLength(3);
    await Promise.all(ends);
    await store.end();
    expect(store.processStats().pools).toMatchObject([{ used: 0, idle: 0, waiting: 0 }]);
    await gone("graceful");
    expect(await errorOf(store.search("text"))).toBeInstanceOf(DatabaseError);
  });

  test("leaves no client behind when it cannot be opened", async () => {
    const missing = PostgresVectorStore.fromExistingIndex(embeddings, { ...own("unopened"), tableName: "nowhere" });
    expect((await errorOf(missing)).name).toBe("SchemaVersionError");
    const other = PostgresVectorStore.initialize(new HashedEmbeddings(7), {
      ...own("unopened"),
      tableName: "living",
      dimensions: 7,
      ...testSchema(),
    });
    expect((await errorOf(other)).name).toBe("DimensionMismatchError");
    await gone("unopened");
  });

  test("gives every client back, whatever becomes of the call", async () => {
    await using store = await open("borrower", { postgresConnectionOptions: { max: 1 } });
    for (let round = 0; round < 5; round += 1) {
      const abort = new AbortController();
      const failing = [
        store.search("text", { whereDocument: { $regex: "(" } }),
        store.pool.query("select 1/0"),
        store.pool.query("select pg_terminate_backend(pg_backend_pid())"),
        store.addVectors([[1, 2]], documents.slice(0, 1)),
        store.search("text", { signal: abort.signal }),
        store.explain({ sql: "select nothing from nowhere" }),
      ];
      abort.abort();
      const outcomes = await Promise.allSettled(failing);
      expect(outcomes.map(({ status }) => status)).toEqual(failing.map(() => "rejected"));
      expect(await store.search("text", { k: 3 })).toHaveLength(3);
      expect(store.processStats().pools).toMatchObject([{ used: 0, waiting: 0, max: 1 }]);
    }
  });

  test("is short in a function that is called often", async () => {
    const handle = async (question: string): Promise<number> => {
      await using store = await open("function", {
        skipInitializationCheck: true,
        postgresConnectionOptions: { max: 1 },
      });
      return (await store.search(question, { k: 3 })).length;
    };
    for (let wave = 0; wave < 4; wave += 1) {
      expect(await Promise.all(["a", "b", "c", "d"].map(handle))).toEqual([3, 3, 3, 3]);
    }
    await gone("function");
  });

  test("does not end a pool that was passed in, which other stores may share", async () => {
    const pool = database.newPool();
    {
      await using first = await PostgresVectorStore.initialize(embeddings, {
        pool,
        tableName: "living",
        ...testSchema(),
      });
      await using second = await PostgresVectorStore.initialize(embeddings, {
        pool,
        tableName: "other",
        ...testSchema(),
      });
      await using view = first;
      await Promise.all([view.search("text"), second.addDocuments(documents)]);
    }
    expect(pool.ended).toBe(false);
    expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(pool.totalCount).toBe(pool.idleCount);
  });

  test("does not end with a view of one tenant", async () => {
    await using store = await open("tenants", { tenancy: "rls", tableName: "tenanted" });
    {
      await using tenant = store.forTenant("a");
      await tenant.addDocuments(documents);
    }
    expect(await store.forTenant("a").search("text", { k: 3 })).toHaveLength(3);
  });

  test("does a transaction again that could not be serialized, and says so", async () => {
    await using store = await open("serial", { tableName: "serial" });
    // A sequence is not rolled back, so the first two attempts fail and the third does not.
    await admin.query(`
      create sequence attempts minvalue -100 start 1;
      create function stumble() returns trigger language plpgsql as $$
        begin
          if nextval('attempts') < 3 then raise exception 'stumbled' using errcode = '40001'; end if;
          return null;
        end $$;
      create trigger stumble before insert on ${store.computedTableName} execute function stumble()`);
    await store.addDocuments(documents);
    expect(await store.get()).toHaveLength(3);
    expect(store.processStats()).toMatchObject({ retries: 2, chunks: { written: 3 } });
    await admin.query("alter sequence attempts restart with -9");
    expect(await errorOf(store.addDocuments(documents))).toMatchObject({ sqlstate: "40001", retryable: true });
    expect(store.processStats()).toMatchObject({ retries: 6, chunks: { written: 3 } });
  });
});

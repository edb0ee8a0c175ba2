import { setTimeout as sleep } from "node:timers/promises";
import { Document } from "@langchain/core/documents";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase, testSchema } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { clusteredVectors, exactNearest, HashedEmbeddings, recall, seededRandom } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(4);
const docs = (count: number): Document[] =>
  Array.from({ length: count }, (_, i) => new Document({ id: `id-${i}`, pageContent: `text ${i}`, metadata: { i } }));

describeServer("a store with others at work", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool({ max: 20 });
  });

  afterAll(() => database.close());

  const open = (config: PostgresVectorStoreArgs = {}, embedder = embeddings): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embedder, {
      pool,
      tableName: `busy_${(tables += 1)}`,
      ...testSchema(),
      ...config,
    });

  /** Searches that the server is working on, or that wait there. */
  const searching = async (): Promise<number> => {
    const { rows } = await pool.query(
      `select count(*)::int as n from pg_stat_activity
       where datname = current_database() and state = 'active'
         and pid <> pg_backend_pid() and query like '%/* langchain-pgvector:search */%'`,
    );
    return rows[0].n;
  };

  const until = async (condition: () => Promise<boolean>): Promise<void> => {
    for (let i = 0; i < 800; i += 1) {
      if (await condition()) return;
      await sleep(25);
    }
    throw new Error("It did not happen within twenty seconds.");
  };

  /** Runs `work` while another session holds the table, so that every statement on it waits. */
  async function whileLocked(store: PostgresVectorStore, work: () => Promise<void>): Promise<void> {
    const holder = await pool.connect();
    try {
      await holder.query("begin");
      await holder.query(`lock table ${store.computedTableName} in access exclusive mode`);
      await work();
    } finally {
      await holder.query("rollback");
      holder.release();
    }
  }

  describe("an AbortSignal", () => {
    test("that has fired already stops a search before any I/O", async () => {
      const own = database.newPool({ max: 1 });
      const embedder = new HashedEmbeddings(4);
      const store = await open({ pool: own }, embedder);
      const [queries, embedded] = [own.totalCount, embedder.embedded];
      const reason = new Error("too late");
      await expect(store.search("text", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect([own.totalCount, embedder.embedded]).toEqual([queries, embedded]);
    });

    test.each([10, 1])("stops a running search on the server, with a pool of %i", async (max) => {
      const own = database.newPool({ max });
      const store = await open({ pool: own });
      await store.addDocuments(docs(3));
      await whileLocked(store, async () => {
        const controller = new AbortController();
        const search = errorOf(store.search("text", { signal: controller.signal }));
        await until(async () => (await searching()) === 1);
        controller.abort();
        expect((await search).name).toBe("AbortError");
        // The table is still locked: nothing else would end it. The server says so a moment after its answer.
        await until(async () => (await searching()) === 0);
      });
      expect(await store.search("text", { k: 3 })).toHaveLength(3);
      expect(own.idleCount).toBe(own.totalCount);
    });

    test("stops a search that waits for a connection", async () => {
      const own = database.newPool({ max: 1 });
      const store = await open({ pool: own });
      await store.addDocuments(docs(3));
      const taken = await own.connect();
      const controller = new AbortController();
      const search = errorOf(store.search("text", { signal: controller.signal }));
      await until(async () => own.waitingCount === 1);
      controller.abort();
      expect((await search).name).toBe("AbortError");
      taken.release();
      expect(await store.search("text", { k: 3 })).toHaveLength(3);
      expect(own.idleCount).toBe(1);
    });

    test("stops a search that waits for the embedder", async () => {
      const stuck = Object.assign(new HashedEmbeddings(4), {
        embedQuery: () => new Promise<number[]>(() => undefined),
      });
      const store = await open({ dimensions: 4 }, stuck);
      expect((await errorOf(store.search("text", { signal: AbortSignal.timeout(50) }))).name).toBe("TimeoutError");
    });

    test("that fires after the answer changes nothing", async () => {
      const store = await open();
      await store.addDocuments(docs(3));
      const controller = new AbortController();
      expect(await store.search("text", { signal: controller.signal, k: 3 })).toHaveLength(3);
      controller.abort();
      expect(await store.search("text", { k: 3 })).toHaveLength(3);
    });

    test("of one search leaves the others alone", async () => {
      const store = await open();
      await store.addDocuments(docs(3));
      const controller = new AbortController();
      let others: Promise<unknown[]> | undefined;
      await whileLocked(store, async () => {
        others = Promise.all(Array.from({ length: 5 }, () => store.search("text", { k: 3 })));
        const aborted = errorOf(store.search("text", { signal: controller.signal }));
        await until(async () => (await searching()) === 6);
        controller.abort();
        await aborted;
        // The server says so a moment after its answer.
        await until(async () => (await searching()) === 5);
        expect(await searching()).toBe(5);
      });
      expect((await others)?.map((hits) => (hits as unknown[]).length)).toEqual([3, 3, 3, 3, 3]);
    });
  });

  describe("a lost connection", () => {
    const killAll = (own: string): Promise<unknown> =>
      pool.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", [own]);
    const connection = (name: string): PostgresVectorStoreArgs => {
      const url = new URL(database.url);
      url.searchParams.set("application_name", name);
      return { pool: undefined, connectionString: url.href };
    };

    test("while idle is replaced by the next call", async () => {
      const store = await open(connection("idle-victim"));
      await store.addDocuments(docs(3));
      await killAll("idle-victim");
      await sleep(100);
      expect(await store.search("text", { k: 3 })).toHaveLength(3);
      await store.end();
    });

    test("during a search is made up for on another connection", async () => {
      const store = await open(connection("busy-victim"));
      await store.addDocuments(docs(3));
      let search: Promise<unknown[]> | undefined;
      await whileLocked(store, async () => {
        search = store.search("text", { k: 3 });
        await until(async () => (await searching()) === 1);
        await killAll("busy-victim");
        await until(async () => store.processStats().retries === 1 && (await searching()) === 1);
      });
      expect(await search).toHaveLength(3);
      await store.end();
    });

    test("during a search again and again is reported as retryable, and the next call works", async () => {
      const store = await open(connection("busy-victim"));
      await store.addDocuments(docs(3));
      await whileLocked(store, async () => {
        const search = errorOf(store.search("text"));
        let over = false;
        void search.then(() => (over = true));
        await until(async () => {
          await killAll("busy-victim");
          return over;
        });
        expect(await search).toMatchObject({ name: "DatabaseError", retryable: true });
        // One of the statements of the search was tried three times; another may have been hit before it.
        expect(store.processStats().retries).toBeGreaterThanOrEqual(2);
      });
      expect(await store.search("text", { k: 3 })).toHaveLength(3);
      await store.end();
    });

    test("during an add leaves nothing behind, and the next add works", async () => {
      const store = await open({ ...connection("adding-victim"), chunkSize: 1 });
      const holder = await pool.connect();
      await holder.query("begin");
      // Another writer holds the last id: the first chunks are written, the last one waits.
      await holder.query(
        `insert into ${store.computedTableName} (tenant_id, collection, id, text, content_hash)
         values ('default', '', 'id-2', 'held', '')`,
      );
      const add = errorOf(store.addDocuments(docs(3)));
      await until(async () => {
        const { rows } = await pool.query(
          "select from pg_stat_activity where application_name = 'adding-victim' and wait_event_type = 'Lock'",
        );
        return rows.length === 1;
      });
      await killAll("adding-victim");
      expect((await add).name).toBe("DatabaseError");
      await holder.query("rollback");
      holder.release();
      expect(await store.get()).toEqual([]);
      await store.addDocuments(docs(3));
      expect(await store.get()).toHaveLength(3);
      await store.end();
    });
  });

  describe("writers", () => {
    test("eight of them with overlapping ids, and two that delete, finish without a deadlock", async () => {
      const store = await open({ chunkSize: 25, collectionName: "shared" });
      const random = seededRandom(8);
      const shuffled = (count: number): Document[] =>
        docs(200)
          .map((document) => ({ document, at: random() }))
          .sort((a, b) => a.at - b.at)
          .slice(0, count)
          .map(({ document }) => document);
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        for (let round = 0; round < 6; round += 1) {
          const batch = shuffled(100);
          const vectors = batch.map(() => [1, writer, round, 1]);
          await store.addVectors(vectors, batch);
        }
      });
      const deleters = Array.from({ length: 2 }, async () => {
        for (let round = 0; round < 6; round += 1) {
          await store.delete({ ids: shuffled(50).map(({ id }) => id!) });
          await store.delete({ filter: { i: { lt: 20 } } });
        }
      });
      const settled = await Promise.allSettled([...writers, ...deleters]);
      expect(settled.filter(({ status }) => status === "rejected")).toEqual([]);
      const chunks = await store.get({ include: ["embeddings"] });
      expect(new Set(chunks.map(({ id }) => id)).size).toBe(chunks.length);
    });

    test("readers see all of an add or none of it", async () => {
      const store = await open({ chunkSize: 5 });
      const done = new AbortController();
      const write = async (): Promise<void> => {
        for (let round = 0; round < 20; round += 1) {
          await store.addDocuments(docs(20));
          await store.delete({ filter: { i: { gte: 0 } } });
        }
        done.abort();
      };
      const counts = new Set<number>();
      const read = async (): Promise<void> => {
        while (!done.signal.aborted) counts.add((await store.get({ include: [] })).length);
      };
      await Promise.all([write(), read(), read()]);
      expect(counts).toContain(20);
      expect([...counts].filter((count) => count !== 0 && count !== 20)).toEqual([]);
    });
  });

  describe("an index", () => {
    const fill = (store: PostgresVectorStore, count: number): Promise<unknown> =>
      pool.query(
        `insert into ${store.computedTableName} (tenant_id, collection, id, text, content_hash, embedding)
         select 'default', '', 'row ' || i, 'text', '', array[i, 1, 1, 1]::real[]
         from generate_series(1, ${count}) i`,
      );
    const isBuilding = async (): Promise<boolean> =>
      (await pool.query("select from pg_stat_progress_create_index where datname = current_database()")).rows.length >
      0;

    test("that a large table lacks is asked for once, and not when there is one", async () => {
      const warnings = () => ({ debug: vi.fn(), info: vi.fn(), warn: vi.fn<(message: string) => void>() });
      const [small, large, indexed] = [warnings(), warnings(), warnings()];
      const atLimit = await open({ logger: small });
      await fill(atLimit, 10_000);
      await atLimit.similaritySearch("text", 1);
      expect(small.warn).not.toHaveBeenCalled();

      const store = await open({ logger: large });
      await fill(store, 10_001);
      for (let i = 0; i < 3; i += 1) await store.similaritySearch("text", 1);
      expect(large.warn).toHaveBeenCalledTimes(1);
      expect(large.warn.mock.calls[0]![0]).toMatch(/more than 10,000 rows and no vector index.*createHnswIndex\(\)/);

      await store.createHnswIndex();
      const again = await open({ logger: indexed, tableName: store.tableName });
      await again.similaritySearch("text", 1);
      expect(indexed.warn).not.toHaveBeenCalled();
    });

    test("that another process makes does not cost rows, even when its scan gives up early", async () => {
      const LENGTH = 8;
      const wide = new HashedEmbeddings(LENGTH);
      const vectors = clusteredVectors(3_000, LENGTH, 30, 5);
      // The group lies in one cluster, far from the query; the scan may look at a hundred rows or so.
      const inGroup = vectors.map((_, index) => index).filter((index) => index % 30 === 0 && index < 900);
      const hurried = database.newPool({
        options: "-c hnsw.max_scan_tuples=1 -c enable_seqscan=off -c enable_sort=off",
      });
      const queries = recordQueries(hurried);
      const store = await open({ pool: hurried }, wide);
      await store.addVectors(
        vectors,
        docs(3_000).map((document, index) => ({ ...document, metadata: { group: inGroup.includes(index) } })),
      );
      const query = vectors[1_001]!;
      const find = async (): Promise<(string | undefined)[]> =>
        (await store.search(query, { k: 10, filter: { group: true }, efSearch: 10 })).map(
          ({ document }) => document.id,
        );
      expect(await find()).toHaveLength(10);
      const other = await open({ tableName: store.tableName }, wide);
      await other.createHnswIndex();
      queries.length = 0;
      const found = await find();
      const groupVectors = inGroup.map((index) => vectors[index]!);
      const wanted = exactNearest(query, groupVectors, 10).map((position) => `id-${inGroup[position]!}`);
      expect(recall(found, wanted)).toBe(1);
      // Exact at once: the store remembers that there was no index, and would not take one for a filter this narrow.
      expect(queries.filter(({ text }) => text.includes(":search"))).toHaveLength(1);
    });

    test("is built while others write, and a second builder is told", async () => {
      const store = await open();
      await fill(store, 3_000);
      let built = false;
      const [first, second] = await Promise.allSettled([
        store.createHnswIndex({ m: 32, efConstruction: 400 }).finally(() => (built = true)),
        until(async () => built || (await isBuilding())).then(() => store.createHnswIndex()),
        store.addDocuments(docs(10)),
      ]);
      expect(first.status).toBe("fulfilled");
      if (second.status === "rejected") expect((second.reason as Error).name).toBe("IndexBuildError");
      const { rows } = await pool.query(
        `select i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid
         join pg_am a on a.oid = c.relam where a.amname = 'hnsw' and i.indrelid = to_regclass($1)`,
        [store.computedTableName],
      );
      expect(rows).toEqual([{ valid: true }]);
    });

    test("whose build was interrupted is replaced", async () => {
      const store = await open();
      await fill(store, 5_000);
      const build = errorOf(store.createHnswIndex({ m: 64, efConstruction: 800 }));
      await until(isBuilding);
      await pool.query(
        "select pg_cancel_backend(pid) from pg_stat_progress_create_index where datname = current_database()",
      );
      expect((await build).name).toBe("IndexBuildError");
      const indexes = async (): Promise<boolean[]> => {
        const { rows } = await pool.query<{ valid: boolean }>(
          `select i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid
           join pg_am a on a.oid = c.relam where a.amname = 'hnsw' and i.indrelid = to_regclass($1)`,
          [store.computedTableName],
        );
        return rows.map(({ valid }) => valid);
      };
      expect(await indexes()).toEqual([]);
      await store.createHnswIndex();
      await pool.query(
        `update pg_index set indisvalid = false where indexrelid in (
           select i.indexrelid from pg_index i join pg_class c on c.oid = i.indexrelid
           join pg_am a on a.oid = c.relam where a.amname = 'hnsw' and i.indrelid = to_regclass($1))`,
        [store.computedTableName],
      );
      await store.createHnswIndex();
      expect(await indexes()).toEqual([true]);
    });
  });
});

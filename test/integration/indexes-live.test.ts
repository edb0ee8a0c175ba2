import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { bulkItems } from "../helpers/bulk-items.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";
import { hashedVector } from "../helpers/hashed-vector.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 16;
const embeddings = new HashedEmbeddings(DIMENSIONS);

describeServer("indexes of a table in use", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool({ max: 14 });
  });
  afterAll(() => database.close());

  const filled = async (rows: number): Promise<PostgresVectorStore> => {
    const args = { pool, tableName: `live_${(tables += 1)}`, ...testSchema() };
    const store = await PostgresVectorStore.initialize(embeddings, args);
    await store.bulkLoad(bulkItems(rows, DIMENSIONS), { indexes: "keep" });
    return store;
  };
  const states = async (store: PostgresVectorStore): Promise<[string, boolean][]> =>
    (await store.indexes.list()).filter(({ type }) => type === "hnsw").map(({ name, valid }) => [name, valid]);

  it("are built, rebuilt and dropped while four write and four read, none of whom fails or waits for it", async () => {
    const store = await filled(3_000);
    const name = `${store.tableName}_embedding_hnsw_idx`;
    const state = { done: false };
    let wanted = false;
    const failures: unknown[] = [];
    const counts = { writes: 0, reads: 0, withoutIndex: 0 };
    const repeat = async (work: (turn: number) => Promise<void>): Promise<void> => {
      for (let turn = 0; !state.done; turn += 1) await work(turn).catch((error: unknown) => void failures.push(error));
    };
    const write = (writer: number): Promise<void> =>
      repeat(async (turn) => {
        const id = `w${writer}-${turn % 20}`;
        await store.addDocuments([{ id, pageContent: `${id} ${turn}`, metadata: {} }]);
        if (turn % 5 === 0) await store.delete({ ids: [id] });
        counts.writes += 1;
      });
    const read = (reader: number): Promise<void> =>
      repeat(async (turn) => {
        const expected = wanted;
        const hits = await store.search(hashedVector(`q${reader} ${turn}`, DIMENSIONS), { k: 10 });
        if (hits.length !== 10) throw new Error(`${hits.length} hits`);
        const { rows } = await pool.query(
          "select i.indisvalid as valid from pg_index i where i.indexrelid = to_regclass($1)",
          [store.computedTableName.replace(/"[^"]+"$/, `"${name}"`)],
        );
        if (expected && wanted && rows[0]?.valid !== true) counts.withoutIndex += 1;
        counts.reads += 1;
      });
    const traffic = [0, 1, 2, 3].flatMap((number) => [write(number), read(number)]);
    try {
      await store.indexes.create({ m: 4, efConstruction: 16 });
      wanted = true;
      await store.indexes.rebuild({ m: 5 });
      await store.indexes.rebuild();
      await store.indexes.create({ namespace: "second", m: 4, efConstruction: 16 });
      await store.indexes.drop(`second_${name}`);
      wanted = false;
      await store.indexes.drop(name);
      await store.indexes.create({ type: "ivfflat", targetRecall: false });
    } finally {
      state.done = true;
      await Promise.all(traffic);
    }
    expect(failures).toEqual([]);
    expect(counts.withoutIndex).toBe(0);
    expect(counts.writes).toBeGreaterThan(20);
    expect(counts.reads).toBeGreaterThan(20);
    expect(await states(store)).toEqual([]);
  }, 120_000);

  /** Runs a child that works on the indexes, and kills it when the server is at `phase` of it. */
  async function killAt(store: PostgresVectorStore, job: object, phase: RegExp): Promise<void> {
    const args = { tableName: store.tableName, ...testSchema() };
    const text = JSON.stringify({ url: database.url, args, dimensions: DIMENSIONS, options: {}, ...job });
    const child = spawn(process.execPath, ["--import", "tsx", "test/helpers/index-child.ts", text], {
      cwd: join(import.meta.dirname, "../.."),
      stdio: ["ignore", "ignore", "inherit"],
    });
    const ended = once(child, "exit");
    for (;;) {
      const { rows } = await pool.query<{ state: string }>(
        `select coalesce(p.phase, a.wait_event_type || ' ' || left(a.query, 60)) as state from pg_stat_activity a
         left join pg_stat_progress_create_index p using (pid)
         where a.datname = current_database() and a.pid <> pg_backend_pid() and a.state = 'active'`,
      );
      if (rows.some(({ state }) => state !== null && phase.test(state))) break;
      if (child.exitCode !== null) throw new Error("The child ended before it was killed.");
    }
    child.kill("SIGKILL");
    await ended;
  }

  /** A transaction that has read and written the table, and is as old as can be. */
  async function holdOpen(store: PostgresVectorStore): Promise<() => Promise<void>> {
    const client = await pool.connect();
    await client.query("begin isolation level repeatable read");
    await client.query(`update ${store.computedTableName} set metadata = '{}' where id = 'row-1'`);
    return async () => {
      await client.query("rollback");
      client.release();
    };
  }

  const slow = { m: 48, efConstruction: 600, targetRecall: false } as const;
  it.each<[string, RegExp, boolean]>([
    ["create", /^waiting for writers before build/, true],
    ["create", /^building index: loading/, false],
    ["rebuild", /^waiting for writers before build/, true],
    ["rebuild", /^building index: loading/, false],
    ["drop", /^Lock drop .*index concurrently/, true],
  ])(
    "%s killed while %s is repaired by the next call",
    async (action, phase, held) => {
      const store = await filled(held ? 300 : 4_000);
      const name = `${store.tableName}_embedding_hnsw_idx`;
      if (action !== "create") await store.indexes.create({ m: 4, efConstruction: 16, targetRecall: false });
      const release = held ? await holdOpen(store) : undefined;
      const options = action === "create" ? slow : action === "rebuild" ? { m: 48, efConstruction: 600 } : {};
      await killAt(store, { action, options, name }, phase);
      await release?.();
      if (action === "drop") {
        await store.indexes.create({ m: 4, efConstruction: 16, targetRecall: false });
        expect(await states(store)).toEqual([[name, true]]);
        await store.indexes.drop(name);
        expect(await states(store)).toEqual([]);
        return;
      }
      // A rebuild leaves the old index in its place until the new one is ready.
      if (action === "rebuild") expect(await states(store)).toContainEqual([name, true]);
      if (action === "create") await store.indexes.create(slow);
      else await store.indexes.rebuild({ m: 6, efConstruction: 20 });
      expect(await states(store)).toEqual([[name, true]]);
      expect(await store.indexes.advice()).toEqual([]);
    },
    120_000,
  );
});

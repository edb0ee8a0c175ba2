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
        // Name and validity by one snapshot: to_regclass() would look later, and a swap may come in between.
        const { rows } = await pool.query(
          "select i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = $1::regclass and c.relname = $2",
          [store.computedTableName, name],
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
  }, 180_000);

  /** What the server does for the child: a phase of a build, or how far it has come with dropping an index. */
  const WORKING = `
    select a.pid, coalesce(p.phase, 'dropping, index ' || case when i.indislive then 'invalid' else 'dead' end) as state
    from pg_stat_activity a
    left join pg_stat_progress_create_index p using (pid)
    left join pg_index i on a.query ~ '^drop .*index concurrently' and i.indexrelid = to_regclass($1)
    where a.datname = current_database() and a.pid <> pg_backend_pid() and a.state = 'active'
      and (a.wait_event_type = 'Lock' or p.phase like 'building%')`;

  /**
   * Runs a child that works on the indexes, and kills it when the server is at `phase` of it. What it waits for there is
   * the last of the holds: each one is taken while the server waits for the one before, which then ends.
   */
  async function killAt(store: PostgresVectorStore, job: { name: string }, holds: readonly Hold[], phase: RegExp) {
    const args = { tableName: store.tableName, ...testSchema() };
    const text = JSON.stringify({ url: database.url, args, dimensions: DIMENSIONS, options: {}, ...job });
    const table = store.computedTableName;
    let release = holds[0] && (await hold(holds[0].by, table));
    const child = spawn(process.execPath, ["--import", "tsx", "test/helpers/index-child.ts", text], {
      cwd: join(import.meta.dirname, "../.."),
      stdio: ["ignore", "ignore", "inherit"],
    });
    const ended = once(child, "exit");
    const reach = async (wanted: RegExp): Promise<number> => {
      for (;;) {
        const name = table.replace(/"[^"]+"$/, `"${job.name}"`);
        const { rows } = await pool.query<{ pid: number; state: string | null }>(WORKING, [name]);
        const at = rows.find(({ state }) => state !== null && wanted.test(state));
        if (at !== undefined) return at.pid;
        if (child.exitCode !== null) throw new Error("The child ended before it was killed.");
      }
    };
    for (const next of holds.slice(1)) {
      await reach(next.after!);
      const before = release!;
      release = await hold(next.by, table);
      await before();
    }
    const pid = await reach(phase);
    child.kill("SIGKILL");
    await ended;
    // The server looks every two seconds whether its client is there; a hold must not end before it has.
    if (release === undefined) return;
    await pool.query("select pg_terminate_backend($1, 10000)", [pid]);
    await release();
  }

  /** A transaction that a phase waits for. */
  interface Hold {
    readonly by: keyof typeof HOLDS;
    /** Where the server has to be before it begins. */
    readonly after?: RegExp;
  }
  const HOLDS = {
    writer: (table: string) => `begin; lock table ${table} in row exclusive mode`,
    // Of a transaction that reads committed rows, an idle one has a lock and no snapshot.
    reader: (table: string) => `begin; lock table ${table} in access share mode`,
    snapshot: () => "begin isolation level repeatable read; select count(*) from pg_class",
  };
  async function hold(by: Hold["by"], table: string): Promise<() => Promise<void>> {
    const client = await pool.connect();
    await client.query(HOLDS[by](table));
    return async () => {
      await client.query("rollback");
      client.release();
    };
  }

  const slow = { m: 48, efConstruction: 600, targetRecall: false } as const;
  const [writer, reader, snapshot] = (["writer", "reader", "snapshot"] as const).map((by): Hold => ({ by }));
  const BEFORE_BUILD = /^waiting for writers before build/;
  const MARKING_DEAD = /^waiting for readers before marking dead/;
  const DROPPING = /^dropping, index invalid/;
  it.each<[string, RegExp, Hold[]]>([
    ...["create", "rebuild"].flatMap((action): [string, RegExp, Hold[]][] => [
      [action, BEFORE_BUILD, [writer!]],
      [action, /^building index: loading/, []],
      [action, /^waiting for writers before validation/, [writer!, { by: "writer", after: BEFORE_BUILD }]],
      [action, /^waiting for old snapshots/, [snapshot!]],
    ]),
    ["rebuild", MARKING_DEAD, [reader!]],
    ["rebuild", /^waiting for readers before dropping/, [reader!, { by: "reader", after: MARKING_DEAD }]],
    ["drop", DROPPING, [reader!]],
    ["drop", /^dropping, index dead/, [reader!, { by: "reader", after: DROPPING }]],
  ])(
    "%s killed while %s is repaired by the next call",
    async (action, phase, holds) => {
      const store = await filled(holds.length > 0 ? 300 : 4_000);
      const name = `${store.tableName}_embedding_hnsw_idx`;
      if (action !== "create") await store.indexes.create({ m: 4, efConstruction: 16, targetRecall: false });
      const options = action === "create" ? slow : action === "rebuild" ? { m: 48, efConstruction: 600 } : {};
      const job = { action, options, name };
      await killAt(store, job, holds, phase);
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
    180_000,
  );
});

import { setTimeout as sleep } from "node:timers/promises";
import type { Pool as PgPool } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigurationError, FilterError, PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import {
  describeServer,
  openServerDatabase,
  openTestDatabase,
  testSchema,
  type ServerTestDatabase,
  type TestDatabase,
} from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

let tables = 0;
const schema = testSchema().schemaName;
const quoted = (table: string): string => `${schema === undefined ? "" : `"${schema}".`}"${table}"`;

const notes = (count: number, kind = "note") =>
  Array.from({ length: count }, (_, i) => ({
    id: `${kind}-${String(i).padStart(4, "0")}`,
    pageContent: `${kind} ${i}`,
    metadata: { kind, i },
  }));

const DAY_MS = 24 * 60 * 60 * 1000;

describe("expiry within a store", () => {
  let database: TestDatabase;
  beforeAll(async () => void (database = await openTestDatabase()));
  afterAll(() => database.close());

  const open = (args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(new HashedEmbeddings(), {
      pool: database.pool,
      tableName: `expiry_${(tables += 1)}`,
      ...testSchema(),
      ...args,
    });
  const age = async (store: PostgresVectorStore, id: string, days: number): Promise<void> => {
    const client = await database.pool.connect();
    await client.query({
      text: `update ${quoted(store.tableName)} set created_at = now() - make_interval(days => $2) where id like $1`,
      values: [id, days],
    });
    client.release();
  };
  const ids = async (store: PostgresVectorStore): Promise<string[]> => (await store.get()).map(({ id }) => id);

  it("deletes by age, by date and by filter, and by both", async () => {
    const store = await open();
    await store.addDocuments([...notes(6), ...notes(4, "draft")]);
    await age(store, "note-000%", 10);
    await age(store, "draft-0000", 10);
    expect(await store.expire({ olderThanMs: 30 * DAY_MS })).toBe(0);
    expect(await store.expire({ olderThanMs: 9 * DAY_MS, filter: { kind: "draft" } })).toBe(1);
    expect(await store.expire({ filter: { i: { $gte: 4 } } })).toBe(2);
    expect(await store.expire({ before: new Date(Date.now() - 11 * DAY_MS) })).toBe(0);
    expect(await store.expire({ before: new Date(Date.now() - 9 * DAY_MS) })).toBe(4);
    expect(await ids(store)).toEqual(["draft-0001", "draft-0002", "draft-0003"]);
  });

  it("stays in its collection and in the store's own filter", async () => {
    const tableName = `expiry_${(tables += 1)}`;
    const one = await open({ tableName, collectionName: "one" });
    const two = await open({ tableName, collectionName: "two" });
    const narrow = await open({ tableName, collectionName: "two", filter: { kind: "draft" } });
    await one.addDocuments(notes(3));
    await two.addDocuments([...notes(3), ...notes(2, "draft")]);
    expect(await narrow.expire({ olderThanMs: 0 })).toBe(2);
    expect(await two.expire({ olderThanMs: 0 })).toBe(3);
    expect(await ids(one)).toHaveLength(3);
  });

  it("works in short transactions, in the order of ids, and stops at an abort", async () => {
    const store = await open();
    await store.addDocuments(notes(250));
    const abort = new AbortController();
    const seen: number[] = [];
    const stopped = await errorOf(
      store.expire({
        olderThanMs: 0,
        batchRows: 40,
        pauseMs: 1,
        signal: abort.signal,
        onProgress: (deleted) => {
          seen.push(deleted);
          if (deleted === 120) abort.abort(new Error("enough"));
        },
      }),
    );
    expect(stopped.message).toBe("enough");
    expect(seen).toEqual([40, 80, 120]);
    expect((await ids(store))[0]).toBe("note-0120");
    expect(await store.expire({ olderThanMs: 0, batchRows: 40, pauseMs: 0 })).toBe(130);
  });

  it("refuses to expire everything, and nonsense, before any I/O", async () => {
    const store = new PostgresVectorStore(new HashedEmbeddings(), {
      pool: { connect: () => Promise.reject(new Error("I/O")), end: () => Promise.resolve() },
    });
    for (const options of [
      {},
      { filter: {} },
      { olderThanMs: -1 },
      { before: new Date("x") },
      { olderThanMs: 1, batchRows: 0 },
    ]) {
      expect(await errorOf(store.expire(options))).toBeInstanceOf(ConfigurationError);
    }
    expect(await errorOf(store.expire({ olderThanMs: 1, before: new Date() }))).toBeInstanceOf(ConfigurationError);
    expect(await errorOf(store.expire({ filter: { a: { $nope: 1 } } as never }))).toBeInstanceOf(FilterError);
  });
});

describeServer("expiry for tenants", () => {
  let database: ServerTestDatabase;
  let ownerPool: PgPool;
  let appPool: PgPool;
  beforeAll(async () => {
    database = await openServerDatabase();
    ownerPool = database.newPool({ connectionString: database.ownerUrl });
    appPool = database.newPool({ connectionString: database.appUrl });
  });
  afterAll(() => database.close());

  const open = async () => {
    const config = {
      tableName: `expiry_${(tables += 1)}`,
      tenancy: "rls",
      collectionName: "c",
      ...testSchema(),
    } as const;
    const owner = await PostgresVectorStore.initialize(new HashedEmbeddings(), { ...config, pool: ownerPool });
    const notices: string[] = [];
    const logger = {
      debug: () => undefined,
      info: (text: string) => void notices.push(text),
      warn: () => undefined,
      error: () => undefined,
    };
    const args = { ...config, pool: appPool, logger };
    const app = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), args);
    return { owner, app, notices };
  };
  const rows = async (owner: PostgresVectorStore) =>
    Object.fromEntries((await owner.tenants.list()).map((tenant) => [tenant.tenantId, tenant.rows]));

  it("stays in the tenant; the app role leaves the space to autovacuum and says so", async () => {
    const { owner, app, notices } = await open();
    await app.forTenant("a").addDocuments(notes(30));
    await app.forTenant("b").addDocuments(notes(20));
    expect(await app.forTenant("a").expire({ olderThanMs: 0, batchRows: 7, pauseMs: 0 })).toBe(30);
    expect(await rows(owner)).toEqual({ a: 0, b: 20 });
    expect(notices.join()).toContain("was not vacuumed");
    const vacuums = async (): Promise<number> => {
      const { rows: counts } = await database
        .newPool()
        .query<{ n: string }>("select vacuum_count as n from pg_stat_user_tables where relname = $1", [app.tableName]);
      return Number(counts[0]!.n);
    };
    expect(await vacuums()).toBe(0);
    expect(await owner.forTenant("b").expire({ olderThanMs: 0 })).toBe(20);
    expect(await vacuums()).toBe(1);
  });

  it("runs for all active tenants as the owner, in all collections, suspended ones only when asked", async () => {
    const { owner, app } = await open();
    const other = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), {
      pool: appPool,
      tableName: app.tableName,
      collectionName: "d",
      tenancy: "rls",
      ...testSchema(),
    });
    await app.forTenant("a").addDocuments([...notes(5), ...notes(3, "draft")]);
    await other.forTenant("a").addDocuments(notes(2, "draft"));
    await app.forTenant("b").addDocuments(notes(4, "draft"));
    await app.forTenant("held").addDocuments(notes(6, "draft"));
    await owner.tenants.suspend("held");
    const progress: unknown[] = [];
    const deleted = await owner.tenants.expire({
      filter: { kind: "draft" },
      onProgress: (tenant, count) => progress.push([tenant, count]),
    });
    expect(deleted).toBe(9);
    expect(progress).toEqual([
      ["a", 3],
      ["a", 5],
      ["b", 9],
    ]);
    expect(await rows(owner)).toEqual({ a: 5, b: 0, held: 6 });
    expect(await owner.tenants.expire({ olderThanMs: 0, includeSuspended: true })).toBe(11);
    expect(await rows(owner)).toEqual({ a: 0, b: 0, held: 0 });
    await expect(owner.tenants.expire({})).rejects.toThrow(ConfigurationError);
  });

  it("keeps a chunk that a writer makes fit to stay while its batch waits for it", async () => {
    const { owner, app } = await open();
    const a = app.forTenant("a");
    await a.addDocuments(notes(10, "draft"));
    const client = await appPool.connect();
    await client.query("begin; set local app.current_tenant = 'a'");
    await client.query(`update ${quoted(app.tableName)} set metadata = '{"kind": "final"}' where id = 'draft-0003'`);
    const watcher = await database.newPool().connect();
    const expiring = a.expire({ filter: { kind: "draft" } });
    for (let waiting = 0; waiting === 0; await sleep(10)) {
      const { rowCount } = await watcher.query(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      waiting = rowCount ?? 0;
    }
    watcher.release();
    await client.query("commit");
    client.release();
    expect(await expiring).toBe(9);
    expect(await rows(owner)).toEqual({ a: 1 });
  });

  it("runs beside searches and writers", async () => {
    const { owner, app } = await open();
    const a = app.forTenant("a");
    const b = app.forTenant("b");
    await a.addDocuments(notes(600));
    await b.addDocuments(notes(50));
    const done = new AbortController();
    const others = [
      (async () => {
        for (let i = 0; !done.signal.aborted; i += 1)
          expect(await b.search(`note ${i % 50}`, { k: 5 })).toHaveLength(5);
      })(),
      (async () => {
        for (let i = 0; !done.signal.aborted; i += 1) await b.addDocuments(notes(5, `extra${i % 3}`));
      })(),
      (async () => {
        while (!done.signal.aborted)
          await a.addDocuments(notes(20).map((note) => ({ ...note, metadata: { kind: "kept" } })));
      })(),
    ];
    try {
      const deleted = await a.expire({ filter: { kind: "note" }, batchRows: 25, pauseMs: 2 });
      expect(deleted).toBeGreaterThanOrEqual(580);
    } finally {
      done.abort();
      await Promise.all(others);
    }
    expect((await a.get()).every(({ metadata }) => metadata!["kind"] === "kept")).toBe(true);
    expect((await rows(owner))["b"]).toBeGreaterThanOrEqual(50);
  });
});

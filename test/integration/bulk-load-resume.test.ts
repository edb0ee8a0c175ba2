import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  IngestError,
  PostgresVectorStore,
  type BulkLoadItem,
  type BulkLoadOptions,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import { bulkItems } from "../helpers/bulk-items.js";
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

const DIMENSIONS = 8;
const embeddings = new HashedEmbeddings(DIMENSIONS);
const root = join(import.meta.dirname, "../..");

describe("the checkpoint of a bulk load", () => {
  let database: TestDatabase;
  let tables = 0;

  beforeAll(async () => {
    database = await openTestDatabase();
  });

  afterAll(() => database.close());

  const open = (args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName: `resume_${(tables += 1)}`,
      ...testSchema(),
      ...args,
    });
  const options: BulkLoadOptions = { checkpoint: "films", batchRows: 10, embed: { batchSize: 5, concurrency: 1 } };

  function* broken(rows: number, at: number): Generator<BulkLoadItem> {
    yield* bulkItems(at, DIMENSIONS);
    if (at < rows) throw new Error("the source broke");
  }

  it.each<PostgresVectorStoreArgs>([{}, { tenancy: "rls", tenantId: "a", collectionName: "c" }])(
    "lets the next call go on behind the last stored batch (%o)",
    async (args) => {
      const store = await open(args);
      expect((await errorOf(store.bulkLoad(broken(100, 57), options))).message).toBe("the source broke");
      const stored = (await store.get({ limit: 1_000 })).length;
      expect(stored).toBeGreaterThanOrEqual(40);
      const result = await store.bulkLoad(bulkItems(100, DIMENSIONS), options);
      expect(result).toMatchObject({ resumedFrom: stored, rows: 100 - stored });
      expect(await store.get({ limit: 1_000 })).toHaveLength(100);
      // Ended, so the name is free: all of it is loaded again.
      expect(await store.bulkLoad(bulkItems(100, DIMENSIONS), options)).toMatchObject({ resumedFrom: 0, rows: 100 });
    },
  );

  it("belongs to the tenant and to the collection", async () => {
    const store = await open({ tenancy: "rls", collectionName: "c" });
    await errorOf(store.forTenant("a").bulkLoad(broken(100, 57), options));
    expect(await store.forTenant("b").bulkLoad(bulkItems(20, DIMENSIONS), options)).toMatchObject({ resumedFrom: 0 });
    expect((await store.forTenant("a").bulkLoad(bulkItems(100, DIMENSIONS), options)).resumedFrom).toBeGreaterThan(0);
  });

  it("counts rejected rows, and reports those of its own call", async () => {
    const store = await open();
    const items = (fail: boolean): BulkLoadItem[] =>
      [...bulkItems(60, DIMENSIONS)].map((item, i) => {
        if (fail && i === 50) return null as unknown as BulkLoadItem;
        return i % 10 === 9 && i !== 59 ? ({ id: "x" } as BulkLoadItem) : item;
      });
    const skip: BulkLoadOptions = { ...options, batchRows: 9, onError: "skip" };
    const stops = {
      ...skip,
      onReject: ({ row }: { row: number }): void => {
        if (row === 50) throw new Error("stop here");
      },
    };
    expect((await errorOf(store.bulkLoad(items(true), stops))).message).toBe("stop here");
    const result = await store.bulkLoad(items(false), skip);
    expect(result.resumedFrom).toBeGreaterThan(0);
    expect(result.rejectedRows.every(({ row }) => row >= result.resumedFrom)).toBe(true);
    expect(await store.get({ limit: 1_000 })).toHaveLength(55);
  });

  it("refuses a source that has changed", async () => {
    const store = await open();
    await errorOf(store.bulkLoad(broken(100, 57), options));
    const error = await errorOf(store.bulkLoad(bulkItems(100, DIMENSIONS, 1), options));
    expect(error).toBeInstanceOf(IngestError);
    expect(error.message).toContain("source has changed");
    expect((await errorOf(store.bulkLoad(bulkItems(3, DIMENSIONS), options))).message).toContain("the source has 3");
  });

  it("goes with the tenant", async () => {
    const store = await open({ tenancy: "rls" });
    await errorOf(store.forTenant("a").bulkLoad(broken(100, 57), options));
    await store.tenants.delete("a");
    expect(await store.forTenant("a").bulkLoad(bulkItems(20, DIMENSIONS), options)).toMatchObject({ resumedFrom: 0 });
  });
});

describeServer("a bulk load that is killed", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });

  afterAll(() => database.close());

  it.each<{ name: string; args: PostgresVectorStoreArgs }>([
    { name: "off", args: {} },
    { name: "rls", args: { tenancy: "rls", tenantId: "a" } },
  ])(
    "goes on from its checkpoint, tenancy $name",
    async ({ name, args }) => {
      const dimensions = 64;
      const rows = 60_000;
      const common = { ...args, tableName: `killed_${name}`, ...testSchema() };
      const store = await PostgresVectorStore.initialize(new HashedEmbeddings(dimensions), { ...common, pool });
      const options: BulkLoadOptions = { checkpoint: "all", batchRows: 500 };
      const job = JSON.stringify({ url: database.url, args: common, rows, dimensions, options });
      const child = spawn(process.execPath, ["--import", "tsx", "test/helpers/bulk-load-child.ts", job], {
        cwd: root,
        stdio: ["ignore", "pipe", "inherit"],
      });
      let seen = 0;
      for await (const line of createInterface(child.stdout)) {
        seen = (JSON.parse(line) as { stored: number }).stored;
        if (seen >= 3_000) child.kill("SIGKILL");
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      expect(child.signalCode).toBe("SIGKILL");
      expect(seen).toBeLessThan(rows);
      const count = async (): Promise<number> =>
        (await pool.query(`select count(*)::int as n from ${store.computedTableName}`)).rows[0].n;
      // The server may still be finishing what it had received.
      const left = async (): Promise<unknown> =>
        (
          await pool.query(
            "select pid, state, query from pg_stat_activity where datname = current_database() and application_name = 'bulk-child'",
          )
        ).rows;
      await expect.poll(left, { interval: 100, timeout: 60_000 }).toEqual([]);
      const stored = await count();
      expect(stored).toBeGreaterThanOrEqual(seen);
      expect(stored % 500).toBe(0);
      const result = await store.bulkLoad(bulkItems(rows, dimensions), options);
      expect(result).toMatchObject({ resumedFrom: stored, rows: rows - stored });
      expect(await count()).toBe(rows);
      const { rows: sums } = await pool.query(
        `select sum((metadata->>'i')::int8)::int8 as sum from ${store.computedTableName}`,
      );
      expect(Number(sums[0].sum)).toBe((rows * (rows - 1)) / 2);
    },
    180_000,
  );

  it("lets two loads of overlapping ids run at once", async () => {
    const store = await PostgresVectorStore.initialize(embeddings, {
      pool,
      tableName: "overlap",
      tenancy: "rls",
      tenantId: "a",
      ...testSchema(),
    });
    const loads = [0, 500, 1_000].map((from) =>
      store.bulkLoad(bulkItems(3_000, DIMENSIONS, from), { batchRows: 150, checkpoint: `from ${from}` }),
    );
    expect((await Promise.all(loads)).map(({ rows }) => rows)).toEqual([3_000, 3_000, 3_000]);
    expect(await store.get({ limit: 10_000 })).toHaveLength(4_000);
    const plain = await PostgresVectorStore.initialize(embeddings, {
      pool,
      tableName: "overlap_plain",
      ...testSchema(),
    });
    await Promise.all(
      [0, 500, 1_000].map((from) => plain.bulkLoad(bulkItems(3_000, DIMENSIONS, from), { batchRows: 150 })),
    );
    expect(await plain.get({ limit: 10_000 })).toHaveLength(4_000);
  });
});

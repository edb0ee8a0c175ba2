import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  PostgresVectorStore,
  type BulkLoadItem,
  type BulkLoadOptions,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import { bulkItems } from "../helpers/bulk-items.js";
import { CliFolder } from "../helpers/cli.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 16;
const embeddings = new HashedEmbeddings(DIMENSIONS);

describeServer("what a bulk load does about its table", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let tables = 0;
  const folder = new CliFolder();

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });

  afterAll(async () => {
    folder.remove();
    await database.close();
  });

  const open = (args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, {
      pool,
      tableName: `indexes_${(tables += 1)}`,
      ...testSchema(),
      ...args,
    });
  const vectorIndexes = async (store: PostgresVectorStore): Promise<string[]> => {
    const { rows } = await pool.query(
      `select pg_get_indexdef(i.indexrelid) as definition from pg_index i join pg_class c on c.oid = i.indexrelid
       join pg_am a on a.oid = c.relam where a.amname = 'hnsw' and i.indisvalid and i.indrelid = $1::regclass order by 1`,
      [store.computedTableName],
    );
    return rows.map((row) => row.definition);
  };
  const options = async (store: PostgresVectorStore): Promise<string[]> =>
    (
      await pool.query("select coalesce(reloptions, '{}') as o from pg_class where oid = $1::regclass", [
        store.computedTableName,
      ])
    ).rows[0].o;
  const maintenance = (): string => {
    const { schemaName } = testSchema();
    return `${schemaName === undefined ? "" : `"${schemaName}".`}langchain_pgvector_maintenance`;
  };
  const records = async (): Promise<{ kind: string; name: string }[]> =>
    (await pool.query(`select kind, name from ${maintenance()}`)).rows;

  it.each<[BulkLoadOptions["indexes"], number, number, boolean]>([
    ["keep", 20, 100, false],
    ["rebuild", 20, 100, true],
    ["auto", 20, 100, false],
    ["auto", 20, 10_000, true],
    ["auto", 20_000, 10_000, false],
  ])("%s with %i rows there and %i to come rebuilds the indexes: %s", async (indexes, before, rows, rebuilds) => {
    const store = await open();
    await store.createHnswIndex({ m: 4, efConstruction: 16 });
    await pool.query(
      `create index on ${store.computedTableName} using hnsw (embedding vector_l2_ops) where metadata ? 'i'`,
    );
    await store.bulkLoad(bulkItems(before, DIMENSIONS), { indexes: "rebuild" });
    const was = await vectorIndexes(store);
    expect(was).toHaveLength(2);
    const during: number[] = [];
    const source = async function* (): AsyncGenerator<BulkLoadItem> {
      during.push((await vectorIndexes(store)).length);
      yield* bulkItems(rows, DIMENSIONS, before);
    };
    const result = await store.bulkLoad(source(), { ...(indexes && { indexes }), total: rows });
    expect(during).toEqual([rebuilds ? 0 : 2]);
    expect(result.rebuiltIndexes).toHaveLength(rebuilds ? 2 : 0);
    expect(await vectorIndexes(store)).toEqual(was);
    expect(await records()).toEqual([]);
  });

  it("builds the indexes again when the load fails, and leaves that to the next call when it is aborted", async () => {
    const store = await open();
    await store.createHnswIndex();
    const was = await vectorIndexes(store);
    const source = function* (): Generator<BulkLoadItem> {
      yield* bulkItems(100, DIMENSIONS);
      throw new Error("the source broke");
    };
    expect((await errorOf(store.bulkLoad(source(), { indexes: "rebuild" }))).message).toBe("the source broke");
    expect(await vectorIndexes(store)).toEqual(was);
    const controller = new AbortController();
    const stopping = function* (): Generator<BulkLoadItem> {
      yield* bulkItems(100, DIMENSIONS);
      controller.abort(new Error("enough"));
      yield* bulkItems(100, DIMENSIONS);
    };
    const aborted = store.bulkLoad(stopping(), { indexes: "rebuild", signal: controller.signal });
    expect((await errorOf(aborted)).message).toBe("enough");
    expect(await vectorIndexes(store)).toEqual([]);
    expect(await records()).toMatchObject([{ kind: "index" }]);
    const result = await store.bulkLoad(bulkItems(10, DIMENSIONS), { indexes: "keep" });
    expect(result.rebuiltIndexes).toHaveLength(1);
    expect(await vectorIndexes(store)).toEqual(was);
    expect(await records()).toEqual([]);
  });

  it.each(["the next load", "doctor --fix"])(
    "restores what a killed load has changed: %s",
    async (cure) => {
      const tableName = `indexes_killed_${(tables += 1)}`;
      const store = await open({ tableName });
      await store.createHnswIndex({ m: 5 });
      const was = await vectorIndexes(store);
      const args = { tableName, ...testSchema() };
      const job = {
        url: database.url,
        args,
        rows: 10_000_000,
        dimensions: DIMENSIONS,
        options: { indexes: "rebuild" },
      };
      const child = spawn(
        process.execPath,
        ["--import", "tsx", "test/helpers/bulk-load-child.ts", JSON.stringify(job)],
        { cwd: join(import.meta.dirname, "../.."), stdio: ["ignore", "pipe", "inherit"] },
      );
      for await (const line of createInterface(child.stdout)) {
        const { stored } = JSON.parse(line) as { stored: number };
        if (stored > 100_000 && (await options(store)).includes("autovacuum_enabled=off")) child.kill("SIGKILL");
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      expect(await vectorIndexes(store)).toEqual([]);
      expect((await records()).map(({ kind }) => kind).toSorted()).toEqual(["autovacuum", "index"]);
      // Rows that nobody needs would only make the index take longer.
      await pool.query(`delete from ${store.computedTableName} where id > 'row-2'`);
      if (cure === "doctor --fix") {
        const { schemaName } = testSchema();
        const place = ["--table", tableName, ...(schemaName === undefined ? [] : ["--schema", schemaName])];
        await pool.query(`update ${maintenance()} set touched_at = now() - interval '1 hour'`);
        const before = await folder.run(["doctor", "--database-url", database.url, ...place]);
        expect(before.out).toContain("doctor --fix");
        const { code, out } = await folder.run(["doctor", "--fix", "--database-url", database.url, ...place]);
        expect(out).toContain("fixed    bulk-load-interrupted");
        expect(code).toBe(0);
      } else {
        const result = await store.bulkLoad(bulkItems(10, DIMENSIONS));
        expect(result.rebuiltIndexes).toHaveLength(1);
      }
      expect(await vectorIndexes(store)).toEqual(was);
      expect((await options(store)).filter((option) => option.startsWith("autovacuum"))).toEqual([]);
      expect(await records()).toEqual([]);
    },
    180_000,
  );

  it("leaves the table as it is where the role does not own it", async () => {
    const args = { tableName: `indexes_${(tables += 1)}`, tenancy: "rls", tenantId: "a", ...testSchema() } as const;
    const owner = await open(args);
    await owner.createHnswIndex();
    const store = await PostgresVectorStore.initialize(embeddings, {
      ...args,
      pool: database.newPool({ connectionString: database.appUrl }),
    });
    const result = await store.bulkLoad(bulkItems(200, DIMENSIONS), { indexes: "rebuild" });
    expect(result).toMatchObject({ rows: 200, path: "staging", rebuiltIndexes: [] });
    expect(await vectorIndexes(owner)).toHaveLength(1);
  });

  it("keeps an autovacuum setting that somebody has made", async () => {
    const store = await open();
    await pool.query(`alter table ${store.computedTableName} set (autovacuum_enabled = on)`);
    await store.bulkLoad(bulkItems(101_000, DIMENSIONS));
    expect(await options(store)).toContain("autovacuum_enabled=on");
    expect(await records()).toEqual([]);
  });
});

import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import type { IndexInfo } from "../../src/ops/indexes/list.js";
import { bulkItems } from "../helpers/bulk-items.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";
import { vectorSpace } from "../helpers/vector-space.js";

const DIMENSIONS = 16;
const embeddings = new HashedEmbeddings(DIMENSIONS);

describeServer("store.indexes", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });
  afterAll(() => database.close());

  const open = (args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, { pool, tableName: `ix_${(tables += 1)}`, ...testSchema(), ...args });
  const filled = async (rows = 300, args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> => {
    const store = await open(args);
    await store.bulkLoad(bulkItems(rows, DIMENSIONS), { indexes: "keep" });
    return store;
  };
  const vector = async (store: PostgresVectorStore): Promise<IndexInfo[]> =>
    (await store.indexes.list()).filter(({ type }) => type === "hnsw" || type === "ivfflat");
  const refusal = async (work: Promise<unknown>): Promise<string> => {
    const { name, message } = await errorOf(work);
    return `${name}: ${message}`;
  };

  describe("create and list", () => {
    it("builds HNSW with the measured defaults, once, and says all about it", async () => {
      const store = await filled();
      const plan = await store.indexes.planCreate();
      expect(plan.steps.map(({ sql }) => sql)).toEqual([
        expect.stringMatching(/^create index concurrently .* using hnsw .* with \(m = 16, ef_construction = 128\);\n$/),
      ]);
      expect(plan.memory).toBeGreaterThan(300 * (DIMENSIONS * 4 + 960) * 0.5);
      expect(await vector(store)).toEqual([]);
      const name = `${store.tableName}_embedding_hnsw_idx`;
      expect(await store.indexes.create()).toEqual({ name, built: [name], warnings: [] });
      expect(await store.indexes.create()).toEqual({ name, built: [], warnings: [] });
      await store.search("text", { k: 3 });
      expect(await vector(store)).toMatchObject([
        {
          name,
          type: "hnsw",
          parameters: { m: 16, ef_construction: 128 },
          metric: "cosine",
          serves: true,
          valid: true,
          leftover: false,
          unique: false,
          constraint: false,
          rows: 300,
        },
      ]);
      const primary = (await store.indexes.list()).find(({ constraint }) => constraint);
      expect(primary).toMatchObject({ type: "btree", unique: true, serves: false });
      expect(await store.indexes.advice()).toEqual([]);
    });

    it("gives the session back as it was", async () => {
      const single = database.newPool({ max: 1, options: "-c maintenance_work_mem=20MB -c statement_timeout=77s" });
      const store = await filled(200, { pool: single });
      await store.indexes.create({ memory: "40MB", workers: 1, targetRecall: false });
      const { rows } = await single.query(
        "select name, setting from pg_settings where name in ('maintenance_work_mem', 'statement_timeout', 'client_connection_check_interval')",
      );
      expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
        maintenance_work_mem: "20480",
        statement_timeout: "77000",
        client_connection_check_interval: "0",
      });
    });

    it("gives the build the memory that its graph needs, and warns where there is too little", async () => {
      const warned: string[] = [];
      const logger = { debug: () => {}, info: () => {}, warn: (text: string) => void warned.push(text) };
      const recording = database.newPool({ options: "-c maintenance_work_mem=1MB" });
      const queries = recordQueries(recording);
      const store = await filled(2_000, { pool: recording, logger });
      await store.indexes.create({ targetRecall: false });
      const granted = queries.find(({ text }) => text.includes(":build-resources"));
      expect(granted).toBeDefined();
      expect(warned).toEqual([]);
      await store.indexes.create({ namespace: "small", memory: "1MB", targetRecall: false });
      expect(warned.join()).toMatch(/graph of small_.* is estimated at \d+ MB and its build gets 1 MB/);
    });

    it("refuses another index of the same name instead of taking it for its own", async () => {
      const store = await filled();
      await store.indexes.create({ m: 8, targetRecall: false });
      expect(await refusal(store.indexes.create({ m: 12 }))).toMatch(
        /^IndexBuildError: .* is there with m = 8, not 12/,
      );
      const name = `${store.tableName}_embedding_hnsw_idx`;
      await store.indexes.drop(name);
      const at = store.computedTableName;
      await pool.query(`create index "${name}" on ${at} using hnsw (embedding vector_l2_ops)`);
      expect(await refusal(store.indexes.create())).toMatch(/its opclass is vector_l2_ops, not vector_cosine_ops/);
      expect((await store.indexes.advice()).join()).toMatch(/serves no search of this store.*indexes drop/);
      await store.indexes.drop(name);
      await pool.query(`create index "${name}" on ${at} using hnsw (embedding vector_cosine_ops) where id > 'a'`);
      expect(await refusal(store.indexes.create())).toMatch(/its predicate is .*id > 'a'.*, not null/);
      expect(await refusal(store.indexes.create({ type: "hnsw", m: 1 }))).toMatch(/^ConfigurationError: m must be/);
      expect(await refusal(store.indexes.create({ type: "brin" as never }))).toMatch(
        /^ConfigurationError: type "brin"/,
      );
    });

    it("warns of an index that comes before the data, and refuses IVFFlat there", async () => {
      const store = await open();
      expect((await store.indexes.create()).warnings.join()).toMatch(/the table is empty/);
      expect(await refusal(store.indexes.create({ type: "ivfflat" }))).toMatch(
        /^IndexBuildError: .* is empty, and IVFFlat/,
      );
      await store.addDocuments([{ id: "1", pageContent: "a", metadata: {} }]);
      await store.delete({ ids: ["1"] });
      expect(await refusal(store.indexes.create({ type: "ivfflat" }))).toMatch(/is empty/);
    });

    it("names the cure where the vectors are too long", async () => {
      const long = new HashedEmbeddings(2_001);
      const store = await PostgresVectorStore.initialize(long, {
        pool,
        tableName: `ix_${(tables += 1)}`,
        storageType: "vector",
        ...testSchema(),
      });
      for (const type of ["hnsw", "ivfflat"] as const) {
        expect(await refusal(store.indexes.create({ type }))).toMatch(/2,000 dimensions of type vector.*"halfvec"/);
      }
    });

    it("says that no index covers a large table", async () => {
      const store = await filled(10_050);
      expect((await store.indexes.advice()).join()).toMatch(/No index covers the searches of all rows/);
    });

    it("indexes promoted keys and the rest of the metadata", async () => {
      const store = await filled(50, { promotedKeys: { i: "number" } });
      const name = `${store.tableName}_promoted_i_idx`;
      expect(await store.indexes.create({ type: "btree", key: "i" })).toMatchObject({ name, built: [] });
      await store.indexes.drop(name);
      expect(await store.indexes.create({ type: "btree", key: "i" })).toMatchObject({ name, built: [name] });
      expect(await refusal(store.indexes.create({ type: "btree", key: "none" }))).toMatch(
        /has no column.*--promote none/,
      );
      const gin = await store.indexes.create({ type: "gin" });
      expect(gin.built).toEqual([`${store.tableName}_metadata_gin_idx`]);
      const { rows } = await pool.query(`select indexdef from pg_indexes where indexname = $1`, [gin.name]);
      expect(rows[0].indexdef).toContain("USING gin (metadata jsonb_path_ops)");
    });
  });

  describe("IVFFlat", () => {
    it("takes its lists from the rows, is measured, searched with as many, and says when they are stale", async () => {
      const recording = database.newPool();
      const queries = recordQueries(recording);
      const next = vectorSpace({ dimensions: DIMENSIONS })(1);
      const store = await open({ pool: recording });
      const rows = Array.from({ length: 4_000 }, (_, i) => ({ id: `${i}`, pageContent: "", metadata: {} }));
      await store.addVectors(rows.map(next), rows);
      await pool.query(`analyze ${store.computedTableName}`);
      await store.indexes.create({ type: "ivfflat" });
      const [index] = await vector(store);
      expect(index).toMatchObject({ type: "ivfflat", parameters: { lists: 4 }, serves: true, staleLists: undefined });
      const probes = index!.measured!.setting.probes!;
      expect(probes).toBeGreaterThanOrEqual(1);
      queries.length = 0;
      await store.search(Array.from(next()), { k: 5 });
      const settings = queries.findLast(({ text }) => text.includes(":search"))!.settings;
      expect(settings["ivfflat.probes"]).toBe(String(probes));
      // Eight thousand more rows call for 12 lists.
      await store.bulkLoad(bulkItems(8_000, DIMENSIONS), { indexes: "keep" });
      expect(await vector(store)).toMatchObject([{ staleLists: 12 }]);
      expect((await store.indexes.advice()).join()).toMatch(/4 lists and its rows call for 12.*--lists 12/);
      await store.indexes.rebuild({ lists: 12 });
      expect(await vector(store)).toMatchObject([{ parameters: { lists: 12 }, staleLists: undefined, valid: true }]);
    });
  });

  describe("rebuild and drop", () => {
    it("rebuilds with other parameters, and removes what an interrupted rebuild has left", async () => {
      const store = await filled();
      await store.indexes.create({ targetRecall: false });
      const [before] = await vector(store);
      // What a killed rebuild leaves: an invalid index of that name.
      await pool.query(
        `create index "${before!.name}_ccnew" on ${store.computedTableName} using hnsw (embedding vector_cosine_ops)`,
      );
      await pool.query(`update pg_index set indisvalid = false where indexrelid = $1::regclass`, [
        `${testSchema().schemaName === undefined ? "" : `"${testSchema().schemaName}".`}"${before!.name}_ccnew"`,
      ]);
      expect((await vector(store)).filter(({ leftover }) => leftover)).toHaveLength(1);
      expect((await store.indexes.advice()).join()).toMatch(/interrupted rebuild/);
      const plan = await store.indexes.planRebuild({ m: 8, efConstruction: 40 });
      expect(plan.steps.map(({ name }) => name)).toEqual(["set-parameters", "reindex"]);
      const seen: string[] = [];
      const done = await store.indexes.rebuild({
        m: 8,
        efConstruction: 40,
        onProgress: ({ phase }) => seen.push(phase),
      });
      expect(done).toEqual({ name: before!.name, rebuilt: [before!.name], cleaned: [`${before!.name}_ccnew`] });
      expect(await vector(store)).toMatchObject([
        { name: before!.name, valid: true, parameters: { m: 8, ef_construction: 40 } },
      ]);
      expect(await refusal(store.indexes.rebuild({ lists: 9 }))).toMatch(/of type hnsw, which has no lists/);
      expect(await refusal(store.indexes.rebuild({ m: 30, efConstruction: 40 }))).toMatch(/at least 2 \* m = 60/);
      expect(await refusal(store.indexes.rebuild({ name: "none" }))).toMatch(/has no index "none"; it has/);
    });

    it("removes what a rebuild leaves under another name while it is waited for", async () => {
      const store = await filled();
      const { name } = await store.indexes.create({ targetRecall: false });
      const { schemaName } = testSchema();
      const left = `${schemaName === undefined ? "" : `"${schemaName}".`}"${name}_ccnew"`;
      await pool.query(
        `create index "${name}_ccnew" on ${store.computedTableName} using hnsw (embedding vector_cosine_ops)`,
      );
      await pool.query("update pg_index set indisvalid = false where indexrelid = $1::regclass", [left]);
      const orphan = await pool.connect();
      await orphan.query(`begin; lock table ${store.computedTableName} in share update exclusive mode`);
      await orphan.query(`alter index ${left} rename to "${name}_ccold"`);
      let ended: Promise<unknown> | undefined;
      const { cleaned } = await store.indexes.rebuild({
        onProgress: ({ phase }) => {
          if (phase === "waiting") ended ??= orphan.query("commit");
        },
      });
      await ended;
      orphan.release();
      expect(cleaned).toEqual([`${name}_ccnew`, `${name}_ccold`]);
      expect(await vector(store)).toMatchObject([{ name, valid: true }]);
    });

    it("measures again what was measured, and only that", async () => {
      const next = vectorSpace({ dimensions: DIMENSIONS })(2);
      const store = await open();
      const rows = Array.from({ length: 4_000 }, (_, i) => ({ id: `${i}`, pageContent: "", metadata: {} }));
      await store.addVectors(rows.map(next), rows);
      await store.indexes.create({ m: 6 });
      await store.indexes.create({ namespace: "plain", m: 6, targetRecall: false });
      const measured = async (): Promise<Record<string, boolean>> =>
        Object.fromEntries((await vector(store)).map((index) => [index.name, index.measured !== undefined]));
      const name = `${store.tableName}_embedding_hnsw_idx`;
      expect(await measured()).toEqual({ [name]: true, [`plain_${name}`]: false });
      await store.indexes.rebuild({ name });
      await store.indexes.rebuild({ name: `plain_${name}` });
      expect(await measured()).toEqual({ [name]: true, [`plain_${name}`]: false });
      await store.bulkLoad(bulkItems(10, DIMENSIONS), { indexes: "rebuild" });
      expect(await measured()).toEqual({ [name]: true, [`plain_${name}`]: false });
    });

    it("refuses to drop what a constraint needs, or a part", async () => {
      const store = await filled(10);
      expect(await refusal(store.indexes.drop(`${store.tableName}_pkey`))).toMatch(/The constraint .* needs the index/);
      expect(await refusal(store.indexes.drop("none"))).toMatch(/has no index "none"/);
    });
  });

  describe("with tenants", () => {
    let own: ServerTestDatabase;
    beforeAll(async () => {
      own = await openServerDatabase();
    });
    afterAll(() => own.close());

    it("builds the parts of two namespaces on each partition, rebuilds and drops them", async () => {
      const owner = own.newPool({ connectionString: own.ownerUrl });
      const args = { pool: owner, tenancy: "rls", partitions: "by-tenant" } as const;
      const store = await open({ ...args, tableName: `ix_${(tables += 1)}` });
      for (const tenant of ["a", "b"]) await store.forTenant(tenant).bulkLoad(bulkItems(50, DIMENSIONS));
      await store.tenants.isolate("a");
      const first = await store.indexes.create({ m: 5 });
      const second = await store.indexes.create({ m: 7, namespace: "second" });
      expect(first.built).toHaveLength(2);
      expect(second.built).toHaveLength(2);
      const parts = (await vector(store)).filter(({ parent }) => parent !== undefined);
      expect(parts.map(({ parent, parameters }) => [parent, parameters["m"]]).toSorted()).toEqual(
        [
          [first.name, 5],
          [first.name, 5],
          [second.name, 7],
          [second.name, 7],
        ].toSorted(),
      );
      expect(await store.indexes.rebuild({ name: first.name, m: 6 })).toMatchObject({
        rebuilt: expect.arrayContaining([...first.built]),
      });
      expect(await refusal(store.indexes.drop(first.built[0]!))).toMatch(/is a part of/);
      await store.indexes.drop(first.name);
      expect((await vector(store)).map(({ valid }) => valid)).toEqual([true, true, true]);
      // A partition made later gets its part of what is left.
      await store.tenants.isolate("b");
      expect((await vector(store)).filter(({ parent }) => parent === second.name)).toHaveLength(3);
    });

    it("knows the index of a tenant whose id has a backslash and a quote, and measures it when a load rebuilds it", async () => {
      const owner = own.newPool({ connectionString: own.ownerUrl });
      const queries = recordQueries(owner);
      const store = await open({ pool: owner, tenancy: "rls" });
      const id = String.raw`a\b'c`;
      const next = vectorSpace({ dimensions: DIMENSIONS })(3);
      const rows = Array.from({ length: 4_000 }, (_, i) => ({ id: `${i}`, pageContent: "", metadata: {} }));
      const tenant = store.forTenant(id);
      await tenant.addVectors(rows.map(next), rows);
      const { name } = await store.indexes.create({ tenantId: id });
      const found = async (): Promise<IndexInfo> => (await vector(store)).find((index) => index.name === name)!;
      expect(await found()).toMatchObject({ tenantId: id, serves: true, measured: { k: 10 } });
      expect(await store.indexes.create({ tenantId: id })).toMatchObject({ built: [] });
      queries.length = 0;
      await tenant.search(Array.from(next()), { k: 5 });
      const search = queries.findLast(({ text }) => text.includes(":search"))!;
      expect(search.settings["hnsw.ef_search"]).toBeDefined();
      await tenant.bulkLoad(bulkItems(10, DIMENSIONS), { indexes: "rebuild" });
      expect(await found()).toMatchObject({ tenantId: id, valid: true, measured: { k: 10 } });
    });
  });

  it("cancels a build and removes its remains when told to", async () => {
    const store = await filled(6_000);
    const abort = new AbortController();
    const build = errorOf(store.indexes.create({ m: 64, efConstruction: 800, signal: abort.signal }));
    for (;;) {
      const { rows } = await pool.query(
        "select 1 from pg_stat_progress_create_index where datname = current_database() and phase like 'building%'",
      );
      if (rows.length > 0) break;
    }
    abort.abort(new Error("enough"));
    expect((await build).message).toBe("enough");
    expect(await vector(store)).toEqual([]);
    expect((await store.indexes.create({ m: 4, efConstruction: 16 })).built).toHaveLength(1);
  });
});

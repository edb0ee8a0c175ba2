import type { Pool as PgPool } from "pg";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { ConfigurationError, lintTenancy, PostgresVectorStore } from "../../src/index.js";
import {
  describeServer,
  openEmbeddedDatabase,
  openServerDatabase,
  testSchema,
  type ServerTestDatabase,
} from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { fixedDocuments, readModel, startTraffic, type Model } from "../helpers/tenant-traffic.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(16);
const ROWS = 1_500;
let tables = 0;

describeServer("moving a tenant between partitions", () => {
  let database: ServerTestDatabase;
  let ownerPool: PgPool;
  let appPool: PgPool;
  let table: string;
  let owner: PostgresVectorStore;
  let app: PostgresVectorStore;
  let models: Record<"big" | "other", Model>;
  let still: PostgresVectorStore;

  beforeAll(async () => {
    database = await openServerDatabase();
    ownerPool = database.newPool({ connectionString: database.ownerUrl });
    appPool = database.newPool({ connectionString: database.appUrl });
    const config = { tableName: "still", tenancy: "rls", collectionName: "notes" } as const;
    await PostgresVectorStore.initialize(embeddings, { ...config, pool: ownerPool });
    still = (await PostgresVectorStore.initialize(embeddings, { ...config, pool: appPool })).forTenant("still");
    await still.addDocuments(fixedDocuments("still", 200));
  });
  afterAll(() => database.close());

  beforeEach(async () => {
    table = `moves_${(tables += 1)}`;
    const config = { tableName: table, tenancy: "rls", collectionName: "notes" } as const;
    owner = await PostgresVectorStore.initialize(embeddings, {
      ...config,
      pool: ownerPool,
      partitions: "by-tenant",
      promotedKeys: { i: "number" },
    });
    app = await PostgresVectorStore.initialize(embeddings, { ...config, pool: appPool });
    await app.forTenant("big").addDocuments(fixedDocuments("big", ROWS));
    await app.forTenant("other").addDocuments(fixedDocuments("other", 200));
    await owner.createHnswIndex({ m: 4, efConstruction: 16 });
    models = { big: await readModel(app.forTenant("big")), other: await readModel(app.forTenant("other")) };
  });

  const query = async (text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> =>
    (await ownerPool.query<Record<string, unknown>>(text, values)).rows;

  /** Where a tenant's rows are, as the tenant sees it. */
  const homes = async (tenant: string): Promise<unknown[]> =>
    (
      await app
        .forTenant(tenant)
        .pool.query(`select distinct tableoid::regclass::text as home from ${table} where tenant_id = $1`, [tenant])
    ).rows.map((row: Record<string, unknown>) => row["home"]);

  /** What the store has in the catalogue. */
  const relations = async (): Promise<unknown[]> =>
    (
      await query(
        `select relname::text from pg_class where relname ~ $1 and relkind in ('r', 'p', 'i', 'I')
         union all select proname from pg_proc where proname ~ $1
         union all select tgname from pg_trigger where tgname ~ 'langchain' order by 1`,
        [`^${table}(_|$)`],
      )
    ).map(({ relname }) =>
      String(relname)
        .replace(/tenant_[0-9a-f]{12}/g, "tenant_x")
        // Postgres names the part of a first partition, we those of later ones.
        .replace("_tenant_id_collection_promoted", "_promoted"),
    );

  /** Reads of a table that nobody moves, the longest from one answer to the next: so long the machine itself held up all. */
  function startControl(stop: AbortSignal): { longestMs: () => number; done: Promise<void> } {
    let longestMs = 0;
    const go = async (): Promise<void> => {
      let answered = performance.now();
      for (let turn = 0; !stop.aborted; turn += 1) {
        if (turn % 2 === 0) await still.getByIds(["fixed-0"]);
        else await still.search("fixed 7", { k: 5 });
        const now = performance.now();
        longestMs = Math.max(longestMs, now - answered);
        answered = now;
      }
    };
    return { longestMs: () => longestMs, done: go() };
  }

  it("keeps vectors in the row where the others have theirs", async () => {
    const tableName = `${table}_inline`;
    const config = {
      pool: ownerPool,
      tableName,
      tenancy: "rls",
      partitions: "by-tenant",
      inlineVectors: true,
    } as const;
    const inline = await PostgresVectorStore.initialize(embeddings, config);
    await inline.forTenant("big").addDocuments(fixedDocuments("big", 5));
    // A store that only opens the table does not say it.
    const opened = await PostgresVectorStore.initialize(embeddings, { pool: ownerPool, tableName, tenancy: "rls" });
    await opened.tenants.isolate("big");
    const parameters = await query(
      `select reloptions from pg_class join pg_inherits on oid = inhrelid where inhparent = $1::regclass`,
      [tableName],
    );
    const inRow = { reloptions: ["toast_tuple_target=8160"] };
    expect(parameters).toEqual([inRow, inRow]);
  });

  it("there and back while writers and readers go on, and loses and doubles nothing", async () => {
    const before = await relations();
    const stop = new AbortController();
    const control = startControl(stop.signal);
    const big = startTraffic(app.forTenant("big"), models.big, { workers: 2, stop: stop.signal });
    const other = startTraffic(app.forTenant("other"), models.other, { workers: 1, stop: stop.signal });
    const phases: string[] = [];
    const onProgress = ({ phase }: { phase: string }): unknown => phases.at(-1) !== phase && phases.push(phase);

    const away = await owner.tenants.isolate("big", { batchRows: 100, onProgress });
    expect(away).toMatchObject({ tenantId: "big", moved: true });
    expect(away.rows).toBeGreaterThanOrEqual(ROWS);
    expect(phases).toEqual(["copying", "indexing", "comparing", "switching", "vacuuming"]);
    expect(await homes("big")).toEqual([away.partition]);
    expect(await homes("other")).toEqual([`${table}_default`]);
    expect(await lintTenancy({ pool: ownerPool, tableName: table })).toEqual([]);

    const back = await owner.tenants.merge("big", { batchRows: 100 });
    expect(back).toMatchObject({ moved: true, partition: `${table}_default_2` });
    expect(await homes("big")).toEqual([`${table}_default_2`]);

    stop.abort();
    await Promise.all([big.done, other.done, control.done]);
    expect([...big.traffic.faults, ...other.traffic.faults]).toEqual([]);
    expect(big.traffic.writes).toBeGreaterThan(20);
    for (const { longestReadMs, longestWriteMs } of [big.traffic, other.traffic]) {
      expect(longestReadMs - control.longestMs()).toBeLessThan(1_000);
      expect(longestWriteMs - control.longestMs()).toBeLessThan(5_000);
    }
    expect(await readModel(app.forTenant("big"))).toEqual(models.big);
    expect(await readModel(app.forTenant("other"))).toEqual(models.other);
    expect((await relations()).map((name) => String(name).replace("_default_2", "_default"))).toEqual(before);
    expect(await lintTenancy({ pool: ownerPool, tableName: table })).toEqual([]);
  });

  it("says what is wrong before it begins", async () => {
    const stranger = await errorOf(app.tenants.isolate("big"));
    expect(stranger.name).toBe("TenantIsolationError");
    expect((await errorOf(owner.tenants.isolate("nobody"))).message).toMatch(/no tenant "nobody"/);
    expect(await errorOf(owner.tenants.isolate("big", { batchRows: 0 }))).toBeInstanceOf(ConfigurationError);
    const plain = await PostgresVectorStore.initialize(embeddings, {
      tableName: `${table}_plain`,
      tenancy: "rls",
      pool: ownerPool,
    });
    await plain.tenants.create("big");
    expect((await errorOf(plain.tenants.isolate("big"))).message).toMatch(/not partitioned.*--partitioned/);
    expect((await errorOf(plain.tenants.merge("big"))).message).toMatch(/not partitioned/);
    await query(
      `create table ${table}_refs (tenant_id text, collection text, id text,
         foreign key (tenant_id, collection, id) references ${table} on delete cascade)`,
    );
    expect((await errorOf(owner.tenants.isolate("big"))).message).toMatch(/foreign key .*_refs/);
  });

  it("does nothing when the tenant is there already", async () => {
    expect(await owner.tenants.merge("big")).toMatchObject({ moved: false, partition: `${table}_default` });
    const { partition } = await owner.tenants.isolate("big");
    expect(await owner.tenants.isolate("big")).toMatchObject({ moved: false, partition });
  });

  /** Ends the connection of a move when it comes to a phase, as a crash of its process does. */
  const killIn = async (phase: string, move: (options: object) => Promise<unknown>): Promise<unknown> => {
    const holder = await appPool.connect();
    let held: Promise<unknown> | undefined;
    let killed: Promise<unknown> | undefined;
    // Keeps the last step from being over before the kill comes.
    const hold = (): Promise<unknown> =>
      holder.query("begin").then(() => holder.query(`lock table only ${table} in access share mode`));
    const kill = async (): Promise<void> => {
      await held;
      // It says farewell before it lets go of its lock, for which the next call does not wait.
      await database.newPool({ max: 1 }).query(
        `select pg_terminate_backend(a.pid, 10000) from pg_stat_activity a join pg_locks l on l.pid = a.pid and l.locktype = 'advisory'
         where a.usename = $1 and a.datname = current_database()`,
        [new URL(database.ownerUrl).username],
      );
    };
    const outcome = await errorOf(
      move({
        batchRows: 100,
        pauseMs: 5,
        onProgress: (progress: { phase: string }) => {
          held ??= hold();
          if (progress.phase === phase) killed ??= kill();
        },
      }),
    );
    await killed;
    await holder.query("rollback");
    holder.release();
    return outcome;
  };

  const lost = { name: expect.stringMatching(/DatabaseError|IndexBuildError/) };

  it.each(["copying", "indexing", "comparing", "switching"])(
    "is where it was after a kill while %s, and another call goes on, both ways",
    async (phase) => {
      const stop = new AbortController();
      const big = startTraffic(app.forTenant("big"), models.big, { workers: 1, stop: stop.signal });
      expect(await killIn(phase, (options) => owner.tenants.isolate("big", options))).toMatchObject(lost);
      expect(await homes("big")).toEqual([`${table}_default`]);
      expect((await errorOf(owner.tenants.isolate("other"))).message).toMatch(/"big" was interrupted.*tenants isolate/);
      const { partition } = await owner.tenants.isolate("big", { batchRows: 200 });
      expect(await homes("big")).toEqual([partition]);

      expect(await killIn(phase, (options) => owner.tenants.merge("big", options))).toMatchObject(lost);
      expect(await homes("big")).toEqual([partition]);
      await owner.tenants.merge("big", { batchRows: 200 });
      expect(await homes("big")).toEqual([`${table}_default_2`]);
      stop.abort();
      await big.done;
      expect(big.traffic.faults).toEqual([]);
      expect(await readModel(app.forTenant("big"))).toEqual(models.big);
      expect(await readModel(app.forTenant("other"))).toEqual(models.other);
    },
  );

  it("takes an unfinished move back with the other call", async () => {
    const before = await relations();
    await killIn("indexing", (options) => owner.tenants.isolate("big", options));
    expect(await lintTenancy({ pool: ownerPool, tableName: table })).toMatchObject([
      { code: "move-unfinished", severity: "warning" },
    ]);
    const listed = (await owner.tenants.list()).find(({ tenantId }) => tenantId === "big");
    expect(listed?.rows).toBe(ROWS);
    expect(await owner.tenants.merge("big")).toMatchObject({ moved: false });
    expect(await relations()).toEqual(before);

    const { partition } = await owner.tenants.isolate("big");
    const isolated = await relations();
    await killIn("indexing", (options) => owner.tenants.merge("big", options));
    expect(await owner.tenants.isolate("big")).toMatchObject({ moved: false, partition });
    expect(await relations()).toEqual(isolated);
    expect(await readModel(app.forTenant("big"))).toEqual(models.big);
  });

  it("starts the copy anew when the table has changed since", async () => {
    await killIn("indexing", (options) => owner.tenants.isolate("big", options));
    await query(`alter table ${table} add column note text default 'new'`);
    const { partition } = await owner.tenants.isolate("big");
    expect(await homes("big")).toEqual([partition]);
    expect(
      (await app.forTenant("big").pool.query(`select distinct note from ${table} where tenant_id = 'big'`)).rows,
    ).toEqual([{ note: "new" }]);
  });

  it("refuses a second move at the same time, and stops when told to", async () => {
    const stop = new AbortController();
    let second: Promise<unknown> | undefined;
    const first = errorOf(
      owner.tenants.isolate("big", {
        batchRows: 50,
        // The second call has so long to try its lock.
        pauseMs: 50,
        signal: stop.signal,
        onProgress: ({ phase }) => {
          second ??= errorOf(owner.tenants.isolate("big"));
          if (phase === "indexing") stop.abort(new Error("enough"));
        },
      }),
    );
    expect((await first).message).toBe("enough");
    expect(await second).toMatchObject({ name: "DatabaseError", retryable: true });
    expect(await owner.tenants.isolate("big")).toMatchObject({ moved: true });
  });

  it("moves suspended tenants and tenants with hostile names", async () => {
    const names = ['O\'Neil \\ "quoted"', "$langchain_pgvector$; drop table x; --", "%s {{chunks}} $1", "ü\nnew line"];
    for (const name of names) {
      await app.forTenant(name).addDocuments(fixedDocuments(name, 30));
      const { partition } = await owner.tenants.isolate(name);
      expect(await homes(name)).toEqual([partition]);
    }
    await owner.tenants.suspend("big");
    await owner.tenants.isolate("big");
    expect(await app.forTenant("big").get()).toEqual([]);
    await owner.tenants.merge(names[0]!);
    await owner.tenants.resume("big");
    expect(await readModel(app.forTenant("big"))).toEqual(models.big);
    for (const name of names) expect((await readModel(app.forTenant(name))).size).toBe(30);
    expect(await lintTenancy({ pool: ownerPool, tableName: table })).toEqual([]);
  });

  it("deleting a tenant removes its partition, and an unfinished copy", async () => {
    const before = await relations();
    await owner.tenants.isolate("big");
    expect(await owner.tenants.delete("big")).toMatchObject({ deleted: ROWS + 1 });
    expect(await relations()).toEqual(before);
    await app.forTenant("big").addDocuments(fixedDocuments("big", 300));
    expect(await homes("big")).toEqual([`${table}_default`]);
    await killIn("indexing", (options) => owner.tenants.isolate("big", options));
    await owner.tenants.delete("big");
    expect(await relations()).toEqual(before);
  });

  it("turns raw writes away with a code that says to try again, and refuses truncate", async () => {
    await killIn("indexing", (options) => owner.tenants.isolate("big", options));
    expect((await errorOf(query(`truncate ${table}`))).message).toMatch(/being moved/);
    const [gate] = await query(
      "select pg_get_triggerdef(oid) as def from pg_trigger where tgname = 'langchain_pgvector_move_gate' and tgrelid = $1::regclass",
      [table],
    );
    const [, key] = /gate\('(-?\d+)'\)/.exec(String(gate!["def"])) ?? [];
    const mover = await ownerPool.connect();
    await mover.query("select pg_advisory_lock($1::int8)", [key]);
    const raw = await errorOf(
      app.forTenant("big").pool.query(`update ${table} set text = 'x' where tenant_id = 'big' and id = 'fixed-1'`),
    );
    expect(raw).toMatchObject({ sqlstate: "40001", retryable: true });
    const other = app.forTenant("other");
    await other.addDocuments(fixedDocuments("other", 1));
    const waiting = app.forTenant("big").addDocuments(fixedDocuments("big", 3));
    expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 300, "waits"))])).toBe("waits");
    await mover.query("select pg_advisory_unlock_all()");
    mover.release();
    expect(await waiting).toHaveLength(3);
  });
});

it("moves a tenant there and back on the embedded database", async () => {
  const database = await openEmbeddedDatabase();
  try {
    const store = await PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName: "moves",
      tenancy: "rls",
      partitions: "by-tenant",
      ...testSchema(),
    });
    await store.forTenant("big").addDocuments(fixedDocuments("big", 300));
    await store.forTenant("other").addDocuments(fixedDocuments("other", 20));
    await store.createHnswIndex({ m: 4, efConstruction: 16 });
    const away = await store.tenants.isolate("big");
    expect(away).toMatchObject({ moved: true, rows: 300 });
    expect((await store.forTenant("big").search("fixed 7", { k: 5 })).length).toBe(5);
    await store.forTenant("big").addDocuments(fixedDocuments("big", 5));
    expect(await store.tenants.merge("big")).toMatchObject({ moved: true, rows: 300, partition: "moves_default_2" });
    expect((await readModel(store.forTenant("big"))).size).toBe(300);
    expect((await readModel(store.forTenant("other"))).size).toBe(20);
  } finally {
    await database.close();
  }
});

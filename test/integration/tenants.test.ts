import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool as PgPool } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ConfigurationError,
  DimensionMismatchError,
  fromJsonLines,
  IngestError,
  PostgresVectorStore,
  TenantIsolationError,
  toJsonLine,
  UnknownModelError,
  type ExportRecord,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import {
  describeServer,
  openEmbeddedDatabase,
  openServerDatabase,
  testSchema,
  type ServerTestDatabase,
} from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

let tables = 0;

interface Opened {
  /** Opened by the role that owns the tables; no superuser. */
  readonly owner: PostgresVectorStore;
  /** Opened by the application's login. */
  readonly app: PostgresVectorStore;
  readonly table: string;
}

const note = (id: string, pageContent = `note ${id}`, metadata: Record<string, unknown> = { kind: "note" }) => ({
  id,
  pageContent,
  metadata,
});
const notes = (count: number, prefix = "n") =>
  Array.from({ length: count }, (_, i) => note(`${prefix}${String(i).padStart(5, "0")}`));

const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
};

describeServer("tenants of a store", () => {
  let database: ServerTestDatabase;
  let ownerPool: PgPool;
  let appPool: PgPool;

  beforeAll(async () => {
    database = await openServerDatabase();
    ownerPool = database.newPool({ connectionString: database.ownerUrl });
    appPool = database.newPool({ connectionString: database.appUrl });
  });
  afterAll(() => database.close());

  const open = async (args: PostgresVectorStoreArgs = {}): Promise<Opened> => {
    const config: PostgresVectorStoreArgs = {
      tableName: `life_${(tables += 1)}`,
      tenancy: "rls",
      collectionName: "notes",
      chunkSize: 100,
      ...testSchema(),
      ...args,
    };
    const owner = await PostgresVectorStore.initialize(new HashedEmbeddings(), { ...config, pool: ownerPool });
    const app = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), { ...config, pool: appPool });
    return { owner, app, table: config.tableName! };
  };

  /** Rows of a tenant in every table that has a tenant, seen by a superuser. */
  const everywhere = async (tenant: string, like: string): Promise<Record<string, number>> => {
    const { rows } = await database.newPool().query<{ name: string }>(
      `select c.oid::regclass::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid
        where a.attname = 'tenant_id' and c.relkind in ('r', 'p') and not a.attisdropped order by 1`,
    );
    const counts: Record<string, number> = {};
    for (const { name } of rows.filter((row) => row.name.includes(like) || row.name.includes("_tenants"))) {
      const own = name.includes("_tenants") ? "and store = $2" : "and $2 <> ''";
      const { rows: found } = await database
        .newPool()
        .query<{ n: string }>(`select count(*) as n from ${name} where tenant_id = $1 ${own}`, [tenant, like]);
      counts[name.replace(/^.*\./, "").replaceAll('"', "")] = Number(found[0]!.n);
    }
    return counts;
  };

  /** Everything stored of a tenant, as text. */
  const fingerprint = async (tenant: string, table: string): Promise<string[]> => {
    const schema = testSchema().schemaName;
    const name = (suffix: string): string => (schema === undefined ? "" : `"${schema}".`) + `"${table}${suffix}"`;
    const { rows } = await database.newPool().query<{ row: string }>(
      `select t::text as row from ${name("")} t where tenant_id = $1
       union all select c::text from ${name("_collections")} c where tenant_id = $1 order by 1`,
      [tenant],
    );
    return rows.map(({ row }) => row);
  };

  describe("list", () => {
    it("counts every tenant and its bytes as the owner, sorted, suspended ones too", async () => {
      const { owner, app } = await open();
      await app.forTenant("zebra").addDocuments(notes(3));
      await app.forTenant("ant").addDocuments(notes(120));
      await owner.tenants.create("Empty");
      await owner.tenants.suspend("zebra");
      const list = await owner.tenants.list();
      expect(list.map(({ tenantId, state, rows }) => [tenantId, state, rows])).toEqual([
        ["Empty", "active", 0],
        ["ant", "active", 120],
        ["zebra", "suspended", 3],
      ]);
      const [empty, ant, zebra] = list.map(({ bytes }) => bytes);
      expect(empty).toBe(0);
      // 16 dimensions take 72 bytes, a hash 33, and ids, texts and the row itself some more.
      expect(ant! / 120).toBeGreaterThan(150);
      expect(ant! / 120).toBeLessThan(400);
      expect(zebra!).toBeLessThan(ant!);
      expect(Math.abs(list[0]!.createdAt.getTime() - Date.now())).toBeLessThan(60_000);
    });

    it("is for the owner, not for the application", async () => {
      const { app } = await open();
      const error = await errorOf(app.tenants.list());
      expect(error).toBeInstanceOf(TenantIsolationError);
      expect(error.message).toContain("langchain_pgvector_owner");
      for (const call of [
        () => app.tenants.create("x"),
        () => app.tenants.suspend("x"),
        () => app.tenants.resume("x"),
        () => app.tenants.delete("x"),
        () => app.tenants.import("x", []),
        () => app.tenants.expire({ olderThanMs: 0 }),
        () => app.tenants.login("x"),
        () => app.tenants.dropLogin("x"),
        () => collect(app.tenants.export("x")),
      ]) {
        expect(await errorOf(call())).toBeInstanceOf(TenantIsolationError);
      }
    });

    it("needs tenancy", async () => {
      const store = new PostgresVectorStore(new HashedEmbeddings(), { pool: ownerPool, tableName: "off" });
      expect(() => store.tenants).toThrow(ConfigurationError);
    });
  });

  describe("create, suspend, resume", () => {
    it("suspends in the database: raw SQL as the app role reads and writes nothing, rows are kept", async () => {
      const { owner, app, table } = await open();
      const a = app.forTenant("a");
      await a.addDocuments(notes(4));
      await app.forTenant("b").addDocuments(notes(2));
      await owner.tenants.suspend("a");
      expect(await a.search("note")).toEqual([]);
      expect(await app.forTenant("b").search("note")).toHaveLength(2);

      const client = await appPool.connect();
      const schema = testSchema().schemaName;
      const name = `${schema === undefined ? "" : `"${schema}".`}"${table}"`;
      try {
        await client.query("begin; set local app.current_tenant = 'a'; set local app.tenant_administration = 'a'");
        expect((await client.query(`select * from ${name}`)).rows).toEqual([]);
        expect((await client.query(`delete from ${name}`)).rowCount).toBe(0);
        expect((await client.query(`update ${name} set metadata = '{}'`)).rowCount).toBe(0);
        const insert = `insert into ${name} (tenant_id, collection, id, text, content_hash) values ('a', 'notes', 'x', 'x', '')`;
        expect((await errorOf(client.query(insert))) as Error & { code: string }).toMatchObject({ code: "42501" });
      } finally {
        await client.query("rollback");
        client.release();
      }
      expect(await everywhere("a", table)).toMatchObject({ [table]: 4 });

      await owner.tenants.suspend("a");
      await owner.tenants.resume("a");
      expect(await a.search("note", { k: 10 })).toHaveLength(4);
    });

    it("reports a refused write as what it is", async () => {
      const { owner, app } = await open();
      const a = app.forTenant("a");
      await a.addDocuments(notes(1));
      await owner.tenants.suspend("a");
      const errors = [
        await errorOf(a.addDocuments(notes(2))),
        await errorOf(a.getOrCreateCollection()),
        await errorOf(a.addVectors([Array.from({ length: 16 }, () => 1)], [note("v")])),
      ];
      for (const error of errors) {
        expect(error).toBeInstanceOf(TenantIsolationError);
        expect(error.message).toContain('"a" is suspended');
      }
    });

    it("creates once, and knows which tenants there are", async () => {
      const { owner } = await open();
      expect(await owner.tenants.create("a")).toBe(true);
      expect(await owner.tenants.create("a")).toBe(false);
      for (const call of [() => owner.tenants.suspend("nobody"), () => owner.tenants.resume("nobody")]) {
        const error = await errorOf(call());
        expect(error).toBeInstanceOf(ConfigurationError);
        expect(error.message).toContain('"nobody"');
      }
      await expect(owner.tenants.create("")).rejects.toThrow(ConfigurationError);
    });

    it("does not let the application change a tenant's state", async () => {
      const { owner, app } = await open();
      await owner.tenants.create("a");
      await owner.tenants.suspend("a");
      const change = "update langchain_pgvector_tenants set state = 'active'";
      const registry =
        testSchema().schemaName === undefined ? change : change.replace(" lang", ` "${testSchema().schemaName}".lang`);
      const pool = app.forTenant("a").pool as unknown as { query(text: string): Promise<unknown> };
      await expect(pool.query(registry)).rejects.toThrow("permission denied");
    });
  });

  describe("delete", () => {
    it("leaves nothing of the tenant in any table, all collections included, and everything of the others", async () => {
      const { owner, app, table } = await open();
      const other = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), {
        pool: appPool,
        tableName: table,
        collectionName: "drafts",
        tenancy: "rls",
        ...testSchema(),
      });
      await app.forTenant("a").addDocuments(notes(230));
      await app.forTenant("a").chatHistory("talk").addUserMessage("hello");
      await other.forTenant("a").addDocuments(notes(30));
      await app.forTenant("b").addDocuments(notes(50));
      const kept = await fingerprint("b", table);

      // Configured without a collection, so it has to find the table of collections by itself.
      const admin = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), {
        pool: ownerPool,
        tableName: table,
        tenancy: "rls",
        ...testSchema(),
      });
      const phases = new Set<string>();
      const report = await admin.tenants.delete("a", {
        batchRows: 50,
        pauseMs: 0,
        onProgress: ({ phase }) => phases.add(phase),
      });
      expect(report).toEqual({ tenantId: "a", deleted: 263, notVacuumed: [], login: undefined });
      expect(phases).toContain("deleting");
      expect(phases).toContain("vacuuming");
      expect(await everywhere("a", table)).toEqual({
        [table]: 0,
        [`${table}_collections`]: 0,
        [`${table}_backfill`]: 0,
        [`${table}_set_aside`]: 0,
        [`${table}_loads`]: 0,
        [`${table}_sources`]: 0,
        [`${table}_vector_cache`]: 0,
        [`${table}_messages`]: 0,
        langchain_pgvector_tenants: 0,
      });
      expect(await fingerprint("b", table)).toEqual(kept);
      const name = `${testSchema().schemaName === undefined ? "" : `"${testSchema().schemaName}".`}"${table}"`;
      // The counters of dead rows lag behind what backends did; an analyze of a small table counts them.
      await database.newPool().query(`analyze ${name}`);
      const { rows } = await database
        .newPool()
        .query<{ dead: string }>("select n_dead_tup as dead from pg_stat_user_tables where relname = $1", [table]);
      expect(Number(rows[0]!.dead)).toBe(0);
      expect((await owner.tenants.list()).map(({ tenantId }) => tenantId)).toEqual(["b"]);
    });

    it("removes the index of the tenant's own, what was measured of it, and no other", async () => {
      const { owner, app, table } = await open();
      for (const tenantId of ["o'neil", "b"]) {
        await app.forTenant(tenantId).addDocuments(notes(12));
        await owner.createHnswIndex({ tenantId, targetRecall: false });
      }
      await owner.createHnswIndex({ targetRecall: false });
      const { schemaName = "public" } = testSchema();
      const recall = `"${schemaName}".langchain_pgvector_recall`;
      const names = (await owner.indexes.list()).filter(({ type }) => type === "hnsw").map(({ name }) => name);
      expect(names).toHaveLength(3);
      for (const name of names) {
        await ownerPool.query(
          `insert into ${recall} (store, index_name, setting, k, queries, recall, milliseconds, entries)
           values ($1, $2, 'efSearch 40', 10, 20, 1, 1, 12)`,
          [table, name],
        );
      }
      await owner.tenants.delete("o'neil");
      const left = names.filter((name) => !name.includes("o'neil"));
      expect(left).toHaveLength(2);
      const kept = (await owner.indexes.list()).filter(({ type }) => type === "hnsw").map(({ name }) => name);
      expect(kept.toSorted()).toEqual(left.toSorted());
      const { rows } = await ownerPool.query(`select index_name from ${recall} where store = $1 order by 1`, [table]);
      expect(rows.map(({ index_name: name }) => name)).toEqual(left.toSorted());
    });

    it("is done again without harm, for a tenant that is not there as well", async () => {
      const { owner, app, table } = await open();
      await app.forTenant("a").addDocuments(notes(3));
      expect((await owner.tenants.delete("a")).deleted).toBe(4);
      expect((await owner.tenants.delete("a")).deleted).toBe(0);
      expect(await everywhere("a", table)).toMatchObject({ langchain_pgvector_tenants: 0 });
    });

    it("stops at an abort with the tenant closed, and goes on from there", async () => {
      const { owner, app, table } = await open();
      await app.forTenant("a").addDocuments(notes(200));
      const abort = new AbortController();
      const error = await errorOf(
        owner.tenants.delete("a", {
          batchRows: 20,
          pauseMs: 1,
          signal: abort.signal,
          onProgress: ({ deleted }) => deleted >= 60 && abort.abort(new Error("enough")),
        }),
      );
      expect(error.message).toBe("enough");
      expect(await everywhere("a", table)).toMatchObject({ [table]: 140, langchain_pgvector_tenants: 1 });
      expect(await app.forTenant("a").search("note")).toEqual([]);
      const refused = await errorOf(app.forTenant("a").addDocuments([note("late")]));
      expect(refused).toBeInstanceOf(TenantIsolationError);
      expect(refused.message).toContain("being deleted");
      for (const call of ["create", "suspend", "resume"] as const) {
        expect(await errorOf(owner.tenants[call]("a"))).toBeInstanceOf(TenantIsolationError);
      }
      expect(await owner.tenants.list()).toMatchObject([{ tenantId: "a", state: "deleting", rows: 140 }]);

      expect((await owner.tenants.delete("a")).deleted).toBe(141);
      expect(await everywhere("a", table)).toMatchObject({ [table]: 0, langchain_pgvector_tenants: 0 });
    });

    it("survives the kill of its connection in the middle", async () => {
      const { app, table } = await open();
      const pool = database.newPool({ connectionString: database.ownerUrl, application_name: `kill_${table}` });
      const admin = await PostgresVectorStore.fromExistingIndex(new HashedEmbeddings(), {
        pool,
        tableName: table,
        tenancy: "rls",
        ...testSchema(),
      });
      await app.forTenant("a").addDocuments(notes(300));
      const blocker = await database.newPool().connect();
      let killed: Promise<unknown> | undefined;
      const failed = await errorOf(
        admin.tenants.delete("a", {
          batchRows: 10,
          pauseMs: 200,
          onProgress: ({ deleted }) => {
            if (deleted !== 20) return;
            // Holds a later batch up, so that it is the one that is killed.
            killed = (async () => {
              const schema = testSchema().schemaName;
              await blocker.query(`begin; lock table ${schema === undefined ? "" : `"${schema}".`}"${table}"`);
              for (let ended = 0; ended === 0; await sleep(10)) {
                const { rowCount } = await blocker.query(
                  `select pg_terminate_backend(pid) from pg_stat_activity
                    where application_name = $1 and wait_event_type = 'Lock'`,
                  [`kill_${table}`],
                );
                ended = rowCount ?? 0;
              }
              await blocker.query("rollback");
              blocker.release();
            })();
          },
        }),
      );
      await killed;
      expect(failed.message).toContain("terminating connection");
      const left = (await everywhere("a", table))[table]!;
      expect(left).toBeGreaterThan(100);
      expect(left).toBeLessThan(300);
      await admin.tenants.delete("a");
      expect(await everywhere("a", table)).toMatchObject({ [table]: 0, langchain_pgvector_tenants: 0 });
    });

    const insert = (table: string, id: string): string => {
      const schema = testSchema().schemaName;
      const name = `${schema === undefined ? "" : `"${schema}".`}"${table}"`;
      return `insert into ${name} (tenant_id, collection, id, text, content_hash) values ('a', 'notes', '${id}', 'x', '')`;
    };

    it("leaves no row of writers that race with it", async () => {
      const { owner, app, table } = await open();
      const a = app.forTenant("a");
      await a.addDocuments(notes(100));
      let written = 0;
      let begin: () => void = () => undefined;
      const begun = new Promise<void>((resolve) => (begin = resolve));
      const writer = async (prefix: string): Promise<Error> => {
        for (let i = 0; ; i += 1) {
          const error = await a.addDocuments(notes(5, `${prefix}-${i}-`)).then(
            () => undefined,
            (reason: Error) => reason,
          );
          if (error !== undefined) return error;
          written += 5;
          begin();
        }
      };
      const writers = ["p", "q", "r", "s"].map(writer);
      await Promise.race([begun, ...writers]);
      // The deletion waits for it, so that each writer gets its turn before the end: a write after that makes a new tenant.
      const earlier = await appPool.connect();
      await earlier.query("begin; set local app.current_tenant = 'a'");
      await earlier.query(insert(table, "earlier"));
      let finished = false;
      const deletion = owner.tenants.delete("a", { batchRows: 10, pauseMs: 50 }).finally(() => (finished = true));
      const errors = await Promise.all(writers);
      expect(finished).toBe(false);
      await earlier.query("commit");
      earlier.release();
      await deletion;
      for (const error of errors) expect(error).toBeInstanceOf(TenantIsolationError);
      expect(written).toBeGreaterThan(0);
      expect(await everywhere("a", table)).toMatchObject({ [table]: 0, langchain_pgvector_tenants: 0 });
    });

    it.each(["read committed", "repeatable read"])(
      "waits for a transaction that wrote, or may still write, before it: %s",
      async (isolation) => {
        const { owner, app, table } = await open();
        await app.forTenant("a").addDocuments(notes(1));
        const client = await appPool.connect();
        await client.query(`begin isolation level ${isolation}; set local app.current_tenant = 'a'`);
        if (isolation === "read committed") await client.query(insert(table, "early"));
        else await client.query(`select 1 from pg_class limit 1`);
        let finished: Promise<unknown> | undefined;
        const waiting = new Promise<void>((resolve, reject) => {
          finished = owner.tenants.delete("a", { onProgress: ({ phase }) => phase === "waiting" && resolve() });
          finished.then(() => reject(new Error("did not wait")), reject);
        });
        await waiting;
        // An old snapshot still sees the tenant as active: the very row that nobody must miss.
        if (isolation === "repeatable read") await client.query(insert(table, "old snapshot"));
        await client.query("commit");
        client.release();
        await finished;
        expect(await everywhere("a", table)).toMatchObject({ [table]: 0, langchain_pgvector_tenants: 0 });
      },
    );
  });

  describe("export and import", () => {
    const filled = async (): Promise<Opened> => {
      const opened = await open({ storageType: "vector" });
      await opened.app.forTenant("a").addDocuments([
        ...notes(250),
        note("quote's \\ \" \n\u2028 ä 🐘", 'text with \\ and " and \n', {
          nested: { a: [1, null, "x"] },
          big: 1e300,
        }),
      ]);
      await opened.app.forTenant("b").addDocuments(notes(20));
      await opened.app
        .forTenant("a")
        .chatHistory("talk's")
        .addMessages([new HumanMessage("hello \n ä 🐘"), new AIMessage('with \\ and "')]);
      const schema = testSchema().schemaName;
      const name = `${schema === undefined ? "" : `"${schema}".`}"${opened.table}"`;
      // What JavaScript cannot hold: microseconds, large numbers, and a row that waits for its vector.
      await database.newPool().query(
        `update ${name} set created_at = '2020-02-29 12:34:56.789012+02', metadata = '{"n": 12345678901234567890.5}'
          where tenant_id = 'a' and id = 'n00001'`,
      );
      await database.newPool().query(`update ${name} set embedding = null where tenant_id = 'a' and id = 'n00002'`);
      return opened;
    };

    it("comes back byte for byte, through JSON lines, also of a suspended tenant", async () => {
      const { owner, table } = await filled();
      const before = await fingerprint("a", table);
      expect(before).toHaveLength(252);
      await owner.tenants.suspend("a");
      const lines: string[] = [];
      for await (const record of owner.tenants.export("a", { pageRows: 60 })) lines.push(toJsonLine(record));
      expect(lines).toHaveLength(1 + 1 + 2 + 251 + 1);
      await owner.tenants.delete("a");
      expect(await fingerprint("a", table)).toEqual([]);

      const progress: number[] = [];
      const stored = await owner.tenants.import("a", fromJsonLines(lines), {
        batchRows: 100,
        onProgress: (chunks) => progress.push(chunks),
      });
      expect(stored).toBe(251);
      expect(progress).toEqual([100, 200, 251]);
      expect(await fingerprint("a", table)).toEqual(before);
      // Again, over what is there.
      await owner.tenants.import("a", fromJsonLines(lines));
      expect(await fingerprint("a", table)).toEqual(before);
    });

    it("goes from store to store and to another tenant, and is found there", async () => {
      const { owner } = await filled();
      const target = await open();
      await target.owner.tenants.import("copy", owner.tenants.export("a"));
      const talk = await target.app.forTenant("copy").chatHistory("talk's").getMessages();
      expect(talk.map(({ text }) => text)).toEqual(["hello \n ä 🐘", 'with \\ and "']);
      const hits = await target.app.forTenant("copy").search("note n00007", { k: 1 });
      expect(hits[0]!.document.id).toBe("n00007");
      expect(await target.app.forTenant("a").search("note")).toEqual([]);
    });

    it("refuses vectors of another model or length before it writes", async () => {
      const { owner } = await filled();
      const longer = await PostgresVectorStore.initialize(new HashedEmbeddings(24), {
        pool: ownerPool,
        tableName: `life_${(tables += 1)}`,
        tenancy: "rls",
        collectionName: "notes",
        ...testSchema(),
      });
      const named = await open({ embeddingModel: "other-model" });
      const wrongLength = await errorOf(longer.tenants.import("a", owner.tenants.export("a")));
      expect(wrongLength).toBeInstanceOf(DimensionMismatchError);
      expect(wrongLength).toMatchObject({ expected: 24, actual: 16 });
      const records = await collect(owner.tenants.export("a"));
      const header = records[0] as Extract<ExportRecord, { type: "header" }>;
      const renamed: ExportRecord[] = [
        { ...header, model: { ...header.model, model: "first-model" } },
        ...records.slice(1),
      ];
      const wrongModel = await errorOf(named.owner.tenants.import("a", renamed));
      expect(wrongModel).toBeInstanceOf(UnknownModelError);
      expect(wrongModel.message).toMatch(/first-model.*other-model/s);
      expect(await named.owner.tenants.list()).toEqual([]);
    });

    it("notices an export that is cut off, damaged, or none", async () => {
      const { owner } = await filled();
      const target = await open();
      const records = await collect(owner.tenants.export("a"));
      const lines = records.map(toJsonLine);
      const into = (source: AsyncIterable<ExportRecord> | ExportRecord[]): Promise<Error> =>
        errorOf(target.owner.tenants.import("t", source));
      expect((await into(records.slice(0, -1))).message).toContain("cut off");
      expect((await into(records.toSpliced(5, 1))).message).toContain("cut off");
      expect((await into(records.slice(1))).message).toContain("header");
      expect((await into([...records, ...records])).message).toContain("more than one export");
      expect((await into([])).message).toContain("cut off");
      const torn = await into(fromJsonLines([lines[0]!, lines[5]!.slice(0, 100)]));
      expect(torn).toBeInstanceOf(IngestError);
      expect(torn.message).toContain("Line 2");
      expect((await into(fromJsonLines([lines[0]!, '{"type":"chunk","id":5}']))).message).toContain('"collection"');
      const short = { ...records[5], embedding: new Float32Array(3) } as ExportRecord;
      expect(await into(records.with(5, short))).toBeInstanceOf(DimensionMismatchError);
    });

    it("does not write into a suspended tenant", async () => {
      const { owner } = await filled();
      await owner.tenants.suspend("b");
      const error = await errorOf(owner.tenants.import("b", owner.tenants.export("a")));
      expect(error).toBeInstanceOf(TenantIsolationError);
      expect(error.message).toContain("suspended");
    });

    it("knows which tenants there are", async () => {
      const { owner } = await open();
      expect(await errorOf(collect(owner.tenants.export("nobody")))).toBeInstanceOf(ConfigurationError);
    });
  });
});

describe("on the embedded database", () => {
  it("lists, suspends, deletes, exports and imports", async () => {
    const database = await openEmbeddedDatabase();
    try {
      const store = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
        pool: database.pool,
        tableName: "embedded_life",
        tenancy: "rls",
        collectionName: "notes",
        ...testSchema(),
      });
      await store.forTenant("a").addDocuments(notes(12));
      await store.forTenant("b").addDocuments(notes(3));
      await store.tenants.suspend("a");
      expect(await store.forTenant("a").search("note")).toEqual([]);
      expect(await store.tenants.list()).toMatchObject([
        { tenantId: "a", state: "suspended", rows: 12 },
        { tenantId: "b", state: "active", rows: 3 },
      ]);
      const records = await collect(store.tenants.export("a", { pageRows: 5 }));
      expect((await store.tenants.delete("a", { batchRows: 5, pauseMs: 0 })).deleted).toBe(13);
      expect((await store.tenants.list()).map(({ tenantId }) => tenantId)).toEqual(["b"]);
      expect(await store.tenants.import("a", records, { batchRows: 5 })).toBe(12);
      expect(await store.forTenant("a").search("note", { k: 20 })).toHaveLength(12);
      expect(await collect(store.tenants.export("a"))).toEqual(records);
    } finally {
      await database.close();
    }
  });
});

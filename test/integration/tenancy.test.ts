import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pool } from "../../src/db/pool.js";
import {
  ConfigurationError,
  MissingTenantError,
  PostgresVectorStore,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import { describeServer, openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

let database: TestDatabase;
let tables = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});

afterAll(() => database.close());

const argsOf = (args: PostgresVectorStoreArgs = {}): PostgresVectorStoreArgs => ({
  pool: database.pool,
  tableName: `tenancy_${(tables += 1)}`,
  tenancy: "rls",
  ...testSchema(),
  ...args,
});

const open = (args?: PostgresVectorStoreArgs, embedder = new HashedEmbeddings()): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(embedder, argsOf(args));

const note = (id: string, pageContent: string) => ({ id, pageContent, metadata: { by: pageContent } });
const texts = async (store: PostgresVectorStore, query = "anything"): Promise<string[]> =>
  (await store.search(query, { k: 100 })).map((hit) => hit.document.pageContent);

/** A pool that counts how often a connection is asked for. */
function counting(pool: Pool): { pool: Pool; readonly connects: number } {
  const counter = { connects: 0, pool: {} as Pool };
  const connect = () => ((counter.connects += 1), pool.connect());
  counter.pool = {
    connect,
    end: () => pool.end(),
    ...("embedded" in pool && { embedded: true }),
  };
  return counter;
}

/** Values that cannot name a tenant. */
const IMPOSSIBLE: unknown[] = [
  "",
  "a\0b",
  "\ud800",
  "x".repeat(10_000),
  "ä".repeat(91),
  5n,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  null,
  true,
  Symbol("a"),
  ["a"],
  {},
  Object.create(null),
  Promise.resolve("a"),
];

describe("without a tenant", () => {
  it("fails before any I/O: no connection, no embedding", async () => {
    const counted = counting(database.pool);
    const embedder = new HashedEmbeddings();
    for (const tenantId of [undefined, () => undefined]) {
      const store = new PostgresVectorStore(embedder, argsOf({ pool: counted.pool, ...(tenantId && { tenantId }) }));
      const vector = Array.from({ length: 16 }, () => 1);
      const calls: Promise<unknown>[] = [
        store.search("x"),
        store.search(vector),
        store.similaritySearch("x"),
        store.maxMarginalRelevanceSearch("x", { k: 1 }),
        store.get(),
        store.getByIds(["1"]),
        store.addDocuments([note("1", "x")]),
        store.addVectors([vector], [note("1", "x")]),
        store.delete({ ids: ["1"] }),
        store.delete({ filter: { by: "x" } }),
        store.getOrCreateCollection(),
        store.asRetriever().invoke("x"),
        store.asRetriever({ searchType: "mmr" }).invoke("x"),
        store.pool.query("select 1"),
      ];
      for (const call of calls) {
        const error = await errorOf(call);
        expect(error).toBeInstanceOf(MissingTenantError);
        expect(error.message).toMatch(/tenantId.*forTenant/);
      }
    }
    expect(counted.connects).toBe(0);
    expect(embedder.embedded).toBe(0);
  });

  it("refuses ids that cannot be one, wherever they come from, before any I/O", async () => {
    const counted = counting(database.pool);
    const store = new PostgresVectorStore(new HashedEmbeddings(), argsOf({ pool: counted.pool }));
    for (const id of IMPOSSIBLE) {
      expect(() => store.forTenant(id as never)).toThrow(ConfigurationError);
      expect(() => new PostgresVectorStore(new HashedEmbeddings(), argsOf({ tenantId: id as never }))).toThrow(
        ConfigurationError,
      );
      const asked = new PostgresVectorStore(
        new HashedEmbeddings(),
        argsOf({ pool: counted.pool, tenantId: () => id as never }),
      );
      expect(await errorOf(asked.search("x"))).toBeInstanceOf(ConfigurationError);
    }
    expect(counted.connects).toBe(0);
  });

  it("a resolver that throws fails the call with its own error", async () => {
    const tenantId = (): string => {
      throw new Error("no session");
    };
    expect((await errorOf(new PostgresVectorStore(new HashedEmbeddings(), argsOf({ tenantId })).get())).message).toBe(
      "no session",
    );
  });

  it("forTenant and tenantId need tenancy", async () => {
    const off = new PostgresVectorStore(new HashedEmbeddings(), argsOf({ tenancy: "off" }));
    expect(() => off.forTenant("a")).toThrow(ConfigurationError);
    expect(() => new PostgresVectorStore(new HashedEmbeddings(), argsOf({ tenancy: "off", tenantId: "a" }))).toThrow(
      /tenancy: "rls"/,
    );
  });
});

describe("tenants in one table", () => {
  it("have the same ids without meeting", async () => {
    const store = await open();
    const [a, b] = [store.forTenant("a"), store.forTenant("b")];
    await a.addDocuments([note("1", "from a"), note("2", "from a too")]);
    await b.addDocuments([note("1", "from b")]);
    expect((await texts(a)).toSorted()).toEqual(["from a", "from a too"]);
    expect(await texts(b)).toEqual(["from b"]);
    await b.delete({ ids: ["1", "2"] });
    await b.delete({ filter: { by: { $exists: true } } });
    expect(await texts(b)).toEqual([]);
    expect(await a.get({ ids: ["1", "2"] })).toHaveLength(2);
  });

  it("are kept apart within a collection of the same name, which each has for itself", async () => {
    const store = await open({ collectionName: "shared" });
    const [a, b] = [store.forTenant("a"), store.forTenant("b")];
    await a.addDocuments([note("1", "from a")]);
    expect(await texts(b)).toEqual([]);
    const uuids = [await a.getOrCreateCollection(), await b.getOrCreateCollection()];
    expect(uuids[0]).not.toBe(uuids[1]);
    const table = a.computedCollectionTableName;
    const seen = await a.pool.query(`select uuid::text as uuid from ${table}`);
    expect(seen.rows).toEqual([{ uuid: uuids[0] }]);
  });

  it("are told apart to the last character, whatever the id looks like", async () => {
    const store = await open();
    const ids = [
      "a",
      "A",
      " a",
      "a ",
      " ",
      "a\n",
      "%",
      "_",
      "*",
      "null",
      "undefined",
      "default",
      "0",
      "-1",
      "{}",
      "[]",
    ];
    ids.push("' or true --", "'; drop table x; --", '"', "\\", "$1", "${x}", "a,b", "ä", "a\u0308", "👋", "\ufeffa");
    ids.push("x".repeat(180));
    for (const id of ids) await store.forTenant(id).addDocuments([note("1", `of ${id}`)]);
    for (const id of ids) expect(await texts(store.forTenant(id))).toEqual([`of ${id}`]);
    // A number is the text of its digits.
    expect(await texts(store.forTenant(0))).toEqual(["of 0"]);
    expect(await texts(store.forTenant(-1))).toEqual(["of -1"]);
  });

  it("keep their rows when a filter or an id of another tenant is used", async () => {
    const store = await open();
    const [a, b] = [store.forTenant("a"), store.forTenant("b")];
    await a.addDocuments([{ id: "1", pageContent: "from a", metadata: { tenant_id: "a", tenant: "a" } }]);
    expect(await b.search("from a", { filter: { tenant_id: "a" } })).toEqual([]);
    expect(await b.search("from a", { filter: { $or: [{ tenant: "a" }, { tenant: { neq: "zzz" } }] } })).toEqual([]);
    expect(await b.getByIds(["1"])).toEqual([]);
    await b.addDocuments([note("1", "from b")]);
    expect(await a.getByIds(["1"])).toMatchObject([{ pageContent: "from a" }]);
  });
});

describe("the tenant of a call", () => {
  it("is asked for once for each call", async () => {
    let asked = 0;
    const store = await open({ tenantId: () => ((asked += 1), "a"), collectionName: "c" });
    const calls: (() => Promise<unknown>)[] = [
      () => store.addDocuments([note("1", "x")]),
      () => store.search("x"),
      () => store.similaritySearchWithScore("x"),
      () => store.maxMarginalRelevanceSearch("x", { k: 1 }),
      () => store.asRetriever({ searchType: "mmr" }).invoke("x"),
      () => store.get(),
      () => store.getByIds(["1"]),
      () => store.delete({ ids: ["1"] }),
      () => store.getOrCreateCollection(),
      () => store.pool.query("select 1"),
    ];
    for (const call of calls) {
      asked = 0;
      await call();
      expect(asked).toBe(1);
    }
  });

  it("is the one at the time of the call, also when it changes while the call runs", async () => {
    let current = "a";
    const slow = new HashedEmbeddings();
    const store = await open({ tenantId: () => current }, slow);
    await store.addDocuments([note("1", "from a")]);
    current = "b";
    await store.addDocuments([note("1", "from b")]);
    current = "a";
    const running = [store.search("x"), store.maxMarginalRelevanceSearch("x", { k: 1 }), store.get()];
    current = "b";
    const [hits, diverse, chunks] = await Promise.all(running);
    expect(hits).toMatchObject([{ document: { pageContent: "from a" } }]);
    expect(diverse).toMatchObject([{ pageContent: "from a" }]);
    expect(chunks).toMatchObject([{ content: "from a" }]);
  });

  it("never mixes among concurrent requests that share a few connections", async () => {
    const requests = new AsyncLocalStorage<{ tenant: string }>();
    const pool = database.kind === "server" ? database.newPool({ max: 4 }) : database.pool;
    class Slow extends HashedEmbeddings {
      override async embedQuery(text: string): Promise<number[]> {
        await sleep(Math.random() * 4);
        return super.embedQuery(text);
      }
    }
    const store = await open({ pool, tenantId: () => requests.getStore()?.tenant }, new Slow());
    await errorOf(store.get());
    const tenants = Array.from({ length: 50 }, (_, i) => `tenant ${i}`);
    await Promise.all(
      tenants.map((tenant) =>
        requests.run({ tenant }, async () => {
          const own = `only of ${tenant}`;
          await store.addDocuments([note("1", own)]);
          await Promise.all([
            expect(texts(store, "only")).resolves.toEqual([own]),
            expect(store.get()).resolves.toMatchObject([{ id: "1", content: own }]),
            store.asRetriever().invoke("of"),
            expect(store.pool.query("select current_setting('app.current_tenant') as tenant")).resolves.toMatchObject({
              rows: [{ tenant }],
            }),
          ]);
          if (tenant.endsWith("7")) await store.delete({ filter: { by: own } });
        }),
      ),
    );
    for (const tenant of tenants) {
      const left = await texts(store.forTenant(tenant));
      expect(left).toEqual(tenant.endsWith("7") ? [] : [`only of ${tenant}`]);
    }
  });
});

describe("a view of one tenant", () => {
  it("shares connections and what is known of the schema, and ending it does nothing", async () => {
    const counted = counting(database.pool);
    const store = await open({ pool: counted.pool });
    const before = counted.connects;
    const view = store.forTenant("a");
    expect(view).toBeInstanceOf(PostgresVectorStore);
    await view.end();
    expect(counted.connects).toBe(before);
    await view.addDocuments([note("1", "from a")]);
    expect(counted.connects).toBe(before + 1);
    expect(await texts(view)).toEqual(["from a"]);
    expect(await texts(view.forTenant("b"))).toEqual([]);
    await store.end();
    expect(await texts(store.forTenant("a"))).toEqual(["from a"]);
  });

  it("keeps the store's filter", async () => {
    const store = await open({ filter: { by: "kept" } });
    const a = store.forTenant("a");
    await a.addDocuments([note("1", "kept"), note("2", "hidden")]);
    expect(await texts(a)).toEqual(["kept"]);
  });
});

describeServer("on the wire", () => {
  it("a search is one statement in one round trip, and a new view asks nothing of the catalogue", async () => {
    if (database.kind !== "server") throw new Error("needs a server");
    const pool = database.newPool({ max: 1 });
    const queries = recordQueries(pool);
    let roundTrips = 0;
    pool.on("connect", (client) => {
      const { connection } = client as unknown as { connection: { on(name: string, run: () => void): void } };
      connection.on("readyForQuery", () => (roundTrips += 1));
    });
    const store = await open({ pool });
    await store.forTenant("a").addDocuments([note("1", "from a")]);
    await store.forTenant("a").search("x", { k: 1 });
    for (const tenant of ["a", "b"]) {
      queries.length = 0;
      roundTrips = 0;
      await store.forTenant(tenant).search("x", { k: tenant === "a" ? 1 : 0 });
      expect(queries.map((query) => query.text.split("\n")[0])).toEqual([
        "with /* langchain-pgvector:search */ nearest as materialized (",
      ]);
      expect(queries[0]!.text).toMatch(/tenant_id = \$\d+::text/);
      expect(queries[0]!.text).not.toContain(`'${tenant}'`);
      expect(roundTrips).toBe(1);
    }
  });
});

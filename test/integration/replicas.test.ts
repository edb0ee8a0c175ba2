import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigurationError, PostgresVectorStore, type Logger, type PostgresVectorStoreArgs } from "../../src/index.js";
import { findNativeBinaries, unprivilegedUser } from "../helpers/native-binaries.js";
import { startNativeServer, type NativeServer } from "../helpers/native-server.js";
import { startStandby, type Standby } from "../helpers/standby.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const TABLE = "replicated";

describe.skipIf(findNativeBinaries(unprivilegedUser()) === undefined)("replicas (need native binaries)", () => {
  let primary: NativeServer;
  let standby: Standby;
  const stores: PostgresVectorStore[] = [];

  beforeAll(async () => {
    primary = (await startNativeServer())!;
    await query(primary.url, "create extension pg_stat_statements");
    const store = await open({});
    await store.addDocuments(documents(0, 50));
    standby = await startStandby(primary.url);
  });
  afterAll(async () => {
    for (const store of stores) await store.end();
    await standby?.remove();
    await primary?.stop();
  });

  const open = async (args: Partial<PostgresVectorStoreArgs>): Promise<PostgresVectorStore> => {
    const store = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
      connectionString: primary.url,
      tableName: TABLE,
      tenancy: "rls",
      tenantId: "acme",
      ...args,
    });
    stores.push(store);
    return store;
  };
  const replicated = (args: Partial<PostgresVectorStoreArgs> = {}): Promise<PostgresVectorStore> =>
    open({ replicaConnectionString: standby.at(primary.url), ...args });

  test("searches land on the replica and writes on the primary", async () => {
    const store = await replicated({ readYourWrites: true, maxReplicaLagMs: 60_000 });
    await store.addDocuments(documents(100, 3));
    // It finds out which place in the log has what was written; the primary answers if the replica is late there.
    await store.search("text 100", { k: 1 });
    await hasReplayed(standby.at(primary.url), primary.url);
    const before = [await searchCalls(primary.url), await searchCalls(standby.at(primary.url))];
    for (let i = 0; i < 20; i += 1) await store.search(`text ${i}`, { k: 2 });
    await store.get({ ids: ["1"] });
    const after = [await searchCalls(primary.url), await searchCalls(standby.at(primary.url))];
    expect(after[0]! - before[0]!).toBe(0);
    expect(after[1]! - before[1]!).toBe(20);
  });

  test("read what was written, also through a view of a tenant, while the replica stands still", async () => {
    const store = await replicated({ readYourWrites: true, catchUpMs: 20, maxReplicaLagMs: 60_000 });
    await store.search("text 1", { k: 1 });
    await pauseReplay(standby.at(primary.url));
    try {
      for (let i = 200; i < 210; i += 1) {
        const view = i % 2 === 0 ? store : store.forTenant("acme");
        await view.addDocuments(documents(i, 1));
        const [found] = await view.get({ ids: [String(i)] });
        expect(found?.id).toBe(String(i));
        const [hit] = await view.search(`text ${i}`, { k: 1, filter: { number: i } });
        expect(hit?.document.id).toBe(String(i));
      }
      // Who does not ask for it gets what the replica has.
      expect(await store.get({ ids: ["209"], readYourWrites: false })).toEqual([]);
    } finally {
      await resumeReplay(standby.at(primary.url));
    }
  });

  test("a replica that is killed and comes back costs no search", async () => {
    const warnings: string[] = [];
    const logger = warningsInto(warnings);
    const store = await replicated({ logger });
    await store.search("text 1", { k: 1 });
    const searching = new AbortController();
    const searched = Promise.all(
      Array.from({ length: 4 }, async () => {
        let count = 0;
        while (!searching.signal.aborted) {
          expect(await store.search("text 7", { k: 3 })).toHaveLength(3);
          count += 1;
        }
        return count;
      }),
    );
    await standby.kill();
    await until(() => store.processStats().replicas[0]?.healthy === false);
    await until(() => warnings.some((text) => text.includes("takes no searches")));
    await standby.start();
    await until(() => warnings.some((text) => text.endsWith("replica 1 takes searches")));
    const before = await searchCalls(standby.at(primary.url));
    await until(async () => (await searchCalls(standby.at(primary.url))) > before);
    searching.abort();
    for (const count of await searched) expect(count).toBeGreaterThan(0);
  });

  test("a replica that is too far behind takes no searches until it has caught up", async () => {
    const store = await replicated({ maxReplicaLagMs: 300 });
    await store.search("text 1", { k: 1 });
    await pauseReplay(standby.at(primary.url));
    try {
      await store.addDocuments(documents(300, 1));
      await until(async () => (await store.get({ ids: ["300"] })).length === 1);
    } finally {
      await resumeReplay(standby.at(primary.url));
    }
    const before = await searchCalls(standby.at(primary.url));
    await until(async () => {
      await store.search("text 1", { k: 1 });
      return (await searchCalls(standby.at(primary.url))) > before;
    });
  });

  test("a server that is no standby takes no searches", async () => {
    const warnings: string[] = [];
    const logger = warningsInto(warnings);
    const other = new pg.Pool({ connectionString: primary.url });
    const store = await open({ readPool: other, logger });
    expect(await store.search("text 1", { k: 1 })).toHaveLength(1);
    await stores.pop()!.end();
    // It was passed in, so it is not the store's to end.
    expect((await other.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await other.end();
  });

  test.each([
    [{ readYourWrites: true }, /goes with `readPool`/],
    [{ replicaConnectionString: "" }, /address of a standby/],
    [{ readPool: {} as never }, /pg\.Pool/],
    [{ replicaConnectionString: "postgres://x@localhost/x", maxReplicaLagMs: -1 }, /maxReplicaLagMs/],
  ])("refuses %j before any I/O", async (args, message) => {
    const config = { connectionString: "postgres://nobody@127.0.0.1:1/none", ...args };
    expect(() => new PostgresVectorStore(new HashedEmbeddings(), config)).toThrow(message);
    expect(() => new PostgresVectorStore(new HashedEmbeddings(), config)).toThrow(ConfigurationError);
  });
});

function warningsInto(warnings: string[]): Logger {
  return { debug: () => undefined, info: () => undefined, warn: (text) => void warnings.push(text) };
}

function documents(from: number, count: number): { id: string; pageContent: string; metadata: object }[] {
  return Array.from({ length: count }, (_, i) => ({
    id: String(from + i),
    pageContent: `text ${from + i}`,
    metadata: { number: from + i },
  }));
}

async function query<T extends pg.QueryResultRow>(url: string, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(text)).rows;
  } finally {
    await client.end();
  }
}

/** How often a server has run the store's searches. */
async function searchCalls(url: string): Promise<number> {
  const [row] = await query<{ calls: string }>(
    url,
    "select coalesce(sum(calls), 0) as calls from pg_stat_statements where query like '%/* langchain-pgvector:search */%'",
  );
  return Number(row!.calls);
}

/** Waits until a standby has all that was written before. */
async function hasReplayed(standbyUrl: string, primaryUrl: string): Promise<void> {
  // A commit follows this record, so its end is a place that the standby comes to, and the end of the log need not be.
  const [end] = await query<{ lsn: string }>(primaryUrl, "select pg_logical_emit_message(true, 'test', '') as lsn");
  const replayed = `select pg_last_wal_replay_lsn() >= '${end!.lsn}'::pg_lsn as all`;
  await until(async () => (await query<{ all: boolean }>(standbyUrl, replayed))[0]!.all);
}

async function pauseReplay(url: string): Promise<void> {
  await query(url, "select pg_wal_replay_pause()");
  // It is a request, which the replaying process follows a moment later.
  await until(
    async () =>
      (await query<{ state: string }>(url, "select pg_get_wal_replay_pause_state() as state"))[0]!.state === "paused",
  );
}

async function resumeReplay(url: string): Promise<void> {
  await query(url, "select pg_wal_replay_resume()");
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

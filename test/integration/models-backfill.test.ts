import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresVectorStore, type BackfillProgress, type PostgresVectorStoreArgs } from "../../src/index.js";
import {
  describeServer,
  openServerDatabase,
  openTestDatabase,
  testSchema,
  type TestDatabase,
} from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { ModelEmbeddings } from "../helpers/model-embeddings.js";

const old = new ModelEmbeddings("old", 16);
const documents = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    id: String(index),
    pageContent: `thing number ${index}`,
    metadata: {},
  }));
const quick = { maxSlowdown: false as const, index: false };

let database: TestDatabase;
let tables = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

async function adding(next: ModelEmbeddings, rows: number, args: Partial<PostgresVectorStoreArgs> = {}) {
  const store = await PostgresVectorStore.initialize(old, {
    pool: database.pool,
    tableName: `backfill_${(tables += 1)}`,
    embedders: { [next.fingerprint]: next },
    ...testSchema(),
    ...args,
  });
  await store.bulkLoad(documents(rows));
  await store.models.add({ embeddings: new ModelEmbeddings("next", 24) });
  return store;
}

describe("a backfill", () => {
  it("outlives an embedder that fails one call in ten, and one that is late", async () => {
    let calls = 0;
    const next = new ModelEmbeddings("next", 24, async (_, embed) => {
      calls += 1;
      if (calls % 10 === 3) throw new Error("a passing fault");
      if (calls === 5) await new Promise((resolve) => setTimeout(resolve, 5_000).unref());
      return embed();
    });
    const store = await adding(next, 200);
    const result = await store.models.backfill({ ...quick, batchTexts: 8, timeoutMs: 300 });
    expect(result).toMatchObject({ filled: 200, missing: 0, setAsideCount: 0 });
  });

  it("sets a text aside that cannot be embedded, lists it, and takes it up again when it is told or the text changes", async () => {
    let poison = true;
    const next = new ModelEmbeddings("next", 24, (texts, embed) => {
      if (poison && texts.some((text) => /number (7|42)$/.test(text))) throw new Error("not this text");
      return Promise.resolve(embed());
    });
    const store = await adding(next, 60);
    const result = await store.models.backfill({ ...quick, retries: 0 });
    expect(result).toMatchObject({ filled: 58, missing: 2, setAsideCount: 2, state: "building" });
    expect(result.setAside.map(({ id, reason }) => [id, reason])).toEqual([
      ["42", "not this text"],
      ["7", "not this text"],
    ]);
    expect((await errorOf(store.models.cutover())).message).toContain("2 rows wait");
    expect((await store.models.backfill({ ...quick, retries: 0 })).filled).toBe(0);
    await store.addDocuments([{ id: "7", pageContent: "a better text", metadata: {} }]);
    poison = false;
    const again = await store.models.backfill({ ...quick, retrySetAside: true });
    expect(again).toMatchObject({ missing: 0, setAsideCount: 0 });
  });

  it("asks again for a vector of a wrong length, and ends where all of them are wrong", async () => {
    let calls = 0;
    const flaky = new ModelEmbeddings("next", 24, (_, embed) => {
      const vectors = embed();
      calls += 1;
      return Promise.resolve(calls % 3 === 0 ? vectors.map((vector) => vector.slice(1)) : vectors);
    });
    const store = await adding(flaky, 20);
    expect(await store.models.backfill({ ...quick, batchTexts: 10 })).toMatchObject({ filled: 20, missing: 0 });
    const broken = new ModelEmbeddings("next", 24, (texts) => Promise.resolve(texts.map(() => [1, 2, 3])));
    const other = await adding(broken, 1);
    expect((await errorOf(other.models.backfill({ ...quick, retries: 1 }))).name).toBe("DimensionMismatchError");
    expect((await other.models.status()).versions[1]).toMatchObject({ missing: 1, setAside: 0 });
  });

  it("stops when it is told and at its budget, and goes on with another call", async () => {
    const next = new ModelEmbeddings("next", 24);
    const store = await adding(next, 300);
    const stop = new AbortController();
    const stopped = await errorOf(
      store.models.backfill({
        ...quick,
        batchRows: 20,
        signal: stop.signal,
        onProgress: () => stop.abort(new Error("enough")),
      }),
    );
    expect(stopped.message).toBe("enough");
    const some = await store.models.backfill({
      ...quick,
      batchRows: 20,
      batchTexts: 20,
      concurrency: 1,
      tokenBudget: 100,
    });
    expect(some.filled).toBeGreaterThan(0);
    expect(some.missing).toBeGreaterThan(0);
    expect(await store.models.backfill(quick)).toMatchObject({ missing: 0 });
  });

  it("takes over vectors that are there already", async () => {
    const next = new ModelEmbeddings("next", 24);
    const store = await adding(next, 20);
    const before = next.embedded;
    const vectors = documents(20).map(({ id, pageContent }) => ({ id, embedding: next.vectorOf(pageContent) }));
    expect(await store.models.backfill({ ...quick, vectors })).toMatchObject({ filled: 20, missing: 0, tokens: 0 });
    expect(next.embedded).toBe(before);
    const wrong = store.models.backfill({ ...quick, vectors: [{ id: "1", embedding: [1] }] });
    expect((await errorOf(wrong)).name).toBe("DimensionMismatchError");
  });
});

describeServer("a backfill on a server", () => {
  it("is shared by two workers, waits for an old snapshot, and leaves the live index alone", async () => {
    const server = await openServerDatabase();
    try {
      const next = new ModelEmbeddings("next", 24);
      const args = { tableName: "shared", embedders: { [next.fingerprint]: next }, ...testSchema() };
      const open = () => PostgresVectorStore.initialize(old, { ...args, pool: server.newPool() });
      const [one, two] = [await open(), await open()];
      await one.bulkLoad(documents(4_000));
      await one.createHnswIndex({ targetRecall: false });
      await one.models.add({ embeddings: next });
      const client = await server.newPool({ max: 1 }).connect();
      const reasons = new Set<string>();
      let open_ = false;
      const release = async (progress: BackfillProgress): Promise<void> => {
        if (progress.phase === "filling" && !open_ && progress.filled > 0) {
          open_ = true;
          await client.query("begin isolation level repeatable read");
          await client.query("select txid_current_snapshot()");
        }
        if (progress.phase === "paused") {
          reasons.add(progress.reason!.replace(/\d+/g, "n"));
          await client.query("commit").catch(() => undefined);
        }
      };
      const work = { ...quick, leasePages: 20, batchRows: 50 };
      const results = await Promise.all([
        one.models.backfill({ ...work, onProgress: (progress) => void release(progress) }),
        two.models.backfill(work),
      ]);
      client.release();
      expect([...reasons].join()).toContain("an old snapshot is held by");
      expect(results[0].filled + results[1].filled).toBe(4_000);
      expect((await one.models.status()).versions[1]).toMatchObject({ missing: 0, setAside: 0 });
    } finally {
      await server.close();
    }
  });

  it("is paced on a pool of one connection, too", async () => {
    const server = await openServerDatabase();
    try {
      const next = new ModelEmbeddings("next", 24);
      const store = await PostgresVectorStore.initialize(old, {
        pool: server.newPool({ max: 1 }),
        tableName: "paced",
        embedders: { [next.fingerprint]: next },
        ...testSchema(),
      });
      await store.bulkLoad(documents(200));
      await store.models.add({ embeddings: next });
      const result = await store.models.backfill({ batchRows: 20, index: false, maxSlowdown: 1.01 });
      expect(result).toMatchObject({ filled: 200, missing: 0 });
      // A twentieth of the time at most, but for the last write, which nothing follows.
      expect(result.pausedSeconds).toBeGreaterThan(3 * result.writeSeconds);
    } finally {
      await server.close();
    }
  });
});

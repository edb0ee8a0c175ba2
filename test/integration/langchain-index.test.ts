import { setTimeout as sleep } from "node:timers/promises";
import { InMemoryRecordManager } from "@langchain/community/indexes/memory";
import { PostgresRecordManager } from "@langchain/community/indexes/postgres";
import { Document } from "@langchain/core/documents";
import { index, type ListKeyOptions, type RecordManagerInterface } from "@langchain/core/indexing";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { DatabaseError, PostgresVectorStore } from "../../src/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";

type IndexOptions = NonNullable<Parameters<typeof index>[0]["options"]>;

/** Counts the documents it embeds, and fails from the call that `failAt` says, once. */
class WatchedEmbeddings extends OfflineEmbeddings {
  embedded = 0;
  failAt: number | undefined;
  #calls = 0;

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    this.#calls += 1;
    if (this.#calls === this.failAt) throw new Error("The embedder is down.");
    this.embedded += texts.length;
    return super.embedDocuments(texts);
  }

  failNext(): void {
    this.failAt = this.#calls + 1;
  }
}

/** LangChain's counts a record of the millisecond in which a run began as older than the run, and deletes its chunk. */
class StrictMemoryRecordManager extends InMemoryRecordManager {
  override async listKeys(options: ListKeyOptions = {}): Promise<string[]> {
    return super.listKeys(options.before === undefined ? options : { ...options, before: options.before - 1 });
  }
}

const doc = (pageContent: string, source = pageContent): Document =>
  new Document({ pageContent, metadata: { source } });

let database: TestDatabase;
let serial = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

describe.each([
  {
    kind: "PostgresRecordManager",
    open: async (namespace: string): Promise<RecordManagerInterface> => {
      const pool = database.pool as unknown as pg.Pool;
      const manager = new PostgresRecordManager(namespace, { pool });
      await manager.createSchema();
      return manager;
    },
  },
  {
    kind: "InMemoryRecordManager",
    open: async (): Promise<RecordManagerInterface> => {
      const manager = new StrictMemoryRecordManager();
      await manager.createSchema();
      return manager;
    },
  },
])("index() with $kind", ({ open }) => {
  let embeddings: WatchedEmbeddings;
  let store: PostgresVectorStore;
  let records: RecordManagerInterface;

  beforeEach(async () => {
    serial += 1;
    embeddings = new WatchedEmbeddings({ dimensions: 32 });
    store = await PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName: `index_${serial}`,
      ...testSchema(),
    });
    records = await open(`langchain-pgvector/index_${serial}`);
  });

  const run = async (
    docsSource: Document[],
    options: IndexOptions = {},
    into: { store?: PostgresVectorStore; records?: RecordManagerInterface } = {},
  ): Promise<Record<string, number>> => {
    // The record managers tell runs apart by their clock, in milliseconds at best.
    await sleep(3);
    const vectorStore = into.store ?? store;
    return index({ docsSource, recordManager: into.records ?? records, vectorStore, options });
  };
  const contents = async (): Promise<string[]> => (await store.get()).map((chunk) => chunk.content!).sort();
  const counts = (numAdded: number, numSkipped = 0, numDeleted = 0, numUpdated = 0): Record<string, number> => ({
    numAdded,
    numSkipped,
    numDeleted,
    numUpdated,
  });

  const incremental: IndexOptions = { cleanup: "incremental", sourceIdKey: "source" };
  const full: IndexOptions = { cleanup: "full", sourceIdKey: "source" };

  it("without clean-up adds what is new, skips what is known and removes nothing", async () => {
    expect(await run([doc("a"), doc("b")])).toEqual(counts(2));
    expect(await run([doc("a"), doc("b"), doc("c")])).toEqual(counts(1, 2));
    expect(await run([doc("a, changed", "a")])).toEqual(counts(1));
    expect(await contents()).toEqual(["a", "a, changed", "b", "c"]);
    expect(embeddings.embedded).toBe(4);
  });

  it("incremental clean-up replaces the chunks of the sources it sees and no others", async () => {
    await run([doc("a1", "a"), doc("a2", "a"), doc("b1", "b")], incremental);
    expect(await run([doc("a1", "a"), doc("a3", "a")], incremental)).toEqual(counts(1, 1, 1));
    expect(await contents()).toEqual(["a1", "a3", "b1"]);
    expect(await run([], incremental)).toEqual(counts(0));
    expect(await contents()).toEqual(["a1", "a3", "b1"]);
  });

  it("full clean-up removes every chunk that is no longer there", async () => {
    await run([doc("a"), doc("b"), doc("c")], full);
    expect(await run([doc("a"), doc("d")], full)).toEqual(counts(1, 1, 2));
    expect(await contents()).toEqual(["a", "d"]);
    expect(await run([], full)).toEqual(counts(0, 0, 2));
    expect(await contents()).toEqual([]);
  });

  it("deletes by ids, a batch at a time, in the store as in the records", async () => {
    const deletes = vi.spyOn(store, "delete");
    await run(
      Array.from({ length: 250 }, (_, n) => doc(`chunk ${n}`)),
      full,
    );
    const ids = (await store.get({ include: [] })).map((chunk) => chunk.id);
    expect(await run([], { ...full, cleanupBatchSize: 100 })).toEqual(counts(0, 0, 250));
    expect(deletes.mock.calls.map(([{ ids: batch }]) => batch!.length)).toEqual([100, 100, 50]);
    expect(deletes.mock.calls.flatMap(([{ ids: batch }]) => batch!).sort()).toEqual(ids.toSorted());
    expect(await records.exists(ids.slice(0, 10))).toEqual(Array.from({ length: 10 }, () => false));
  });

  it("forceUpdate embeds and writes everything again, without duplicates", async () => {
    await run([doc("a"), doc("b")]);
    const [first] = await store.get();
    await store.addDocuments([{ pageContent: "spoiled", metadata: {}, id: first!.id }]);
    expect(await run([doc("a"), doc("b")])).toEqual(counts(0, 2));
    expect(await contents()).toContain("spoiled");
    embeddings.embedded = 0;
    expect(await run([doc("a"), doc("b"), doc("c")], { ...full, forceUpdate: true })).toEqual(counts(1, 0, 0, 2));
    expect(embeddings.embedded).toBe(3);
    expect(await contents()).toEqual(["a", "b", "c"]);
  });

  it("stores duplicates once, within a batch and across batches", async () => {
    const docs = [doc("a"), doc("a"), doc("b"), doc("a"), doc("b")];
    expect((await run(docs))["numAdded"]).toBe(2);
    expect(await contents()).toEqual(["a", "b"]);
    expect((await run(docs, { batchSize: 1, ...full }))["numAdded"]).toBe(0);
    expect((await run([doc("c"), doc("c"), doc("c")], { batchSize: 1 }))["numAdded"]).toBe(1);
    expect(await contents()).toEqual(["a", "b", "c"]);
  });

  it("tells equal texts with different metadata apart", async () => {
    expect(await run([doc("same", "a"), doc("same", "b")], incremental)).toEqual(counts(2));
    expect((await store.get()).map((chunk) => chunk.metadata!["source"]).sort()).toEqual(["a", "b"]);
  });

  it("does not see a change below the first level of metadata, which LangChain's hash leaves out", async () => {
    const nested = (page: number): Document => new Document({ pageContent: "a", metadata: { loc: { page } } });
    await run([nested(1)]);
    expect(await run([nested(2)])).toEqual(counts(0, 1));
    expect(await run([nested(2)], { forceUpdate: true })).toEqual(counts(0, 0, 0, 1));
    expect((await store.get())[0]!.metadata).toEqual({ loc: { page: 2 } });
  });

  describe("after a crash", () => {
    it("heals when the embedder failed in the middle of the batches", async () => {
      const docs = ["a", "b", "c", "d", "e"].map((text) => doc(text));
      embeddings.failAt = 2;
      await expect(run(docs, { ...full, batchSize: 2 })).rejects.toThrow("The embedder is down.");
      expect(await contents()).toEqual(["a", "b"]);
      expect(await run(docs, { ...full, batchSize: 2 })).toEqual(counts(3, 2));
      expect(await contents()).toEqual(["a", "b", "c", "d", "e"]);
    });

    it("keeps the old chunks of a source whose new ones could not be embedded", async () => {
      await run([doc("old", "s")], incremental);
      embeddings.failNext();
      await expect(run([doc("new", "s")], incremental)).rejects.toThrow("The embedder is down.");
      expect(await contents()).toEqual(["old"]);
      expect(await run([doc("new", "s")], incremental)).toEqual(counts(1, 0, 1));
      expect(await contents()).toEqual(["new"]);
    });

    it.each([incremental, full])("heals when chunks were stored but not recorded ($cleanup)", async (options) => {
      await run([doc("a", "s"), doc("b", "s")], options);
      const crash = vi.spyOn(records, "update").mockImplementation(async (_keys, { groupIds }) => {
        if (groupIds !== undefined) throw new Error("crash before the records");
      });
      await expect(run([doc("c", "s")], options)).rejects.toThrow("crash before the records");
      crash.mockRestore();
      expect(await contents()).toEqual(["a", "b", "c"]);
      expect(await run([doc("c", "s")], options)).toEqual(counts(1, 0, 2));
      expect(await contents()).toEqual(["c"]);
      expect(await run([doc("c", "s")], options)).toEqual(counts(0, 1));
    });

    it.each([incremental, full])("heals when chunks were not deleted ($cleanup)", async (options) => {
      await run([doc("a", "s")], options);
      vi.spyOn(store, "delete").mockRejectedValueOnce(new Error("crash before the delete"));
      await expect(run([doc("b", "s")], options)).rejects.toThrow("crash before the delete");
      expect(await run([doc("b", "s")], options)).toEqual(counts(0, 1, 1));
      expect(await contents()).toEqual(["b"]);
    });

    it.each([incremental, full])(
      "heals when chunks were deleted but their records were not ($cleanup)",
      async (options) => {
        await run([doc("a", "s")], options);
        vi.spyOn(records, "deleteKeys").mockRejectedValueOnce(new Error("crash after the delete"));
        await expect(run([doc("b", "s")], options)).rejects.toThrow("crash after the delete");
        expect(await contents()).toEqual(["b"]);
        expect(await run([doc("b", "s")], options)).toEqual(counts(0, 1, 1));
        expect(await run([doc("a", "s")], options)).toEqual(counts(1, 0, 1));
        expect(await contents()).toEqual(["a"]);
      },
    );
  });

  /** LangChain's record manager writes in the order of the documents, and so may deadlock with itself. Ours must not. */
  async function again<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof DatabaseError || (error as { code?: unknown }).code !== "40P01") throw error;
      }
    }
  }

  it("lets several writers index the same and overlapping documents at once", async () => {
    const texts = Array.from({ length: 60 }, (_, n) => `text ${n}`);
    const writers = [texts, texts.toReversed(), texts.slice(20), texts.slice(0, 40).toReversed()];
    await Promise.all(
      writers.map((mine) =>
        again(() =>
          run(
            mine.map((text) => doc(text)),
            { batchSize: 7 },
          ),
        ),
      ),
    );
    expect(await contents()).toEqual(texts.toSorted());
    expect(
      await run(
        texts.map((text) => doc(text)),
        full,
      ),
    ).toEqual(counts(0, 60));
  });

  it("lets two writers replace their own sources at once", async () => {
    const source = (name: string, version: number): Document[] =>
      Array.from({ length: 30 }, (_, n) => doc(`${name}${n} v${version}`, name));
    await Promise.all(["x", "y"].map((name) => run(source(name, 1), { ...incremental, batchSize: 50 })));
    const replaced = await Promise.all(
      ["x", "y"].map((name) => run(source(name, 2), { ...incremental, batchSize: 50 })),
    );
    expect(replaced).toEqual([counts(30, 0, 30), counts(30, 0, 30)]);
    expect(await contents()).toEqual([...source("x", 2), ...source("y", 2)].map((d) => d.pageContent).sort());
  });

  it("keeps two collections in one table apart", async () => {
    const open2 = (collectionName: string): Promise<PostgresVectorStore> =>
      PostgresVectorStore.initialize(embeddings, {
        pool: database.pool,
        tableName: `index_collections_${serial}`,
        collectionName,
        ...testSchema(),
      });
    const [one, two] = [await open2("one"), await open2("two")];
    const [oneRecords, twoRecords] = [await open(`one_${serial}`), await open(`two_${serial}`)];
    await run([doc("a"), doc("b")], full, { store: one, records: oneRecords });
    await run([doc("a"), doc("b")], full, { store: two, records: twoRecords });
    await run([], full, { store: one, records: oneRecords });
    expect(await one.get()).toEqual([]);
    expect((await two.get()).map((chunk) => chunk.content).sort()).toEqual(["a", "b"]);
  });
});

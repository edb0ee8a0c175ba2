import { Readable } from "node:stream";
import { Embeddings } from "@langchain/core/embeddings";
import { Document } from "@langchain/core/documents";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ConfigurationError,
  DatabaseError,
  IngestError,
  InvalidVectorError,
  PostgresVectorStore,
  type BulkLoadItem,
  type BulkLoadProgress,
  type BulkLoadSource,
  type PostgresVectorStoreArgs,
  type RejectedRow,
} from "../../src/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 16;
const embeddings = new HashedEmbeddings(DIMENSIONS);
const document = (i: number): Document =>
  new Document({ id: `id-${i}`, pageContent: `text ${i} of größe`, metadata: { i, nested: { tags: ["a", "'b"] } } });
const documents = (count: number, from = 0): Document[] => Array.from({ length: count }, (_, i) => document(from + i));
const vectorOf = (i: number): number[] => Array.from({ length: DIMENSIONS }, (_, at) => Math.fround(Math.sin(i + at)));

let database: TestDatabase;
let tables = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});

afterAll(() => database.close());

const open = (args: PostgresVectorStoreArgs = {}, embedder: Embeddings = embeddings): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(embedder, {
    pool: database.pool,
    tableName: `bulk_${(tables += 1)}`,
    ...testSchema(),
    ...args,
  });

/** All that is stored, whoever it belongs to, but for the time of storing. */
async function rowsOf(store: PostgresVectorStore): Promise<Record<string, unknown>[]> {
  const client = await database.pool.connect();
  try {
    const text = `select tenant_id, collection, id, text, metadata::text, encode(content_hash, 'hex') as hash,
      embedding::text from ${store.computedTableName} order by tenant_id, collection, id`;
    return (await client.query({ text })).rows;
  } finally {
    client.release();
  }
}

async function run(text: string): Promise<void> {
  const client = await database.pool.connect();
  await client.query({ text }).finally(() => client.release());
}

describe.each<{ name: string; args: PostgresVectorStoreArgs }>([
  { name: "tenancy off", args: {} },
  { name: "row-level security", args: { tenancy: "rls", tenantId: "a" } },
  { name: "a collection under row-level security", args: { tenancy: "rls", tenantId: "a", collectionName: "c" } },
  { name: "halfvec", args: { storageType: "halfvec" } },
])("bulkLoad with $name", ({ args }) => {
  it("stores exactly what addVectors stores", async () => {
    const added = await open(args);
    const loaded = await open(args);
    const all = documents(300);
    await added.addVectors(
      all.map((_, i) => vectorOf(i)),
      all,
    );
    const result = await loaded.bulkLoad(
      all.map((item, i) => ({ document: item, embedding: i % 2 === 0 ? vectorOf(i) : Float32Array.from(vectorOf(i)) })),
      { batchRows: 70 },
    );
    expect(result).toMatchObject({ rows: 300, rejected: 0, rejectedRows: [], resumedFrom: 0 });
    expect(await rowsOf(loaded)).toEqual(await rowsOf(added));
  });

  it("overwrites the ids that are there, and of an id that comes twice the last wins", async () => {
    const store = await open(args);
    await store.bulkLoad(documents(50));
    const again = [...documents(60, 20), ...documents(5, 30)].map(
      (item, at) => new Document({ ...item, metadata: { at } }),
    );
    for (const batchRows of [7, 1_000]) await store.bulkLoad(again, { batchRows });
    const stored = await store.get({ limit: 1_000 });
    expect(stored).toHaveLength(80);
    const metadata = new Map(stored.map((row) => [row.id, row.metadata]));
    expect(metadata.get("id-19")).toMatchObject({ i: 19 });
    expect(metadata.get("id-20")).toEqual({ at: 0 });
    expect(metadata.get("id-30")).toEqual({ at: 60 });
    expect((await store.search("text 42 of größe", { k: 1 }))[0]!.distance).toBeLessThan(1e-3);
  });

  it("of a load that fails keeps whole batches only", async () => {
    const store = await open(args);
    const items = documents(25).map((item, i) => ({
      document: item,
      embedding: i === 17 ? vectorOf(i).fill(Number.NaN) : vectorOf(i),
    }));
    const error = await errorOf(store.bulkLoad(items, { batchRows: 5, embed: { batchSize: 1, concurrency: 1 } }));
    expect(error).toBeInstanceOf(IngestError);
    expect(error).toMatchObject({ row: 17, message: expect.stringContaining('Row 17 (id "id-17")') });
    expect(error.cause).toBeInstanceOf(InvalidVectorError);
    const stored = await store.get({ limit: 100 });
    expect(stored).toHaveLength(15);
  });
});

describe("bulkLoad", () => {
  const many = documents(40);
  const sources: Record<string, () => BulkLoadSource> = {
    array: () => many,
    set: () => new Set<BulkLoadItem>(many),
    generator: () => many.values(),
    "async generator": async function* () {
      for (const item of many) yield await Promise.resolve(item);
    },
    "readable stream": () => Readable.from(many, { objectMode: true, highWaterMark: 3 }),
  };

  it.each(Object.entries(sources))("reads a source that is an %s", async (_, source) => {
    const store = await open();
    expect(await store.bulkLoad(source(), { signal: new AbortController().signal })).toMatchObject({ rows: 40 });
    expect(await store.bulkLoad(source())).toMatchObject({ rows: 40 });
    expect(await store.get({ limit: 100 })).toHaveLength(40);
  });

  it("loads nothing from an empty source", async () => {
    const store = await open();
    expect(await store.bulkLoad([])).toMatchObject({ rows: 0, rejected: 0 });
  });

  it.each<[string, unknown, object | undefined, string]>([
    ["a text", "documents", {}, "got string"],
    ["binary data", Buffer.from("x"), {}, "binary data"],
    ["nothing", undefined, {}, "got undefined"],
    ["onError", [], { onError: "ignore" }, '"fail" or "skip"'],
    ["indexes", [], { indexes: "drop" }, '"keep" or "rebuild" or "auto"'],
    ["batchRows", [], { batchRows: 0 }, "batchRows"],
    ["checkpoint", [], { checkpoint: "" }, "checkpoint"],
    ["embed.batchSize", [], { embed: { batchSize: 0.5 } }, "embed.batchSize"],
    ["embed.requestsPerMinute", [], { embed: { requestsPerMinute: -1 } }, "embed.requestsPerMinute"],
  ])("refuses %s before any I/O", async (_, source, options, message) => {
    const store = new PostgresVectorStore(embeddings, { connectionString: "postgres://nobody@127.0.0.1:1/none" });
    const error = await errorOf(store.bulkLoad(source as BulkLoadSource, options));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toContain(message);
  });

  it("goes on without rows that cannot be stored, and says which and why", async () => {
    const store = await open();
    const bad: [unknown, string | undefined, string][] = [
      [null, undefined, "it is null"],
      [{ id: "no-content" }, "no-content", "pageContent"],
      [{ document: document(1) }, "id-1", "no `embedding`"],
      [{ document: document(2), embedding: [1, 2] }, "id-2", "2 dimensions"],
      [{ document: document(3), embedding: vectorOf(3).fill(0) }, "id-3", "no direction"],
      [{ ...document(4), id: "" }, "", "non-empty string"],
      [{ document: document(5), embedding: ["1"] }, "id-5", "1 dimensions"],
    ];
    const items = bad.flatMap(([item], i) => [document(100 + i), item]) as BulkLoadItem[];
    const seen: RejectedRow[] = [];
    const result = await store.bulkLoad(items, { onError: "skip", onReject: (row) => seen.push(row), batchRows: 2 });
    expect(result).toMatchObject({ rows: bad.length, rejected: bad.length });
    expect(result.rejectedRows).toEqual(seen);
    expect(seen.toSorted((a, b) => a.row - b.row).map(({ row, id }) => [row, id])).toEqual(
      bad.map(([, id], i) => [2 * i + 1, id]),
    );
    for (const { row, cause } of seen) expect(cause.message).toContain(bad[(row - 1) / 2]![2]);
    expect(await store.get({ limit: 100 })).toHaveLength(bad.length);
  });

  it.each<PostgresVectorStoreArgs>([{}, { tenancy: "rls", tenantId: "a" }])(
    "finds the rows that the database itself refuses (%o)",
    async (args) => {
      const store = await open(args);
      const name = `bulk_${tables}`;
      await run(`alter table ${store.computedTableName} add constraint ${name}_even check (id not like 'id-%7')`);
      const result = await store.bulkLoad(documents(50), { onError: "skip", batchRows: 20 });
      expect(result).toMatchObject({ rows: 45, rejected: 5 });
      expect(result.rejectedRows.map(({ row }) => row).toSorted((a, b) => a - b)).toEqual([7, 17, 27, 37, 47]);
      expect(result.rejectedRows[0]!.cause).toBeInstanceOf(DatabaseError);
      expect(await store.get({ limit: 100 })).toHaveLength(45);
      const error = await errorOf(store.bulkLoad(documents(50)));
      expect(error).toMatchObject({ sqlstate: "23514" });
    },
  );

  it.each<PostgresVectorStoreArgs>([{}, { tenancy: "rls", tenantId: "a" }])(
    "repeats a batch after a serialization failure, on one connection too (%o)",
    async (args) => {
      const pool = database.kind === "server" ? database.newPool({ max: 1 }) : database.pool;
      const store = await open({ ...args, pool });
      const name = `bulk_${tables}_fails`;
      const schema = testSchema().schemaName === undefined ? "" : `"${testSchema().schemaName}".`;
      await run(`
        create sequence ${schema}${name}; grant usage on sequence ${schema}${name} to public;
        create function ${schema}${name}() returns trigger language plpgsql as $$ begin
          if new.id = 'id-25' and nextval('${schema}${name}') <= 2 then
            raise exception 'could not serialize' using errcode = '40001';
          end if;
          return new;
        end $$;
        create trigger ${name} before insert on ${store.computedTableName} for each row execute function ${schema}${name}();`);
      expect(await store.bulkLoad(documents(100), { batchRows: 10 })).toMatchObject({ rows: 100 });
      expect(await store.get({ limit: 1_000 })).toHaveLength(100);
    },
  );

  it("reports progress, and the time left of a source whose length is known", async () => {
    const store = await open();
    const events: BulkLoadProgress[] = [];
    const result = await store.bulkLoad(documents(30), { batchRows: 10, onProgress: (event) => events.push(event) });
    const loading = events.filter(({ phase }) => phase === "loading");
    expect(loading.map(({ rows }) => rows)).toEqual([10, 20, 30]);
    expect(loading.every(({ total, rowsPerSecond }) => total === 30 && rowsPerSecond > 0)).toBe(true);
    expect(loading[0]!.remainingMs).toBeGreaterThan(0);
    expect(loading.at(-1)).toMatchObject({ remainingMs: 0, bytes: result.bytes });
    const unknown: BulkLoadProgress[] = [];
    await store.bulkLoad(documents(30).values(), { onProgress: (event) => unknown.push(event) });
    expect(unknown[0]).toMatchObject({ total: undefined, remainingMs: undefined });
  });

  it("does not read ahead of what it writes by more than a few batches", async () => {
    const store = await open();
    let read = 0;
    let stored = 0;
    let ahead = 0;
    const source = function* (): Generator<Document> {
      for (; read < 2_000; read += 1) {
        ahead = Math.max(ahead, read - stored);
        yield document(read);
      }
    };
    await store.bulkLoad(source(), {
      batchRows: 50,
      embed: { batchSize: 10, concurrency: 2 },
      onProgress: ({ rows }) => (stored = rows),
    });
    expect(stored).toBe(2_000);
    expect(ahead).toBeGreaterThan(50);
    expect(ahead).toBeLessThanOrEqual(3 * 50 + 3 * 10);
  });

  it("stops when it is aborted, closes the source, and keeps whole batches", async () => {
    const store = await open();
    const controller = new AbortController();
    let closed = false;
    const source = async function* (): AsyncGenerator<Document> {
      try {
        for (let i = 0; ; i += 1) yield await Promise.resolve(document(i));
      } finally {
        closed = true;
      }
    };
    const reason = new Error("enough");
    const onProgress = ({ rows }: BulkLoadProgress): void => {
      if (rows >= 40) controller.abort(reason);
    };
    const load = store.bulkLoad(source(), { batchRows: 20, onProgress, signal: controller.signal });
    expect(await errorOf(load)).toBe(reason);
    await expect.poll(() => closed).toBe(true);
    const stored = await store.get({ limit: 10_000 });
    expect(stored.length).toBeGreaterThanOrEqual(40);
    expect(stored.length % 20).toBe(0);
    expect(await errorOf(store.bulkLoad([], { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });

  it("stops while the source keeps it waiting", async () => {
    const store = await open();
    const stuck: AsyncIterable<Document> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }),
    };
    const signal = AbortSignal.timeout(100);
    expect(await errorOf(store.bulkLoad(stuck, { signal }))).toBe(signal.reason);
  });

  it("passes on the failure of the source", async () => {
    const store = await open();
    const failure = new Error("the file is gone");
    const source = function* (): Generator<Document> {
      yield* documents(30);
      throw failure;
    };
    expect(await errorOf(store.bulkLoad(source(), { batchRows: 5, embed: { batchSize: 5 } }))).toBe(failure);
  });

  it("encrypts the content, and rejects what the cipher fails on", async () => {
    const store = await open({
      tenancy: "rls",
      tenantId: "a",
      contentCipher: {
        encrypt: (text, { id }) => {
          if (id === "id-3") throw new Error("no key for this one");
          return Buffer.from(text).toString("base64");
        },
        decrypt: (text) => Buffer.from(text, "base64").toString(),
      },
    });
    expect((await errorOf(store.bulkLoad(documents(6)))).message).toContain("id-3");
    const result = await store.bulkLoad(documents(6), { onError: "skip" });
    expect(result).toMatchObject({ rows: 5, rejected: 1, rejectedRows: [{ row: 3, id: "id-3" }] });
    expect((await rowsOf(store))[0]!["text"]).toBe(Buffer.from("text 0 of größe").toString("base64"));
    expect((await store.getByIds(["id-5"]))[0]!.pageContent).toBe("text 5 of größe");
  });
});

/** An embedder whose server is as unreliable as it is told. */
class ShakyEmbeddings extends Embeddings {
  requests = 0;
  inFlight = 0;
  most = 0;

  constructor(private readonly fail: (request: number, texts: readonly string[]) => Error | undefined) {
    super({});
  }

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    this.requests += 1;
    const failure = this.fail(this.requests, texts);
    this.inFlight += 1;
    this.most = Math.max(this.most, this.inFlight);
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.inFlight -= 1;
    if (failure) throw failure;
    return embeddings.embedDocuments(texts);
  }

  override embedQuery(text: string): Promise<number[]> {
    return embeddings.embedQuery(text);
  }
}

const refused = (status: number): Error => Object.assign(new Error(`status ${status}`), { status });

describe("embedding in a bulk load", () => {
  it("keeps a few requests in flight and the order of the rows", async () => {
    const embedder = new ShakyEmbeddings(() => undefined);
    const store = await open({ dimensions: DIMENSIONS }, embedder);
    await store.bulkLoad(documents(100), { embed: { batchSize: 10, concurrency: 3 } });
    expect(embedder.requests).toBe(10);
    expect(embedder.most).toBe(3);
    const stored = await store.get({ ids: ["id-57"], include: ["embeddings"] });
    expect(stored[0]!.embedding).toEqual(await embeddings.embedQuery("text 57 of größe"));
  });

  it("tries again after a failure that may pass, and only then", async () => {
    const passing = new ShakyEmbeddings((request) => (request <= 2 ? refused(503) : undefined));
    const store = await open({ dimensions: DIMENSIONS }, passing);
    expect(await store.bulkLoad(documents(5), { embed: { retries: 2 } })).toMatchObject({ rows: 5 });
    expect(passing.requests).toBe(3);
    const lasting = new ShakyEmbeddings(() => refused(401));
    const other = await open({ dimensions: DIMENSIONS }, lasting);
    expect((await errorOf(other.bulkLoad(documents(5), { onError: "skip" }))).message).toBe("status 401");
    expect(lasting.requests).toBe(1);
  });

  it("finds the text that the server cannot take", async () => {
    const embedder = new ShakyEmbeddings((_, texts) =>
      texts.some((text) => text.includes(" 7 ")) ? refused(400) : undefined,
    );
    const store = await open({ dimensions: DIMENSIONS }, embedder);
    const result = await store.bulkLoad(documents(20), { onError: "skip" });
    expect(result).toMatchObject({ rows: 19, rejected: 1, rejectedRows: [{ row: 7, id: "id-7" }] });
    expect((await errorOf(store.bulkLoad(documents(20)))).message).toBe("status 400");
  });

  it("rejects the rows of wrong vectors, and refuses a wrong number of them", async () => {
    class Wrong extends HashedEmbeddings {
      override async embedDocuments(texts: string[]): Promise<number[][]> {
        const vectors = await super.embedDocuments(texts);
        vectors[1] = [1, 2, 3];
        return texts.length === 3 ? vectors.slice(1) : vectors;
      }
    }
    const store = await open({ dimensions: DIMENSIONS }, new Wrong(DIMENSIONS));
    const result = await store.bulkLoad(documents(5), { onError: "skip" });
    expect(result).toMatchObject({ rows: 4, rejectedRows: [{ row: 1 }] });
    expect(await errorOf(store.bulkLoad(documents(3), { onError: "skip" }))).toBeInstanceOf(IngestError);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { DataPoint, Histogram } from "@opentelemetry/sdk-metrics";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { HumanMessage } from "@langchain/core/messages";
import { RunnableLambda } from "@langchain/core/runnables";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { syncDocuments } from "../../src/loaders/index.js";
import {
  describeServer,
  openTestDatabase,
  testSchema,
  type ServerTestDatabase,
  type TestDatabase,
} from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { RecordingSdk } from "../helpers/telemetry.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const TENANT = "tenant-name-that-leaks";
const CONTENT = "content that leaks";
const QUERY = "query that leaks";
const embeddings = new HashedEmbeddings();
const documents = ["1", "2", "3"].map((id) => ({
  id,
  pageContent: `${CONTENT} ${id}`,
  metadata: { secret: `metadata that leaks ${id}` },
}));

const sdk = new RecordingSdk();
let database: TestDatabase;
let owner: PostgresVectorStore;
let store: PostgresVectorStore;

const open = (args: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(embeddings, {
    pool: database.pool,
    tableName: "traced",
    tenancy: "rls",
    lexical: true,
    collectionName: "c",
    ...testSchema(),
    ...args,
  });

beforeAll(async () => {
  database = await openTestDatabase();
  sdk.register();
  owner = await open();
  store = owner.forTenant(TENANT);
  await store.addDocuments(documents);
});

afterAll(async () => {
  await sdk.unregister();
  await owner.end();
  await database.close();
});

const names = (spans: readonly ReadableSpan[]): string[] => spans.map(({ name }) => name);

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const item of items) void item;
}

/** Every public call, and the spans that it leaves. */
const CALLS: Record<string, [work: () => Promise<unknown>, spans?: string[]]> = {
  addDocuments: [() => store.addDocuments(documents)],
  addVectors: [async () => store.addVectors(await embeddings.embedDocuments(["a"]), documents.slice(0, 1))],
  bulkLoad: [() => store.bulkLoad(documents)],
  search: [() => store.search(QUERY)],
  "search by words": [() => store.search(CONTENT, { searchType: "lexical" }), ["search"]],
  "search by both": [() => store.search(CONTENT, { searchType: "hybrid" }), ["search"]],
  "search by vector": [async () => store.search(await embeddings.embedQuery(QUERY)), ["search"]],
  similaritySearch: [() => store.similaritySearch(QUERY), ["search"]],
  similaritySearchWithScore: [() => store.similaritySearchWithScore(QUERY), ["search"]],
  asRetriever: [() => store.asRetriever({ k: 2 }).invoke(QUERY), ["search"]],
  maxMarginalRelevanceSearch: [() => store.maxMarginalRelevanceSearch(QUERY, { k: 2, fetchK: 3 })],
  explain: [() => store.explain(QUERY)],
  get: [() => store.get({ ids: ["1"] })],
  getByIds: [() => store.getByIds(["1"])],
  getNeighbours: [() => store.getNeighbours([documents[0]!], { sourceKey: "secret", positionKey: "n" })],
  expire: [() => store.expire({ olderThanMs: 86_400_000 })],
  delete: [() => store.delete({ ids: ["3"] })],
  getOrCreateCollection: [() => store.getOrCreateCollection()],
  ensureTableInDatabase: [() => store.ensureTableInDatabase()],
  stats: [() => store.stats()],
  initialize: [() => open()],
  createHnswIndex: [() => owner.createHnswIndex({ targetRecall: false }), ["indexes.create"]],
  "indexes.list": [() => owner.indexes.list()],
  "models.status": [() => owner.models.status()],
  "tenants.list": [() => owner.tenants.list()],
  "tenants.export": [() => drain(owner.tenants.export(TENANT))],
  "lexical.state": [() => store.lexical.state()],
  "sources.find": [() => store.sources.find(["leaks.md"])],
  "sources.list": [() => drain(store.sources.list())],
  "chatHistory.addMessages": [() => store.chatHistory("talk").addMessages([new HumanMessage(CONTENT)])],
  "chatHistory.addMessage": [() => store.chatHistory("talk").addUserMessage(CONTENT)],
  "pool.query": [() => store.pool.query("select 1")],
};

describe("spans", () => {
  it.each(Object.entries(CALLS))("%s leaves one, without anything of the tenant's", async (name, [work, spans]) => {
    const found = await sdk.during(work);
    expect(names(found)).toEqual((spans ?? [name]).map((operation) => `${operation} traced`));
    const [span] = found;
    expect(span!.kind).toBe(SpanKind.CLIENT);
    expect(span!.status.code).toBe(SpanStatusCode.UNSET);
    expect(span!.attributes).toMatchObject({
      "db.system.name": "postgresql",
      "db.operation.name": (spans ?? [name])[0],
      "db.collection.name": "traced",
    });
    expect(inspect([span!.attributes, span!.events, span!.name], { depth: 9 })).not.toMatch(/leaks/);
  });

  it("say of a search how much it looked for, how, and what came", async () => {
    const [span] = await sdk.during(() => store.search(QUERY, { k: 2, filter: { secret: { $ne: "x" } } }));
    expect(span!.attributes).toEqual({
      "db.system.name": "postgresql",
      "db.operation.name": "search",
      "db.collection.name": "traced",
      "db.response.returned_rows": 2,
      "langchain_pgvector.search.k": 2,
      "langchain_pgvector.search.type": "similarity",
      "langchain_pgvector.search.filtered": true,
      "langchain_pgvector.search.strategy": "exact",
    });
    const [words] = await sdk.during(() => store.search(CONTENT, { searchType: "lexical" }));
    expect(words!.attributes["langchain_pgvector.search.type"]).toBe("lexical");
    const [written] = await sdk.during(() => store.addDocuments(documents));
    expect(written!.attributes["langchain_pgvector.chunks"]).toBe(3);
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ["a value that is no number", () => store.search(QUERY, { k: QUERY as never }), "ConfigurationError"],
    ["an unknown search type", () => store.search(QUERY, { searchType: QUERY as never }), "ConfigurationError"],
    [
      "an operator that is none",
      () => store.search(QUERY, { filter: { secret: { leaks: 1 } as never } }),
      "FilterError",
    ],
    ["what Postgres refuses", () => store.pool.query(`select '${CONTENT}'::int`), "DatabaseError"],
    ["a tenant that is none", () => owner.tenants.suspend(`no ${TENANT}`), "ConfigurationError"],
    ["a call without a tenant", () => owner.search(QUERY), "MissingTenantError"],
    ["an abort", () => store.search(QUERY, { signal: AbortSignal.abort() }), "AbortError"],
  ])("say of %s which class of error it was, and never the message", async (_, work, type) => {
    let error: unknown;
    const spans = await sdk.during(async () => (error = await errorOf(work())));
    expect(error).toBeInstanceOf(Error);
    expect(spans).toHaveLength(1);
    expect(spans[0]!.status).toEqual({ code: SpanStatusCode.ERROR });
    expect(spans[0]!.attributes["error.type"]).toBe(type);
    expect(inspect([spans[0]!.attributes, spans[0]!.events], { depth: 9 })).not.toMatch(/leaks/);
  });

  it("say which SQLSTATE it was", async () => {
    const [refused] = await sdk.during(() => errorOf(store.pool.query("select 1/0")));
    expect(refused!.attributes["db.response.status_code"]).toBe("22012");
  });

  it("name the tenant where that is asked for", async () => {
    const named = (await open({ telemetry: { tenant: true } })).forTenant(TENANT);
    const [span] = await sdk.during(() => named.search(QUERY));
    expect(span!.attributes["langchain_pgvector.tenant.id"]).toBe(TENANT);
    const [failed] = await sdk.during(() => errorOf(named.search(QUERY, { k: -1 })));
    expect(failed!.attributes["langchain_pgvector.tenant.id"]).toBe(TENANT);
  });

  it("say how often a transaction was done again", async () => {
    const table = owner.computedTableName;
    const client = await database.pool.connect();
    // A sequence is not rolled back, so that only the first attempt fails.
    for (const text of [
      "create sequence telemetry_attempts",
      "grant usage on sequence telemetry_attempts to public",
      `create function telemetry_stumble() returns trigger language plpgsql as $$ begin
         if nextval('telemetry_attempts') = 1 then raise exception '${CONTENT}' using errcode = '40001'; end if;
         return null; end $$`,
      `create trigger stumble before insert on ${table} execute function telemetry_stumble()`,
    ]) {
      await client.query({ text });
    }
    client.release();
    const [span] = await sdk.during(() => store.addDocuments(documents));
    expect(span!.status.code).toBe(SpanStatusCode.UNSET);
    expect(span!.attributes["langchain_pgvector.retries"]).toBe(1);
  });

  it("end when an export is read to its end or given up, with what was read", async () => {
    const [whole] = await sdk.during(() => drain(owner.tenants.export(TENANT)));
    expect(whole!.attributes["db.response.returned_rows"]).toBeGreaterThan(3);
    const [part] = await sdk.during(async () => {
      for await (const record of owner.tenants.export(TENANT)) if (record.type === "header") break;
    });
    expect(part!.attributes["db.response.returned_rows"]).toBe(1);
    const aborted = owner.tenants.export(TENANT, { signal: AbortSignal.abort() });
    const [failed] = await sdk.during(() => errorOf(drain(aborted)));
    expect(failed!.status.code).toBe(SpanStatusCode.ERROR);
    expect(failed!.attributes["error.type"]).toBe("AbortError");
  });
});

it("follows a change of the embedding model", async () => {
  const changing = await PostgresVectorStore.initialize(embeddings, {
    pool: database.pool,
    tableName: "changing",
    ...testSchema(),
  });
  await changing.addDocuments(documents);
  const options = { embeddings: new HashedEmbeddings(8), model: "short" };
  const spans = await sdk.during(async () => {
    const { fingerprint } = await changing.models.add(options);
    const both = await PostgresVectorStore.initialize(embeddings, {
      pool: database.pool,
      tableName: "changing",
      embedders: { [fingerprint]: options.embeddings },
      ...testSchema(),
    });
    await both.models.backfill({ maxSlowdown: false });
    await both.end();
    expect(both.processStats().embedding.document).toMatchObject({ texts: 3, failures: 0 });
  });
  await changing.end();
  expect(names(spans)).toEqual(["models.add changing", "initialize changing", "models.backfill changing"]);
});

it("keeps what a sync does under one span, and counts what it leaves as it is", async () => {
  const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-telemetry-"));
  try {
    writeFileSync(join(folder, "leaks.txt"), CONTENT);
    const before = { ...store.processStats().chunks };
    const spans = await sdk.during(() => syncDocuments(store, folder));
    const sync = spans.at(-1)!;
    expect(sync.name).toBe("syncDocuments traced");
    expect(sync.parentSpanContext).toBeUndefined();
    for (const span of spans.slice(0, -1)) {
      expect(span.parentSpanContext?.spanId).toBe(sync.spanContext().spanId);
      expect(span.name).toMatch(/^(sources\.|get )/);
    }
    expect(inspect(spans.map(({ attributes }) => attributes))).not.toMatch(/leaks/);
    await syncDocuments(store, folder);
    for await (const source of store.sources.list()) await store.sources.remove(source);
    expect(store.processStats().chunks).toEqual({
      written: before.written + 1,
      skipped: before.skipped + 1,
      deleted: before.deleted + 1,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("nesting", () => {
  it("makes each call a child of the span that is active", async () => {
    const tracer = trace.getTracer("application");
    const spans = await sdk.during(() =>
      tracer.startActiveSpan("request", async (parent) => {
        await Promise.all([store.search(QUERY), store.get({ ids: ["1"] })]);
        await store.search(QUERY);
        parent.end();
      }),
    );
    const request = spans.find(({ name }) => name === "request")!;
    const children = spans.filter((span) => span !== request);
    expect(names(children).sort()).toEqual(["get traced", "search traced", "search traced"]);
    for (const child of children) expect(child.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
  });

  it("holds within a chain of LangChain, callbacks and all", async () => {
    const tracer = trace.getTracer("application");
    const seen: string[] = [];
    const chain = store
      .asRetriever({ k: 2 })
      .pipe(RunnableLambda.from((found: { id?: string }[]) => found.map(({ id }) => id)));
    const spans = await sdk.during(() =>
      tracer.startActiveSpan("chain", async (parent) => {
        await chain.invoke(QUERY, {
          callbacks: [
            { handleRetrieverStart: () => void seen.push("start"), handleRetrieverEnd: () => void seen.push("end") },
          ],
        });
        parent.end();
      }),
    );
    expect(names(spans)).toEqual(["search traced", "chain"]);
    expect(spans[0]!.parentSpanContext?.spanId).toBe(spans[1]!.spanContext().spanId);
    expect(seen).toEqual(["start", "end"]);
  });

  it("makes what a step of a search reads a child of the search", async () => {
    const spans = await sdk.during(() =>
      store.search(QUERY, {
        postProcess: [async (_question, hits, { store: read }) => (await read!.get({ ids: ["1"] })) && hits],
      }),
    );
    expect(names(spans)).toEqual(["get traced", "search traced"]);
    expect(spans[0]!.parentSpanContext?.spanId).toBe(spans[1]!.spanContext().spanId);
    expect(context.active()).toBeDefined();
  });
});

describe("metrics", () => {
  const find = async (name: string): Promise<DataPoint<unknown>[]> =>
    (await sdk.read()).find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? [];
  const sum = async (name: string, attributes: object): Promise<number> =>
    (await find(name))
      .filter((point) => Object.entries(attributes).every(([key, value]) => point.attributes[key] === value))
      .reduce((total, { value }) => total + (value as number), 0);

  it("measure each call in seconds, failed ones by their class", async () => {
    const count = async (attributes: object): Promise<number> =>
      (await find("db.client.operation.duration"))
        .filter((point) => Object.entries(attributes).every(([key, value]) => point.attributes[key] === value))
        .reduce((total, { value }) => total + (value as Histogram).count, 0);
    const search = { "db.operation.name": "search", "db.collection.name": "traced" };
    const before = [await count(search), await count({ ...search, "error.type": "ConfigurationError" })];
    await store.search(QUERY);
    await errorOf(store.search(QUERY, { k: -1 }));
    expect(await count(search)).toBe(before[0]! + 2);
    expect(await count({ ...search, "error.type": "ConfigurationError" })).toBe(before[1]! + 1);
    const [point] = await find("db.client.operation.duration");
    expect((point!.value as Histogram).buckets.boundaries).toEqual([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]);
    expect(inspect(await sdk.read(), { depth: 12 })).not.toMatch(/leaks/);
  });

  describeServer("of pools", () => {
    it("say how many connections there are, and none when the store has ended", async () => {
      const { url } = database as ServerTestDatabase;
      const pooled = await PostgresVectorStore.initialize(embeddings, {
        connectionString: url,
        postgresConnectionOptions: { max: 3 },
        tableName: "pooled",
        ...testSchema(),
      });
      const of = { "db.client.connection.pool.name": "pooled primary" };
      await Promise.all([pooled.get(), pooled.get(), pooled.get(), pooled.get()]);
      expect(await sum("db.client.connection.count", { ...of, "db.client.connection.state": "idle" })).toBe(3);
      expect(await sum("db.client.connection.count", { ...of, "db.client.connection.state": "used" })).toBe(0);
      expect(await sum("db.client.connection.max", of)).toBe(3);
      const holder = await (database as ServerTestDatabase).newPool({ max: 1 }).connect();
      await holder.query("select pg_advisory_lock(1)");
      const held = pooled.pool.query("select pg_advisory_xact_lock(1)");
      await expect
        .poll(() => sum("db.client.connection.count", { ...of, "db.client.connection.state": "used" }), {
          timeout: 10_000,
        })
        .toBe(1);
      await holder.query("select pg_advisory_unlock(1)");
      holder.release();
      await held;
      await pooled.end();
      expect(await sum("db.client.connection.count", of)).toBe(0);
    });
  });

  it("count embeddings and chunks", async () => {
    const of = { "db.collection.name": "traced" };
    const document = { ...of, "langchain_pgvector.embedding.input": "document" };
    const chunks = (outcome: string) =>
      sum("langchain_pgvector.ingest.chunks", { ...of, "langchain_pgvector.ingest.outcome": outcome });
    const read = async () => ({
      texts: await sum("langchain_pgvector.embedding.texts", document),
      characters: await sum("langchain_pgvector.embedding.characters", document),
      queries: await sum("langchain_pgvector.embedding.requests", {
        ...of,
        "langchain_pgvector.embedding.input": "query",
      }),
      written: await chunks("written"),
      deleted: await chunks("deleted"),
      skipped: await chunks("skipped"),
    });
    const before = await read();
    await store.addDocuments(documents);
    await store.search(QUERY);
    await store.delete({ ids: ["1", "2", "not there"] });
    await store.bulkLoad([documents[0]!, { document: documents[1]!, embedding: [1] }], {
      onError: "skip",
    });
    const after = await read();
    expect(after).toEqual({
      texts: before.texts + 4,
      characters:
        before.characters +
        documents.reduce((total, { pageContent }) => total + pageContent.length, 0) +
        documents[0]!.pageContent.length,
      queries: before.queries + 1,
      written: before.written + 4,
      deleted: before.deleted + 2,
      skipped: before.skipped + 1,
    });
  });
});

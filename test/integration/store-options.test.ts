import { randomBytes } from "node:crypto";
import type { Serializable } from "@langchain/core/load/serializable";
import { Document } from "@langchain/core/documents";
import { PGVectorStore } from "@langchain/community/vectorstores/pgvector";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../../src/index.js";
import { describeServer, openServerDatabase, type ServerTestDatabase, testSchema } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { recordQueries } from "../helpers/recorded-queries.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(8);
const { schemaName: SCHEMA = "public", extensionSchemaName: EXTENSION_SCHEMA = "public" } = testSchema();
const quoted = pg.escapeIdentifier;

const documents = ["red apples", "green pears", "blue plums"].map(
  (pageContent) => new Document({ id: pageContent, pageContent, metadata: { colour: pageContent.split(" ")[0] } }),
);
/** Text that does not compress. */
const randomText = (length: number): string => randomBytes(length / 2).toString("hex");
const contents = (found: Document[]): string[] => found.map((document) => document.pageContent).sort();
const everything = contents(documents);

describeServer("PostgresVectorStore", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });

  afterAll(() => database.close());

  const newTable = (): string => `options_${(tables += 1)}`;

  const open = (config: PostgresVectorStoreArgs = {}, embedder = embeddings): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embedder, { pool, tableName: newTable(), ...testSchema(), ...config });

  const filled = async (config: PostgresVectorStoreArgs = {}): Promise<PostgresVectorStore> => {
    const store = await open(config);
    await store.addDocuments(documents);
    return store;
  };

  /** Enough rows that a search by index is the cheaper one. */
  const fillUp = async (store: PostgresVectorStore): Promise<void> => {
    await pool.query(
      `insert into ${store.computedTableName} (tenant_id, collection, id, text, metadata, content_hash, embedding)
       select 'default', '', 'filler ' || n, 'filler', '{}', '', (
         select array_agg(random()) from generate_series(1, 8) where n is not null
       )::${quoted(EXTENSION_SCHEMA)}.vector
       from generate_series(1, 6000) as n`,
    );
  };

  const rows = async (text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> =>
    (await pool.query<Record<string, unknown>>(text, values)).rows;

  const columnTypes = async (store: PostgresVectorStore): Promise<Record<string, unknown>> => {
    const found = await rows(
      `select attname, format_type(atttypid, atttypmod) as type from pg_attribute
       where attrelid = to_regclass($1) and attnum > 0`,
      [store.computedTableName],
    );
    return Object.fromEntries(found.map(({ attname, type }) => [attname, String(type).replace(/^.*\./, "")]));
  };

  describe("options", () => {
    const url = (): URL => new URL(database.url);

    /** A test for each option; the compiler sees to it that none is missing. */
    const options: Record<keyof PostgresVectorStoreArgs, () => Promise<void>> = {
      async connectionString() {
        const store = await filled({ pool: undefined as never, connectionString: database.url });
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        await store.end();
        expect((await errorOf(store.similaritySearch("red"))).name).toBe("DatabaseError");
      },

      async postgresConnectionOptions() {
        const { hostname: host, port, username: user, password, pathname } = url();
        const postgresConnectionOptions = { host, port: Number(port), user, password, database: pathname.slice(1) };
        const config = { ...testSchema(), postgresConnectionOptions, tableName: newTable() };
        const store = await PostgresVectorStore.initialize(embeddings, config);
        await store.addDocuments(documents);
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        await store.end();
        const both = { ...config, postgresConnectionOptions: { max: 1 }, connectionString: database.url };
        const together = await PostgresVectorStore.initialize(embeddings, both);
        expect(await together.get()).toHaveLength(3);
        await together.end();
      },

      async pool() {
        const own = database.newPool({ max: 1 });
        const store = await filled({ pool: own });
        await store.end();
        expect(own.ended).toBe(false);
        expect((await errorOf(open({ pool: {} as never }))).message).toMatch(/`pool` must be a pg\.Pool/);
        expect(() => new PostgresVectorStore(embeddings, {})).toThrow(/connectionString/);
      },

      // With a real standby in replicas.test.ts; here there is none.
      async readPool() {
        expect((await errorOf(open({ readPool: {} as never }))).message).toMatch(/`readPool` must be a pg\.Pool/);
        const readPool = database.newPool({ max: 1 });
        const store = await filled({ readPool });
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        await store.end();
        expect(readPool.ended).toBe(false);
      },

      async replicaConnectionString() {
        const store = await filled({ replicaConnectionString: [database.url] });
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        await store.end();
        expect((await errorOf(open({ replicaConnectionString: "" }))).message).toMatch(/address of a standby/);
      },

      async maxReplicaLagMs() {
        const replica = { replicaConnectionString: database.url };
        expect((await errorOf(open({ ...replica, maxReplicaLagMs: -1 }))).message).toMatch(/maxReplicaLagMs/);
        expect((await errorOf(open({ maxReplicaLagMs: 1 }))).message).toMatch(/goes with `readPool`/);
      },

      async catchUpMs() {
        expect((await errorOf(open({ catchUpMs: 1 }))).message).toMatch(/goes with `readPool`/);
      },

      async readYourWrites() {
        expect((await errorOf(open({ readYourWrites: true }))).message).toMatch(/goes with `readPool`/);
        const store = await filled({ replicaConnectionString: database.url, readYourWrites: true });
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        await store.end();
      },

      async lexical() {
        const store = await filled({ lexical: { language: "simple", k1: 2, b: 0 } });
        expect(await store.lexical.state()).toMatchObject({ language: "simple", k1: 2, b: 0, chunks: 3 });
        const [hit] = await store.search("red", { searchType: "lexical" });
        expect(hit!.lexical!.terms).toEqual(["red"]);
        expect((await errorOf(open({ lexical: { k1: 99 } }))).message).toMatch(/lexical\.k1/);
      },

      async fusion() {
        const store = await filled({ searchType: "hybrid", fusion: () => new Map([["nobody", 1]]) });
        expect((await store.search("red")).every((hit) => hit.score === 0)).toBe(true);
        expect((await errorOf(open({ fusion: "sum" as never }))).message).toMatch(/fusion "sum"/);
      },

      async weights() {
        const store = await filled({ searchType: "hybrid", weights: { dense: 0, lexical: 1 } });
        const hits = await store.search("red");
        expect(hits[0]!.lexical!.rank).toBe(1);
        expect(hits[0]!.score).toBe(1);
        expect((await errorOf(open({ weights: { dense: -1, lexical: 1 } }))).message).toMatch(/weights must be/);
      },

      async tableName() {
        const store = await filled({ tableName: 'My "odd" Täble; --' });
        expect(await rows("select from pg_class where relname = $1", [store.tableName])).toHaveLength(1);
        const usual = await PostgresVectorStore.initialize(embeddings, { pool, ...testSchema() });
        expect(usual.tableName).toBe("langchain_chunks");
        expect((await errorOf(open({ tableName: "" }))).name).toBe("ConfigurationError");
        expect((await errorOf(open({ tableName: "x".repeat(64) }))).message).toMatch(/64 bytes/);
      },

      async collectionTableName() {
        const store = await filled({ collectionTableName: "my_collections" });
        const found = await rows(`select name from ${quoted(SCHEMA)}.my_collections`);
        expect(found).toEqual([{ name: "langchain" }]);
        expect(store.collectionTableName).toBe("my_collections");
        expect((await errorOf(open({ tableName: "same", collectionTableName: "same" }))).name).toBe(
          "ConfigurationError",
        );
      },

      async promotedKeys() {
        const store = await filled({ promotedKeys: { color: "text" } });
        expect(await columnTypes(store)).toMatchObject({ promoted_color: "text" });
        const bad = { color: "string" } as never;
        expect((await errorOf(open({ promotedKeys: bad }))).message).toMatch(
          /"string"; use "text", "number", "boolean"/,
        );
      },

      async collectionName() {
        const tableName = newTable();
        const [one, other] = [
          await filled({ tableName, collectionName: "one" }),
          await open({ tableName, collectionName: "other" }),
        ];
        expect(await other.similaritySearch("red", 9)).toEqual([]);
        await other.addDocuments([new Document({ id: "red apples", pageContent: "the other's" })]);
        expect(contents(await other.similaritySearch("red", 9))).toEqual(["the other's"]);
        expect(contents(await one.similaritySearch("red", 9))).toEqual(everything);
        expect((await errorOf(open({ collectionName: "" }))).name).toBe("ConfigurationError");
        expect((await errorOf(open({ collectionName: "x".repeat(501) }))).message).toMatch(/at most 500 bytes/);
      },

      async collectionMetadata() {
        const store = await filled({ collectionName: "described", collectionMetadata: { team: "search" } });
        const found = await rows(`select cmetadata from ${store.computedCollectionTableName}`);
        expect(found).toEqual([{ cmetadata: { team: "search" } }]);
        expect(store.collectionMetadata).toEqual({ team: "search" });
      },

      async schemaName() {
        const store = await filled({ schemaName: "my Schema", tableName: "here" });
        expect(await rows(`select from "my Schema".here`)).toHaveLength(3);
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        // Without a schema, the search path finds the table.
        const found = database.newPool({ options: '-c search_path="my\\ Schema"' });
        const unnamed = await PostgresVectorStore.initialize(embeddings, { pool: found, tableName: "here" });
        expect(await unnamed.get()).toHaveLength(3);
        expect((await errorOf(open({ schemaName: "" }))).name).toBe("ConfigurationError");
      },

      async extensionSchemaName() {
        const other = await openServerDatabase();
        const own = other.newPool();
        await own.query("drop extension vector");
        const config = { pool: own, ...testSchema(), extensionSchemaName: "the Extension" };
        const store = await PostgresVectorStore.initialize(embeddings, config);
        await store.addDocuments(documents);
        await store.createHnswIndex();
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        expect((await store.get({ include: ["embeddings"] }))[0]!.embedding).toHaveLength(8);
        expect(store.computedOperatorString).toBe('operator("the Extension".<=>)');
        // A database that has the extension elsewhere already keeps it there.
        const again = await PostgresVectorStore.initialize(embeddings, {
          pool: own,
          ...testSchema(),
          tableName: "again",
        });
        await again.addDocuments(documents);
        expect(contents(await again.similaritySearch("red", 9))).toEqual(everything);
        await other.close();
      },

      async skipInitializationCheck() {
        const tableName = newTable();
        const skip = { tableName, skipInitializationCheck: true };
        expect((await errorOf(open(skip))).name).toBe("SchemaVersionError");
        await filled({ tableName });
        expect(contents(await (await open(skip)).similaritySearch("red", 9))).toEqual(everything);
      },

      async columns() {
        const columns = {
          idColumnName: "Doc id",
          vectorColumnName: "the vector",
          contentColumnName: 'con"tent',
          metadataColumnName: "select",
        };
        const store = await filled({ columns });
        expect(await columnTypes(store)).toMatchObject({
          "Doc id": "text",
          "the vector": "vector(8)",
          'con"tent': "text",
          select: "jsonb",
        });
        await store.createHnswIndex();
        expect(contents(await store.similaritySearch("red", 9, { colour: "red" }))).toEqual(["red apples"]);
        expect(await store.get({ ids: ["red apples"], include: ["documents", "metadatas", "embeddings"] })).toEqual([
          {
            id: "red apples",
            content: "red apples",
            metadata: { colour: "red" },
            embedding: await embeddings.embedQuery("red apples"),
          },
        ]);
        await store.delete({ ids: ["red apples"] });
        // Names that swap their meaning must not confuse the order of `get`.
        const swapped = await open({ columns: { idColumnName: "content", contentColumnName: "id" } });
        const named = [new Document({ id: "b", pageContent: "1" }), new Document({ id: "a", pageContent: "2" })];
        await swapped.addDocuments(named);
        expect((await swapped.get()).map(({ id }) => id)).toEqual(["a", "b"]);
        expect((await errorOf(open({ columns: { idColumnName: "text" } }))).message).toMatch(/another column/);
        expect((await errorOf(open({ columns: { idColumnName: "tenant_id" } }))).message).toMatch(/another column/);
      },

      async filter() {
        const tableName = newTable();
        const all = await filled({ tableName });
        const store = await open({ tableName, filter: { colour: { in: ["red", "green"] } } });
        expect(contents(await store.similaritySearch("plums", 9))).toEqual(["green pears", "red apples"]);
        expect(contents(await store.similaritySearch("plums", 9, { colour: "blue" }))).toEqual([]);
        expect(contents(await store.similaritySearch("plums", 9, { colour: "red" }))).toEqual(["red apples"]);
        expect(await store.get()).toHaveLength(2);
        await store.delete({ filter: { colour: { neq: "green" } } });
        expect((await all.get()).map(({ id }) => id)).toEqual(["blue plums", "green pears"]);
        expect((await errorOf(open({ filter: { colour: { nope: 1 } } as never }))).name).toBe("FilterError");
      },

      async verbose() {
        expect((await open({ verbose: true }))._verbose).toBe(true);
        expect((await open())._verbose).toBeUndefined();
      },

      async chunkSize() {
        const recording = database.newPool({ max: 1 });
        const queries = recordQueries(recording);
        const store = await filled({ pool: recording, chunkSize: 2 });
        expect(queries.filter(({ text }) => text.includes("langchain-pgvector:upsert"))).toHaveLength(2);
        expect(await store.get()).toHaveLength(3);
        expect((await errorOf(open({ chunkSize: 0 }))).message).toMatch(/chunkSize must be a whole number from 1/);
      },

      async metadataOnUpsert() {
        const again = { id: "again", pageContent: "again", metadata: { a: 2, gone: null, c: 3 } };
        for (const [metadataOnUpsert, metadata] of [
          ["replace", { a: 2, gone: null, c: 3 }],
          ["merge", { a: 2, b: { nested: null }, c: 3 }],
        ] as const) {
          const store = await open({ metadataOnUpsert });
          const first = { ...again, metadata: { a: 1, b: { nested: null }, gone: "soon" } };
          for (const document of [first, again]) await store.addDocuments([document]);
          expect((await store.getByIds(["again"]))[0]!.metadata).toEqual(metadata);
        }
        expect((await errorOf(open({ metadataOnUpsert: "keep" as "merge" }))).message).toMatch(/"replace" or "merge"/);
      },

      async ids() {
        const config = { pool, ...testSchema(), tableName: newTable(), ids: ["x", "y", "z"] };
        const store = await PostgresVectorStore.fromDocuments(documents, embeddings, config);
        expect((await store.get()).map(({ id }) => id)).toEqual(["x", "y", "z"]);
        const fewer = { ...config, ids: ["x"] };
        expect((await errorOf(PostgresVectorStore.fromDocuments(documents, embeddings, fewer))).name).toBe(
          "IngestError",
        );
      },

      async distanceStrategy() {
        const vectors = [
          [3, 0],
          [0.5, 0.1],
          [0, 1],
        ].map((start) => [...start, 0, 0, 0, 0, 0, 0]);
        const query = [1, 0, 0, 0, 0, 0, 0, 0];
        const nearest = async (config: PostgresVectorStoreArgs): Promise<[string, number]> => {
          const store = await open(config);
          await store.addVectors(vectors, documents);
          const [hit] = await store.similaritySearchVectorWithScore(query, 1);
          return [hit![0].pageContent, hit![1]];
        };
        expect(await nearest({})).toEqual(["red apples", 0]);
        expect(await nearest({ distanceStrategy: "cosine" })).toEqual(["red apples", 0]);
        expect(await nearest({ distanceStrategy: "innerProduct" })).toEqual(["red apples", -3]);
        expect(await nearest({ distanceStrategy: "euclidean" })).toEqual(["green pears", expect.closeTo(0.5099, 4)]);
        expect((await errorOf(open({ distanceStrategy: "manhattan" as never }))).name).toBe("ConfigurationError");
        // Without the option a store keeps the metric that it was made for; with another one it says so.
        const tableName = newTable();
        expect(await nearest({ tableName, distanceStrategy: "euclidean" })).toEqual(["green pears", expect.anything()]);
        expect(await nearest({ tableName })).toEqual(["green pears", expect.anything()]);
        const warn = vi.fn();
        const logger = { debug: vi.fn(), info: vi.fn(), warn };
        await open({ tableName, distanceStrategy: "cosine", logger });
        expect(warn).toHaveBeenCalledWith(expect.stringContaining("made for euclidean distance"));
      },

      async scoreNormalization() {
        for (const [distanceStrategy, similarity] of [
          ["cosine", 1],
          ["euclidean", 1],
          ["innerProduct", 1],
        ] as const) {
          const tableName = newTable();
          const distances = await filled({ tableName, distanceStrategy });
          const [byDefault] = await distances.similaritySearchWithScore("red apples", 1);
          expect(byDefault![1]).toBeCloseTo(distanceStrategy === "innerProduct" ? -1 : 0, 5);
          const similar = await open({ tableName, distanceStrategy, scoreNormalization: "similarity" });
          const scored = await similar.similaritySearchWithScore("red apples", 3);
          expect(scored[0]![1]).toBeCloseTo(similarity, 5);
          expect(scored.map(([, score]) => score)).toEqual(scored.map(([, score]) => score).sort((a, b) => b - a));
        }
        expect((await errorOf(open({ scoreNormalization: "percent" as never }))).name).toBe("ConfigurationError");
      },

      async dimensions() {
        const tableName = newTable();
        const counting = new HashedEmbeddings(8);
        const store = await open({ tableName, dimensions: 8 }, counting);
        expect(counting.embedded).toBe(0);
        expect(await columnTypes(store)).toMatchObject({ embedding: "vector(8)" });
        const error = await errorOf(open({ tableName, dimensions: 9 }));
        expect(error).toMatchObject({ name: "DimensionMismatchError", expected: 8, actual: 9 });
        expect((await errorOf(open({ dimensions: 16_001 }))).name).toBe("ConfigurationError");
      },

      async embeddingModel() {
        const tableName = newTable();
        await filled({ tableName, embeddingModel: "model-a" });
        expect(await (await open({ tableName, embeddingModel: "model-a" })).get()).toHaveLength(3);
        const error = await errorOf(open({ tableName, embeddingModel: "model-b" }));
        expect(error.name).toBe("UnknownModelError");
        expect(error.message).toMatch(/"model-a".*"model-b"/);
        const saying = Object.assign(new HashedEmbeddings(8), { model: "model-c" });
        expect((await errorOf(open({ tableName }, saying))).name).toBe("UnknownModelError");
      },

      async embedders() {
        const tableName = newTable();
        await filled({ tableName, embeddingModel: "model-a", embedders: {} });
        const odd = { "test/model-a@8": "no embedder" } as never;
        expect((await errorOf(open({ tableName, embedders: odd }))).message).toContain("no LangChain embedder");
        expect((await errorOf(open({ tableName, embedders: [] as never }))).name).toBe("ConfigurationError");
        const other = Object.assign(new HashedEmbeddings(8), { model: "model-b" });
        const key = (await (await open({ tableName, embeddingModel: "model-a" })).models.list())[0]!.fingerprint;
        const misfiled = open({ tableName, embeddingModel: "model-a", embedders: { [key]: other } });
        expect((await errorOf(misfiled)).message).toContain('is the model "model-b"');
        // Under another fingerprint it is one of a version to come.
        expect(await open({ tableName, embeddingModel: "model-a", embedders: { later: other } })).toBeDefined();
      },

      async quantization() {
        const quantized = await filled({ quantization: "binary" });
        expect((await quantized.models.list())[0]!.quantization).toBe("binary");
        await quantized.createHnswIndex({ targetRecall: false });
        expect(contents(await quantized.similaritySearch("red", 9))).toEqual(everything);
        expect((await errorOf(open({ quantization: "scalar" as never }))).name).toBe("ConfigurationError");
      },

      async storageType() {
        for (const storageType of ["halfvec", "sparsevec"] as const) {
          const store = await filled({ storageType });
          expect(await columnTypes(store)).toMatchObject({ embedding: `${storageType}(8)` });
          await store.createHnswIndex();
          expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        }
        const typeOf = async (dimensions: number, storageType?: "vector" | "halfvec" | "sparsevec"): Promise<unknown> =>
          (await columnTypes(await open({ dimensions, ...(storageType && { storageType }) })))["embedding"];
        expect(await typeOf(2_000)).toBe("vector(2000)");
        expect(await typeOf(2_001)).toBe("halfvec(2001)");
        expect(await typeOf(4_001)).toBe("vector(4001)");
        expect(await typeOf(2_001, "vector")).toBe("vector(2001)");
        expect(await typeOf(30_522, "sparsevec")).toBe("sparsevec(30522)");
        expect((await errorOf(open({ storageType: "bit" as never }))).name).toBe("ConfigurationError");
      },

      async searchType() {
        const store = await filled({ searchType: "similarity" });
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        expect((await errorOf(open({ searchType: "magic" as never }))).message).toMatch(/searchType "magic"/);
        const hybrid = await filled({ searchType: "hybrid" });
        expect((await hybrid.search("red"))[0]!.lexical).toBeDefined();
      },

      async efSearch() {
        const recording = database.newPool({ max: 1 });
        const queries = recordQueries(recording);
        const sent = async (store: PostgresVectorStore, k: number, efSearch?: number): Promise<string | undefined> => {
          await store.search("red", { k, ...(efSearch !== undefined && { efSearch }) });
          return queries.findLast(({ text }) => text.includes(":search"))?.settings["hnsw.ef_search"];
        };
        const store = await filled({ pool: recording, efSearch: 177 });
        await fillUp(store);
        await store.createHnswIndex({ targetRecall: false });
        expect([await sent(store, 3), await sent(store, 3, 155), await sent(store, 50)]).toEqual(["177", "155", "200"]);
        expect(await sent(await open({ pool: recording, tableName: store.tableName }), 3)).toBe("100");
        expect((await errorOf(open({ efSearch: 1_001 }))).name).toBe("ConfigurationError");
      },

      async probes() {
        const recording = database.newPool({ max: 1 });
        const queries = recordQueries(recording);
        const store = await filled({ pool: recording, probes: 3 });
        await fillUp(store);
        await rows(`create index on ${store.computedTableName} using ivfflat
          (embedding ${quoted(EXTENSION_SCHEMA)}.vector_cosine_ops) with (lists = 3)`);
        expect(await store.similaritySearch("red", 9)).toHaveLength(9);
        await store.search("red", { probes: 2, k: 1 });
        const sent = queries
          .filter(({ text }) => text.includes(":search"))
          .map(({ settings }) => settings["ivfflat.probes"]);
        expect(sent).toEqual(["3", "2"]);
        expect((await errorOf(open({ probes: 0 }))).name).toBe("ConfigurationError");
      },

      async timeoutMs() {
        const store = await filled({ timeoutMs: 200 });
        const holder = await pool.connect();
        await holder.query("begin");
        await holder.query(`lock table ${store.computedTableName} in access exclusive mode`);
        try {
          const started = performance.now();
          const error = await errorOf(store.similaritySearch("red"));
          expect(error).toMatchObject({ name: "DatabaseError", sqlstate: "57014" });
          expect((await errorOf(store.search("red", { timeoutMs: 50 }))).name).toBe("DatabaseError");
          expect(performance.now() - started).toBeLessThan(5_000);
        } finally {
          await holder.query("rollback");
          holder.release();
        }
        // The server is well, but it need not answer within 200 ms.
        const patient = await open({ tableName: store.tableName, timeoutMs: 20_000 });
        expect(await patient.similaritySearch("red", 9)).toHaveLength(3);
        expect((await errorOf(open({ timeoutMs: 0 }))).name).toBe("ConfigurationError");
      },

      async tenancy() {
        expect((await errorOf(open({ tenancy: "on" as never }))).name).toBe("ConfigurationError");
        const store = await open({ tenancy: "rls", tableName: newTable() });
        expect((await errorOf(store.similaritySearch("red"))).name).toBe("MissingTenantError");
      },

      async partitions() {
        expect((await errorOf(open({ partitions: "by-tenant" }))).name).toBe("ConfigurationError");
        expect((await errorOf(open({ tenancy: "rls", partitions: "by-hash" as never }))).message).toMatch(/by-hash/);
        const tableName = newTable();
        const store = await open({ tenancy: "rls", tenantId: "acme", partitions: "by-tenant", tableName });
        await store.addDocuments(documents);
        expect(await rows("select tableoid::regclass::text as t from " + tableName + " limit 1")).toEqual([
          { t: `${tableName}_default` },
        ]);
        expect(await (await open({ tenancy: "rls", tenantId: "acme", tableName })).get()).toHaveLength(3);
        const other = await errorOf(open({ tenancy: "rls", partitions: "none", tableName }));
        expect(other.message).toMatch(/is partitioned by tenant.*leave the option out/);
        const plain = newTable();
        await open({ tenancy: "rls", tableName: plain });
        const late = await errorOf(open({ tenancy: "rls", partitions: "by-tenant", tableName: plain }));
        expect(late.message).toMatch(/is not partitioned, which is decided when a table is made/);
      },

      async inlineVectors() {
        expect((await errorOf(open({ inlineVectors: "yes" as never }))).message).toMatch(
          /inlineVectors must be true or/,
        );
        const long = new HashedEmbeddings(3_000);
        const given = await errorOf(open({ inlineVectors: true, storageType: "vector", dimensions: 3_000 }));
        expect(given).toMatchObject({
          name: "ConfigurationError",
          message: expect.stringMatching(/12,008.*"halfvec"/),
        });
        const probed = await errorOf(open({ inlineVectors: true, storageType: "vector" }, long));
        expect(probed.message).toMatch(/3,000 dimensions takes 12,008 as vector/);
        const far = await errorOf(open({ inlineVectors: true, dimensions: 5_000 }));
        expect(far.message).toMatch(/20,008 as vector\. Leave inlineVectors out/);

        const width = new HashedEmbeddings(1_536);
        const bytesOutOfLine = async ({ computedTableName }: PostgresVectorStore): Promise<number> => {
          const of = "select pg_relation_size(reltoastrelid)::int4 as bytes from pg_class where oid = $1::regclass";
          return Number((await rows(of, [computedTableName]))[0]!["bytes"]);
        };
        const inline = await open({ inlineVectors: true }, width);
        await inline.addDocuments(documents);
        const usual = await open({}, width);
        await usual.addDocuments(documents);
        expect(await bytesOutOfLine(usual)).toBeGreaterThan(0);
        expect(await bytesOutOfLine(inline)).toBe(0);
        expect(contents(await inline.similaritySearch("red", 9))).toEqual(everything);
        await inline.bulkLoad(documents);
        expect(await bytesOutOfLine(inline)).toBe(0);
        // A row that no page holds loses its longest value, whatever it is.
        await inline.addDocuments([new Document({ id: "long", pageContent: randomText(20_000) })]);
        expect((await inline.get({ ids: ["long"] }))[0]?.content).toHaveLength(20_000);
        expect(await bytesOutOfLine(inline)).toBeGreaterThanOrEqual(20_000);
        // A table that is there stays as it is.
        const before = await bytesOutOfLine(usual);
        const { tableName } = usual;
        const later = new Document({ id: "later", pageContent: "later" });
        await (await open({ inlineVectors: true, tableName }, width)).addDocuments([later, ...documents]);
        expect(await bytesOutOfLine(usual)).toBeGreaterThanOrEqual(before);
        expect(
          await rows(`select from pg_class where oid = '${tableName}'::regclass and 'fillfactor=90' = any(reloptions)`),
        ).toHaveLength(1);
      },

      async tenantId() {
        expect((await errorOf(open({ tenantId: "acme" }))).name).toBe("ConfigurationError");
        const tableName = newTable();
        const store = await open({ tenancy: "rls", tenantId: "acme", tableName });
        await store.addDocuments(documents);
        const other = await open({ tenancy: "rls", tenantId: () => 2, tableName });
        expect([await store.get(), await other.get()].map(({ length }) => length)).toEqual([documents.length, 0]);
      },

      async appRole() {
        const tableName = newTable();
        const { pool: scoped } = await open({
          tenancy: "rls",
          tenantId: "acme",
          appRole: "store_options_app",
          tableName,
        });
        const reply = await scoped.query("select current_user::text as role");
        expect(reply.rows).toEqual([{ role: "store_options_app" }]);
      },

      async contentCipher() {
        const reverse = (text: string): string => [...text].toReversed().join("");
        const store = await filled({ contentCipher: { encrypt: reverse, decrypt: reverse } });
        expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
      },

      async telemetry() {
        for (const tenant of [true, false]) {
          const store = await filled({ tenancy: "rls", tenantId: "a", telemetry: { tenant } });
          expect(contents(await store.similaritySearch("red", 9))).toEqual(everything);
        }
        await expect(open({ telemetry: { tenant: true } })).rejects.toThrow(/tenancy: "rls"/);
        await expect(open({ telemetry: { tenant: "a" as never } })).rejects.toThrow(/true or false, got "a"/);
      },

      async logger() {
        const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn() };
        const spy = vi.spyOn(console, "warn");
        await filled({ logger });
        await filled();
        expect(logger.info).toHaveBeenCalled();
        expect(spy).not.toHaveBeenCalled();
        spy.mockRestore();
      },
    };

    test.each(Object.entries(options))("%s", async (_, run) => {
      expect.hasAssertions();
      await run();
    });
  });

  describe("members of the base class", () => {
    type Member = Exclude<keyof PGVectorStore, keyof Serializable> | "_initializeClient";
    const named = { collectionName: "fruit", collectionMetadata: { a: 1 } };
    const query = (): Promise<number[]> => embeddings.embedQuery("red apples");

    /** A test for each public member; the compiler sees to it that none is missing. */
    const members: Record<Member, () => Promise<void>> = {
      FilterType: async () => expect((await filled()).FilterType).toBeUndefined(),
      tableName: async () => expect((await open({ tableName: "t" })).tableName).toBe("t"),
      collectionTableName: async () => {
        expect((await open({ tableName: "t2", ...named })).collectionTableName).toBe("t2_collections");
        expect((await open()).collectionTableName).toBeUndefined();
      },
      collectionName: async () => {
        expect((await open(named)).collectionName).toBe("fruit");
        expect((await open()).collectionName).toBe("langchain");
      },
      collectionMetadata: async () => expect((await open(named)).collectionMetadata).toEqual({ a: 1 }),
      schemaName: async () => expect((await open({ schemaName: "s" })).schemaName).toBe("s"),
      extensionSchemaName: async () =>
        expect((await open({ extensionSchemaName: EXTENSION_SCHEMA })).extensionSchemaName).toBe(EXTENSION_SCHEMA),
      skipInitializationCheck: async () => expect((await open()).skipInitializationCheck).toBe(false),
      idColumnName: async () => expect((await open()).idColumnName).toBe("id"),
      vectorColumnName: async () => expect((await open()).vectorColumnName).toBe("embedding"),
      contentColumnName: async () => expect((await open()).contentColumnName).toBe("text"),
      metadataColumnName: async () => expect((await open()).metadataColumnName).toBe("metadata"),
      filter: async () => expect((await open({ filter: { a: 1 } })).filter).toEqual({ a: 1 }),
      _verbose: async () => expect((await open({ verbose: false }))._verbose).toBe(false),
      client: async () => expect((await open()).client).toBeUndefined(),
      chunkSize: async () =>
        expect([(await open()).chunkSize, (await open({ chunkSize: 7 })).chunkSize]).toEqual([500, 7]),
      distanceStrategy: async () => expect((await open()).distanceStrategy).toBe("cosine"),
      scoreNormalization: async () => expect((await open()).scoreNormalization).toBe("distance"),
      embeddings: async () => expect((await open()).embeddings).toBe(embeddings),
      _vectorstoreType: async () => expect((await open())._vectorstoreType()).toBe("pgvector"),

      async pool() {
        const store = await filled();
        const { rows: found } = await store.pool.query(`select count(*)::int as n from ${store.computedTableName}`);
        expect(found).toEqual([{ n: 3 }]);
        expect((await store.pool.query("select $1::int as n", [5])).rows).toEqual([{ n: 5 }]);
        expect((await errorOf(store.pool.query("select nonsense"))).name).toBe("DatabaseError");
      },

      async computedTableName() {
        const store = await open();
        expect(store.computedTableName).toBe(
          testSchema().schemaName === undefined
            ? quoted(store.tableName)
            : `${quoted(SCHEMA)}.${quoted(store.tableName)}`,
        );
      },
      async computedCollectionTableName() {
        const store = await open({ schemaName: "s", tableName: "t3", ...named });
        expect(store.computedCollectionTableName).toBe('"s"."t3_collections"');
        expect(() => new PostgresVectorStore(embeddings, { pool }).computedCollectionTableName).toThrow(
          /no collection/,
        );
      },
      async computedOperatorString() {
        const of = (config: PostgresVectorStoreArgs): string =>
          new PostgresVectorStore(embeddings, { pool, ...config }).computedOperatorString;
        expect([
          of({}),
          of({ distanceStrategy: "euclidean" }),
          of({ distanceStrategy: "innerProduct", extensionSchemaName: "e" }),
        ]).toEqual(["<=>", "<->", 'operator("e".<#>)']);
      },

      async ensureTableInDatabase() {
        const store = new PostgresVectorStore(embeddings, { pool, ...testSchema(), tableName: newTable() });
        await store.ensureTableInDatabase(5);
        await store.ensureTableInDatabase();
        expect(await columnTypes(store)).toMatchObject({ embedding: "vector(5)" });
        const error = await errorOf(store.ensureTableInDatabase(6));
        expect(error).toMatchObject({ name: "DimensionMismatchError", expected: 5, actual: 6 });
        const fresh = new PostgresVectorStore(embeddings, { pool, ...testSchema(), tableName: store.tableName });
        expect((await errorOf(fresh.ensureTableInDatabase(6))).name).toBe("DimensionMismatchError");
      },
      async ensureCollectionTableInDatabase() {
        const store = new PostgresVectorStore(embeddings, { pool, ...testSchema(), tableName: newTable(), ...named });
        await store.ensureCollectionTableInDatabase();
        expect(await rows(`select from ${store.computedCollectionTableName}`)).toEqual([]);
      },
      async getOrCreateCollection() {
        const store = await open(named);
        const made = await Promise.all(Array.from({ length: 8 }, () => store.getOrCreateCollection()));
        expect(new Set(made).size).toBe(1);
        expect(made[0]).toMatch(/^[0-9a-f-]{36}$/);
        expect((await errorOf((await open()).getOrCreateCollection())).name).toBe("ConfigurationError");
      },

      async addDocuments() {
        const store = await open();
        expect(await store.addDocuments(documents)).toEqual(documents.map(({ id }) => id));
        const unnamed = await store.addDocuments([new Document({ pageContent: "no id" })]);
        expect(unnamed).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)]);
        expect(await store.get()).toHaveLength(4);
      },
      async addVectors() {
        const store = await open();
        const vector = Float32Array.from(await query());
        expect(await store.addVectors([vector], documents.slice(0, 1), { ids: ["f32"] })).toEqual(["f32"]);
        expect((await store.get({ include: ["embeddings"] }))[0]!.embedding).toEqual([...vector]);
        expect((await errorOf(store.addVectors([], documents))).name).toBe("IngestError");
      },
      async delete() {
        const store = await filled();
        await store.delete({ ids: ["red apples", "never there"] });
        await store.delete({ filter: { colour: "blue" } });
        expect((await store.get()).map(({ id }) => id)).toEqual(["green pears"]);
        expect((await errorOf(store.delete({}))).name).toBe("ConfigurationError");
        expect((await errorOf(store.delete({ ids: ["a"], filter: { a: 1 } }))).name).toBe("ConfigurationError");
        expect((await errorOf(store.delete({ ids: "a" as never }))).name).toBe("ConfigurationError");
      },

      async similaritySearch() {
        const store = await filled();
        const [hit] = await store.similaritySearch("red apples", 1, { colour: "red" });
        expect(hit).toEqual(new Document({ id: "red apples", pageContent: "red apples", metadata: { colour: "red" } }));
        expect(await store.similaritySearch("red apples")).toHaveLength(3);
      },
      async similaritySearchWithScore() {
        const [[document, distance] = []] = await (await filled()).similaritySearchWithScore("red apples", 1);
        expect([document?.id, distance]).toEqual(["red apples", expect.closeTo(0, 5)]);
      },
      async similaritySearchVectorWithScore() {
        const [[document, score] = []] = await (
          await filled({ scoreNormalization: "similarity" })
        ).similaritySearchVectorWithScore(await query(), 1);
        expect([document?.id, score]).toEqual(["red apples", expect.closeTo(1, 5)]);
      },
      async similaritySearchVectorWithScores() {
        for (const scoreNormalization of ["distance", "similarity"] as const) {
          const store = await filled({ scoreNormalization });
          const [[document, scores] = []] = await store.similaritySearchVectorWithScores(await query(), 1);
          expect(document?.id).toBe("red apples");
          expect(scores).toEqual({
            distance: expect.closeTo(0, 5) as number,
            similarity: expect.closeTo(1, 5) as number,
          });
        }
      },
      async maxMarginalRelevanceSearch() {
        const store = await filled();
        await store.addDocuments([new Document({ id: "twin", pageContent: "red apples" })]);
        const options = { k: 2, fetchK: 4 };
        const diverse = await store.maxMarginalRelevanceSearch("red apples", { ...options, lambda: 0 });
        expect(new Set(diverse.map(({ pageContent }) => pageContent)).size).toBe(2);
        const relevant = await store.maxMarginalRelevanceSearch("red apples", { ...options, lambda: 1 });
        expect(relevant.map(({ pageContent }) => pageContent)).toEqual(["red apples", "red apples"]);
        expect(relevant[0]!.metadata).not.toHaveProperty("embedding");
        const beyond = store.maxMarginalRelevanceSearch("red", { ...options, lambda: 2 });
        expect((await errorOf(beyond)).name).toBe("ConfigurationError");
      },
      async asRetriever() {
        const found = await (await filled()).asRetriever(1, { colour: "blue" }).invoke("red apples");
        expect(contents(found)).toEqual(["blue plums"]);
      },

      async createHnswIndex() {
        const store = await filled();
        const indexes = (): Promise<Record<string, unknown>[]> =>
          rows("select indexdef from pg_indexes where tablename = $1 and indexdef like '%hnsw%'", [store.tableName]);
        await store.createHnswIndex({ dimensions: 8, m: 8, efConstruction: 32, distanceFunction: "vector_cosine_ops" });
        await store.createHnswIndex();
        expect(await indexes()).toHaveLength(1);
        expect(String((await indexes())[0]!["indexdef"])).toMatch(/m='8', ef_construction='32'/);
        await store.createHnswIndex({ namespace: "second" });
        expect(await indexes()).toHaveLength(2);
        const refused = async (config: object): Promise<string> => (await errorOf(store.createHnswIndex(config))).name;
        expect(await refused({ dimensions: 9 })).toBe("DimensionMismatchError");
        expect(await refused({ distanceFunction: "vector_l2_ops" })).toBe("ConfigurationError");
        expect(await refused({ m: 1 })).toBe("ConfigurationError");
        expect(await refused({ m: 50, efConstruction: 60 })).toBe("ConfigurationError");
        await rows(`create table ${quoted(SCHEMA)}."taken_${store.tableName}_embedding_hnsw_idx" ()`);
        expect(await refused({ namespace: "taken" })).toBe("IndexBuildError");
      },
      async _initializeClient() {
        class Exposed extends PostgresVectorStore {
          initializeClient = (): Promise<void> => this._initializeClient();
        }
        const single = database.newPool({ max: 1 });
        const store = new Exposed(embeddings, { pool: single, ...testSchema(), tableName: newTable() });
        await store.initializeClient();
        expect(single.idleCount).toBe(single.totalCount);
      },
      async end() {
        const store = await open({ pool: undefined as never, connectionString: database.url });
        await store.end();
        expect((await errorOf(store.get())).name).toBe("DatabaseError");
      },
    };

    test.each(Object.entries(members))("%s", async (_, run) => {
      expect.hasAssertions();
      await run();
    });

    test("the statics", async () => {
      const config = { pool, ...testSchema(), tableName: newTable() };
      const each = await PostgresVectorStore.fromTexts(["a", "b"], [{ n: 1 }, { n: 2 }], embeddings, config);
      expect((await each.similaritySearch("a", 1))[0]!.metadata).toEqual({ n: 1 });
      const shared = { ...config, tableName: newTable() };
      const same = await PostgresVectorStore.fromTexts(["a", "b"], { n: 3 }, embeddings, shared);
      expect((await same.get({ include: ["metadatas"] })).map(({ metadata }) => metadata)).toEqual([
        { n: 3 },
        { n: 3 },
      ]);
      const uneven = PostgresVectorStore.fromTexts(["a", "b"], [{}], embeddings, config);
      expect((await errorOf(uneven)).name).toBe("IngestError");
      const existing = await PostgresVectorStore.fromExistingIndex(embeddings, config);
      expect(await existing.get()).toHaveLength(2);
    });

    test("every method of the base class is one of them, or its own affair", () => {
      const internal = [
        "constructor",
        "convertDistanceToSimilarity",
        "convertDistanceToScore",
        "convertDistanceToBoth",
        "generatePlaceholderForRowAt",
        "buildInsertQuery",
        "deleteById",
        "buildFilterClauses",
        "deleteByFilter",
        "searchPostgres",
      ];
      const known = new Set([...internal, ...Object.keys(members)]);
      expect(Object.getOwnPropertyNames(PGVectorStore.prototype).filter((name) => !known.has(name))).toEqual([]);
    });
  });
});

import { inspect } from "node:util";
import { HumanMessage } from "@langchain/core/messages";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  DatabaseError,
  MissingTenantError,
  PostgresVectorStore,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

/** Every public method of the store, those of the base class included, against the rows of another tenant. */

type Store = PostgresVectorStore;
interface Case {
  /** What tenant `a` does to get at the rows of tenant `b`: ids, filters and vectors of theirs. */
  readonly attack: (store: Store) => Promise<unknown>;
  /** Whether the method works without a tenant, because it reaches no rows. */
  readonly tenantless?: boolean;
  /** Whether it works on a store without a collection only. */
  readonly plain?: boolean;
}

const SECRET = "the secret of b";
const embeddings = new HashedEmbeddings();
const document = (pageContent: string) => ({ id: "1", pageContent, metadata: { by: "a", tenant_id: "b" } });
const vector = (): Promise<number[]> => embeddings.embedQuery(SECRET);
const theirs = { by: "b" };
/** Names and versions are no secret to this test; what they stand for is. */
const SECRET_SOURCE = "b.md";
let theirSource = { source: SECRET_SOURCE, version: "0" };
const injected = { "by' or true or metadata->>'by": "b" };
/** A method of the base class that TypeScript calls private. */
const hidden = (store: Store, name: string, ...args: unknown[]): Promise<unknown> =>
  (store as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[name]!(...args);
const each = (...calls: Promise<unknown>[]): Promise<unknown> => Promise.allSettled(calls).then(failIfAllFailed);

function failIfAllFailed(outcomes: PromiseSettledResult<unknown>[]): unknown {
  const values = outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : outcome.reason));
  if (outcomes.every((outcome) => outcome.status === "rejected")) throw values[0];
  return values;
}

const CASES: Record<string, Case> = {
  addDocuments: { attack: (store) => store.addDocuments([document("from a")]) },
  addVectors: { attack: async (store) => store.addVectors([await vector()], [document("from a")]) },
  bulkLoad: {
    attack: async (store) =>
      each(
        store.bulkLoad([document("from a"), { document: document("from a"), embedding: await vector() }], {
          checkpoint: "b",
          indexes: "rebuild",
        }),
        store.bulkLoad([{ ...document("from a"), tenant_id: "b" } as ReturnType<typeof document>]),
      ),
  },
  delete: { attack: (store) => each(store.delete({ ids: ["1", "2"] }), store.delete({ filter: theirs })) },
  search: {
    attack: async (store) =>
      each(
        store.search(SECRET, { k: 100, includeEmbeddings: true }),
        store.search(await vector(), { filter: theirs }),
        store.search(SECRET, { filter: injected }),
        store.search(SECRET, { searchType: "hybrid", k: 100 }),
        store.search(`${SECRET} secr* secert`, { searchType: "lexical", k: 100 }),
        store.lexical.compact(),
        store.lexical.state(),
      ),
  },
  explain: {
    attack: (store) =>
      each(
        store.explain(SECRET, { k: 100 }),
        store.explain(SECRET, { k: 100, searchType: "hybrid", filter: theirs }),
        store.explain({ sql: `select * from ${store.computedTableName} where tenant_id = 'b' or true` }),
        store.explain({ sql: `delete from ${store.computedTableName}` }),
        store.explain({ sql: `with x as (delete from ${store.computedTableName} returning 1) select * from x` }),
      ),
  },
  similaritySearch: {
    attack: (store) => each(store.similaritySearch(SECRET, 9), store.similaritySearch(SECRET, 9, theirs)),
  },
  similaritySearchWithScore: { attack: (store) => store.similaritySearchWithScore(SECRET, 9) },
  similaritySearchVectorWithScore: {
    attack: async (store) => store.similaritySearchVectorWithScore(await vector(), 9),
  },
  similaritySearchVectorWithScores: {
    attack: async (store) => store.similaritySearchVectorWithScores(await vector(), 9),
  },
  maxMarginalRelevanceSearch: { attack: (store) => store.maxMarginalRelevanceSearch(SECRET, { k: 9 }) },
  get: {
    attack: (store) =>
      each(
        store.get(),
        store.get({ ids: ["1", "2"], include: ["documents", "metadatas", "embeddings"] }),
        store.get({ where: theirs }),
        store.get({ whereDocument: { $contains: "secret" } }),
      ),
  },
  chatHistory: {
    attack: async (store) => {
      const history = store.chatHistory("talk");
      return each(
        history.getMessages(),
        history.addMessages([new HumanMessage("from a")]),
        store.chatHistory("talk' or session <> '").getMessages(),
        history.clear(),
      );
    },
  },
  getByIds: { attack: (store) => store.getByIds(["1", "2"]) },
  getNeighbours: {
    attack: (store) =>
      each(
        store.getNeighbours([{ ...document(SECRET), metadata: { source: "s" } }], { before: 9, after: 9 }),
        store.getNeighbours([{ ...document(SECRET), metadata: theirs }], { sourceKey: "by", positionKey: "n" }),
      ),
  },
  asRetriever: {
    attack: async (store) =>
      each(store.asRetriever({ k: 9 }).invoke(SECRET), store.asRetriever({ searchType: "mmr" }).invoke(SECRET)),
  },
  expire: {
    attack: (store) => each(store.expire({ before: new Date(Date.now() + 1e6) }), store.expire({ filter: theirs })),
  },
  "sources.list": { attack: (store) => store.sources.list().next() },
  "sources.find": { attack: (store) => store.sources.find([SECRET]) },
  "sources.findByHash": { attack: (store) => store.sources.findByHash(["00ff"]) },
  "sources.commit": {
    attack: async (store) =>
      store.sources.commit({
        sources: [{ source: SECRET_SOURCE, expected: undefined, hash: "00ff", settings: "a", chunkIds: ["1"] }],
        added: [{ document: document("from a"), vector: await vector() }],
        kept: [document("from a")],
        gone: ["1", "2"],
      }),
  },
  "sources.append": {
    attack: async (store) =>
      store.sources.append(theirSource, [{ document: document("from a"), vector: await vector() }]),
  },
  "sources.remove": { attack: (store) => store.sources.remove(theirSource) },
  "sources.findVectors": {
    attack: async (store) => {
      const cached = { id: "x", text: SECRET, twin: undefined };
      expect(await store.sources.findVectors({ chunks: [cached], cache: true })).toMatchObject({ embedded: 1 });
      await store.sources.clearVectorCache();
      const twin = { id: "x", text: "of a", twin: "2" };
      const { vectors } = await store.sources.findVectors({ chunks: [twin], cache: false });
      expect(Array.from(vectors.get("x") as number[])).not.toEqual(await vector());
    },
  },
  "sources.cachedVectors": {
    attack: async (store) => expect(await store.sources.cachedVectors([SECRET])).toEqual(new Map()),
  },
  "sources.cacheVectors": {
    attack: (store) => store.sources.cacheVectors(new Map([["of a", [1, 2, 3]]])),
  },
  "sources.clearVectorCache": { attack: (store) => store.sources.clearVectorCache() },
  searchMetric: { attack: (store) => hidden(store, "searchMetric") },
  getOrCreateCollection: { attack: (store) => store.getOrCreateCollection() },
  "pool.query": {
    attack: (store) =>
      each(
        store.pool.query(`select * from ${store.computedTableName}`),
        store.pool.query(`select * from ${store.computedTableName} where tenant_id = 'b'`),
        store.pool.query(`select * from ${store.computedCollectionTableName} where tenant_id = 'b'`),
        store.pool.query(`delete from ${store.computedTableName} where tenant_id = 'b'`),
        store.pool.query(`update ${store.computedTableName} set tenant_id = 'a'`),
      ),
  },
  // Never called by ours; they reach rows through the pool above, and know no collection of ours.
  searchPostgres: {
    plain: true,
    attack: async (store) => hidden(store, "searchPostgres", await vector(), 9, undefined),
  },
  deleteById: {
    plain: true,
    // Asks for ids of type uuid, which ours are not.
    attack: (store) =>
      hidden(store, "deleteById", ["1", "2"]).catch((error: unknown) => {
        if (error instanceof DatabaseError) return error;
        throw error;
      }),
  },
  deleteByFilter: { plain: true, attack: (store) => hidden(store, "deleteByFilter", theirs) },
  // Another tenant is what it is for; whom a view is made for is the application's to decide.
  forTenant: { tenantless: true, attack: async (store) => store.forTenant("c").get() },
  // Work on the schema, which has no rows.
  createHnswIndex: {
    tenantless: true,
    attack: (store) =>
      each(
        store.createHnswIndex(),
        store.indexes.list(),
        store.indexes.advice(),
        store.indexes.planRebuild(),
        store.indexes.tune({ tenantId: "b" }),
        store.indexes.probe({ tenantId: "b" }),
        store.indexes.history(),
      ),
  },
  ensureTableInDatabase: { tenantless: true, attack: (store) => store.ensureTableInDatabase() },
  ensureCollectionTableInDatabase: { tenantless: true, attack: (store) => store.ensureCollectionTableInDatabase() },
  _initializeClient: { tenantless: true, attack: (store) => hidden(store, "_initializeClient") },
  // Counts of the whole store, and no rows.
  stats: { tenantless: true, attack: (store) => store.stats() },
  processStats: { tenantless: true, attack: async (store) => store.processStats() },
  end: { tenantless: true, attack: (store) => store.end() },
};

/** Methods that compute from their arguments alone. */
const WITHOUT_DATABASE = new Set([
  "_vectorstoreType",
  "toJSON",
  "toJSONNotImplemented",
  "convertDistanceToSimilarity",
  "convertDistanceToScore",
  "convertDistanceToBoth",
  "generatePlaceholderForRowAt",
  "buildInsertQuery",
  "buildFilterClauses",
  "scored",
]);

function methodsOf(store: Store): string[] {
  const names = new Set<string>();
  for (let at: object = Object.getPrototypeOf(store); at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === "function" && name !== "constructor") names.add(name);
    }
  }
  return [...names];
}

let database: TestDatabase;
let store: Store;
let plainStore: Store;

beforeAll(async () => {
  database = await openTestDatabase();
  const args: PostgresVectorStoreArgs = { pool: database.pool, tenancy: "rls", lexical: true, ...testSchema() };
  store = await PostgresVectorStore.initialize(embeddings, { ...args, tableName: "methods", collectionName: "c" });
  plainStore = await PostgresVectorStore.initialize(embeddings, { ...args, tableName: "plain" });
});

afterAll(() => database.close());

/** Everything that is stored for `b`, as a superuser sees it. */
async function rowsOfB({ computedTableName }: Store): Promise<unknown> {
  const client = await database.pool.connect();
  try {
    const index = ["", "_documents", "_segments"].map((part) => computedTableName.replace(/"$/, `_lexical${part}"`));
    const own = ["_sources", "_vector_cache", "_messages"].map((part) => computedTableName.replace(/"$/, `${part}"`));
    const tables = [computedTableName, store.computedCollectionTableName, ...index, ...own];
    return await Promise.all(
      tables.map(async (table) => {
        const text = `select *, xmin::text, ctid::text from ${table} where tenant_id = 'b' order by ctid`;
        return (await client.query({ text })).rows;
      }),
    );
  } finally {
    client.release();
  }
}

/** A source of `b`, and a vector in its cache. */
async function keepSource(b: Store): Promise<void> {
  await b.sources.cacheVectors(new Map([[SECRET, await vector()]]));
  const [before] = await b.sources.find([SECRET_SOURCE]);
  const chunkIds = ["1", "2"];
  const change = { source: SECRET_SOURCE, expected: before?.version, hash: "00ff", settings: SECRET, chunkIds };
  const versions = await b.sources.commit({ sources: [change], added: [], kept: [], gone: [] });
  theirSource = { source: SECRET_SOURCE, version: versions!.get(SECRET_SOURCE)! };
}

it("has a case for every method", () => {
  const ofSources = Object.getOwnPropertyNames(Object.getPrototypeOf(store.sources)).map((name) => `sources.${name}`);
  const methods = [...methodsOf(store), ...ofSources].filter(
    (name) => !WITHOUT_DATABASE.has(name) && name !== "sources.constructor",
  );
  expect(methods.filter((name) => !(name in CASES))).toEqual([]);
  expect(Object.keys(CASES).filter((name) => name !== "pool.query" && !methods.includes(name))).toEqual([]);
});

it.each(Object.entries(CASES))("%s shows and changes nothing of another tenant", async (_, { attack, plain }) => {
  const target = plain ? plainStore : store;
  await target.forTenant("b").addDocuments([
    { id: "1", pageContent: SECRET, metadata: { by: "b" } },
    { id: "2", pageContent: SECRET, metadata: { by: "b" } },
  ]);
  await keepSource(target.forTenant("b"));
  await target.forTenant("b").chatHistory("talk").addUserMessage(SECRET);
  const before = await rowsOfB(target);
  expect(inspect(before, { depth: 9 })).toContain(SECRET);
  const result = await attack(target.forTenant("a"));
  expect(inspect(result, { depth: 9, showHidden: true })).not.toContain(SECRET);
  expect(await rowsOfB(target)).toEqual(before);
});

it.each(Object.entries(CASES))("%s does without a tenant what it may", async (_, { attack, plain, tenantless }) => {
  const target = plain ? plainStore : store;
  const before = await rowsOfB(target);
  const call = attack(target);
  if (tenantless) await call;
  else expect(await errorOf(call)).toBeInstanceOf(MissingTenantError);
  expect(await rowsOfB(target)).toEqual(before);
});

it("shows no row of another tenant in an error", async () => {
  const b = store.forTenant("b");
  await b.addDocuments([{ id: "1", pageContent: SECRET, metadata: { by: SECRET } }]);
  const a = store.forTenant("a");
  const table = store.computedTableName;
  const statements = [
    `select text::int from ${table}`,
    `select (metadata->>'by')::int from ${table}`,
    `select 1 / (case when text like '%secret%' then 0 else 1 end) from ${table}`,
    `insert into ${table} (tenant_id, collection, id, text, content_hash) values ('b', 'c', '1', 'x', '')`,
    `insert into ${table} (tenant_id, collection, id, text, content_hash) values ('b', 'c', 'new', 'x', '')`,
    `update ${table} set tenant_id = 'b' where id = '1'`,
  ];
  await a.addDocuments([{ id: "1", pageContent: "12", metadata: { by: "12" } }]);
  for (const statement of statements) {
    const outcome: unknown = await a.pool.query(statement).catch((error: unknown) => error);
    expect(inspect(outcome, { depth: 9, showHidden: true })).not.toContain(SECRET);
    // Not even that the id exists: a duplicate and a new one are refused alike.
    if (statement.startsWith("insert")) expect(inspect(outcome)).toMatch(/row-level security/);
  }
});

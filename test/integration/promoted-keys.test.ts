import { Document } from "@langchain/core/documents";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Database } from "../../src/db/database.js";
import { quoteQualified } from "../../src/db/identifiers.js";
import { adopt, PostgresVectorStore, type Filter, type PostgresVectorStoreArgs } from "../../src/index.js";
import { ensureSchema } from "../../src/schema/ensure.js";
import { inspectSchema, type SchemaState } from "../../src/schema/inspect.js";
import { resolveOptions } from "../../src/store/options.js";
import { baseStore, DistinctEmbeddings, sampleDocuments } from "../helpers/base-tables.js";
import {
  describeServer,
  openServerDatabase,
  openTestDatabase,
  testSchema,
  type ServerTestDatabase,
  type TestDatabase,
} from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const KEYS = { year: "number", source: "text", done: "boolean", "a.b": "text" } as const;

const METADATA: readonly Record<string, unknown>[] = [
  {},
  { year: 2020, source: "docs/a.md", done: true, a: { b: "x" } },
  { year: "2020", source: 5, done: "true", a: { b: 1 } },
  { year: null, source: null, done: null, "a.b": null, a: { b: "x" } },
  { year: 2021.5, source: "docs/b.md", done: false, "a.b": "literal", a: { b: "x" } },
  { year: [2020], source: ["docs/a.md"], done: [true], a: [{ b: "x" }] },
  { year: { n: 2020 }, source: { n: "docs/a.md" }, done: {}, a: {} },
  { year: -1, source: "", done: true, other: 1 },
  { source: "y".repeat(100_000), year: 1e21 },
  { source: `${"y".repeat(99_999)}z` },
];

const FILTERS: readonly Filter[] = [
  { year: 2020 },
  { year: "2020" },
  { year: { $ne: 2020 } },
  { year: { in: [2020, 2021.5] } },
  { year: { in: [2020, "2020", null] } },
  { year: { notIn: [2020, -1] } },
  { year: { gte: 2020, lt: 2022 } },
  { year: { gt: "2" } },
  { year: null },
  { year: { $exists: true } },
  { year: { $exists: false } },
  { year: { arrayContains: [2020] } },
  { year: { $eq: [2020] } },
  { year: { $eq: { n: 2020 } } },
  { source: "docs/a.md" },
  { source: 5 },
  { source: "" },
  { source: { $like: "docs/%" } },
  { source: { $not: { $like: "docs/%" } } },
  { source: { gte: "docs/a.md", lte: "docs/b.md" } },
  { source: "y".repeat(100_000) },
  { source: { gt: "y".repeat(100_000) } },
  { done: true },
  { done: { $ne: true } },
  { done: { in: [true, false] } },
  { done: "true" },
  { "a.b": "x" },
  { "a.b": null },
  { "a.b": { $ne: "x" } },
  { $or: [{ year: 2020 }, { other: 1 }] },
  { $not: { $and: [{ done: true }, { year: { gt: 0 } }] } },
];

const documents = METADATA.map(
  (metadata, index) => new Document({ id: String(index), pageContent: `text ${index}`, metadata }),
);

describe("promoted keys", () => {
  const embeddings = new HashedEmbeddings();
  let database: TestDatabase;
  let tables = 0;

  beforeAll(async () => {
    database = await openTestDatabase();
  });
  afterAll(() => database.close());

  const config = (more: PostgresVectorStoreArgs = {}): PostgresVectorStoreArgs => ({
    pool: database.pool,
    tableName: `promoted_${(tables += 1)}`,
    ...testSchema(),
    ...more,
  });
  const open = (args: PostgresVectorStoreArgs): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(embeddings, args);
  const stateOf = (args: PostgresVectorStoreArgs): Promise<SchemaState> =>
    new Database(database.pool).connection((session) => inspectSchema(session, resolveOptions(args).layout));
  const query = async (text: string): Promise<Record<string, unknown>[]> =>
    (await new Database(database.pool).query({ text })).rows;
  const tableOf = ({ tableName }: PostgresVectorStoreArgs): string =>
    quoteQualified(testSchema().schemaName, tableName!);
  const idsOf = (found: readonly { id?: string | undefined }[]): (string | undefined)[] =>
    found.map(({ id }) => id).toSorted();
  /** As `init` does it, with its consent. */
  const migrate = async (args: PostgresVectorStoreArgs, allowed: { rewrite?: boolean; demote?: string[] }) => {
    const names: string[] = [];
    const model = (): never => expect.fail("the table is there");
    const options = { ...allowed, onStep: (name: string) => void names.push(name) };
    await ensureSchema(new Database(database.pool), resolveOptions(args).layout, model, options);
    return names;
  };

  describe.each(["off", "rls"] as const)("with tenancy %s", (tenancy) => {
    const tenant = tenancy === "rls" ? { tenancy, tenantId: "acme" } : {};

    test("give every method the same rows as the JSON alone", async () => {
      const [by, plain] = [config({ ...tenant, promotedKeys: KEYS }), config(tenant)];
      const [promoted, json] = [await open(by), await open(plain)];
      for (const store of [promoted, json]) await store.addDocuments(documents);
      expect((await stateOf(by)).promotedKeys.map(({ key }) => key).toSorted()).toEqual(Object.keys(KEYS).toSorted());
      for (const filter of FILTERS) {
        const expected = idsOf(await json.get({ where: filter }));
        expect(idsOf(await promoted.get({ where: filter }))).toEqual(expected);
        const found = await promoted.search("text", { k: 20, filter });
        expect(idsOf(found.map(({ document }) => document))).toEqual(expected);
      }
      for (const filter of [{ year: 2020 }, { source: { gt: "y" } }, { done: { $ne: true } }] as Filter[]) {
        const [one, other] = [await promoted.get(), await json.get()];
        expect(idsOf(one)).toEqual(idsOf(other));
        await promoted.delete({ filter });
        await json.delete({ filter });
        expect(idsOf(await promoted.get())).toEqual(idsOf(await json.get()));
        expect(await promoted.get()).not.toHaveLength(one.length);
        for (const store of [promoted, json]) await store.addDocuments(documents);
      }
      expect(await promoted.expire({ filter: { year: { gte: 2020 } } })).toBe(3);
      expect(await json.expire({ filter: { year: { gte: 2020 } } })).toBe(3);
      expect(idsOf(await promoted.get())).toEqual(idsOf(await json.get()));
    });
  });

  test("follow the metadata whoever writes it, and refuse to be written themselves", async () => {
    const args = config({ promotedKeys: KEYS });
    const store = await open(args);
    await store.addDocuments(documents);
    await store.addDocuments([new Document({ id: "1", pageContent: "new", metadata: { year: 1999 } })]);
    expect(idsOf(await store.get({ where: { year: { lt: 2000, gt: 0 } } }))).toEqual(["1"]);
    expect(await store.get({ where: { year: 2020 } })).toEqual([]);
    const table = tableOf(args);
    await query(`update ${table} set metadata = '{"year": 3000, "a": {"b": "sql"}}' where id = '2'`);
    await query(
      `insert into ${table} (tenant_id, collection, id, text, metadata, content_hash)
       values ('default', '', 'raw', 'raw', '{"year": 1e400, "done": false}', '')`,
    );
    expect(idsOf(await store.get({ where: { year: { gte: 3000 } } }))).toEqual(["2", "8", "raw"]);
    expect(idsOf(await store.get({ where: { "a.b": "sql" } }))).toEqual(["2"]);
    const forged = await errorOf(query(`update ${table} set promoted_year = 5`));
    expect(forged.message).toMatch(/can only be updated to DEFAULT/);
  });

  test("are found by whoever opens the table without the option", async () => {
    const args = config({ promotedKeys: KEYS });
    await open(args);
    const { promotedKeys: _, ...without } = args;
    expect((await stateOf(without)).promotedKeys).toEqual((await stateOf(args)).promotedKeys);
    const store = await open(without);
    await store.addDocuments(documents);
    expect(idsOf(await store.get({ where: { year: { gte: 2020, lt: 3000 } } }))).toEqual(["1", "4"]);
    const fewer = await open({ ...args, promotedKeys: { year: "number" } });
    expect(await fewer.get({ where: { done: true } })).toHaveLength(2);
  });

  test("of another type are refused, with the way to change them", async () => {
    const args = config({ promotedKeys: KEYS });
    await open(args);
    const error = await errorOf(open({ ...args, promotedKeys: { year: "text" } }));
    expect(error.name).toBe("ConfigurationError");
    expect(error.message).toMatch(/"year" is "text" here and "number" in the table.*init --table \S+ --demote year/);
  });

  test("join an empty table at once, and one with rows only by consent", async () => {
    const args = config();
    await open(args);
    const store = await open({ ...args, promotedKeys: { year: "number" } });
    await store.addDocuments(documents);
    const wanted = { ...args, promotedKeys: { year: "number", source: "text", "it's": "text" } as const };
    const error = await errorOf(open(wanted));
    expect(error.name).toBe("ConfigurationError");
    expect(error.message).toMatch(
      /has rows and no column for "it's", "source"|has rows and no column for "source", "it's"/,
    );
    expect(error.message).toMatch(/\d+\.\d MiB/);
    expect(error.message).toMatch(/--promote source:text.* --rewrite/);
    expect((await stateOf(args)).promotedKeys).toHaveLength(1);
    expect(await migrate(wanted, { rewrite: true })).toHaveLength(1);
    const grown = await open(wanted);
    for (const where of FILTERS) {
      expect(idsOf(await grown.get({ where }))).toEqual(idsOf(await store.get({ where })));
    }
    expect(await migrate(wanted, { rewrite: true })).toEqual([]);
  });

  test("are demoted under stores that go on", async () => {
    const args = config({ promotedKeys: { year: "number", done: "boolean" } });
    const { promotedKeys: _, ...without } = args;
    await open(args);
    const store = await open(without);
    await store.addDocuments(documents);
    const filter = { year: { gte: 2020, lt: 3000 } };
    expect(await store.similaritySearch("text", 9, filter)).toHaveLength(2);
    expect(await migrate(without, { demote: ["year"] })).toEqual(["demote year"]);
    expect((await stateOf(without)).promotedKeys.map(({ key }) => key)).toEqual(["done"]);
    expect(await store.similaritySearch("text", 9, filter)).toHaveLength(2);
    await migrate(without, { demote: ["done"] });
    expect(await store.get({ where: { done: true } })).toHaveLength(2);
    await migrate({ ...args, promotedKeys: { year: "text" } }, { rewrite: true });
    expect(idsOf(await store.get({ where: { year: "2020" } }))).toEqual(["2"]);
  });

  test("have columns of their own, whatever they are called", async () => {
    const keys = [
      "Year",
      "year",
      "YEAR",
      "year_",
      "y-r",
      "y.r",
      "",
      "é",
      "it's",
      'say "hi"',
      "back\\slash",
      "x".repeat(300),
    ];
    const long = "y".repeat(60);
    const args = config({
      tableName: `Odd "table" ${long}`.slice(0, 63),
      promotedKeys: Object.fromEntries(keys.map((key) => [key, "text" as const])),
      columns: { metadataColumnName: 'the "meta"', idColumnName: "promoted_id" },
    });
    const store = await open(args);
    const found = (await stateOf(args)).promotedKeys;
    expect(new Set(found.map(({ column }) => column)).size).toBe(keys.length);
    await store.addDocuments(
      keys.map(
        (key, index) => new Document({ id: String(index), pageContent: key, metadata: { [key]: key, n: index } }),
      ),
    );
    for (const [index, key] of keys.entries()) {
      expect(idsOf(await store.get({ where: { [key]: key } }))).toEqual([String(index)]);
    }
    const clash = { promotedKeys: { id: "text" }, columns: { idColumnName: "promoted_id" } } as const;
    expect((await errorOf(open(config(clash)))).message).toMatch(/"promoted_id", which `columns` gives to another/);
  });

  test("are refused before any I/O when no filter could name them", async () => {
    const bad: [unknown, RegExp][] = [
      [{ $and: "text" }, /begins with \$/],
      [{ "a\0": "text" }, /NUL/],
      [{ "\ud800": "text" }, /surrogate/],
      [{ [Array.from({ length: 21 }, () => "a").join(".")]: "text" }, /20 segments/],
      [{ year: "integer" }, /"integer"; use "text", "number", "boolean"/],
      [["year"], /must be an object/],
    ];
    for (const [promotedKeys, message] of bad) {
      expect(() => new PostgresVectorStore(embeddings, config({ promotedKeys: promotedKeys as never }))).toThrow(
        message,
      );
    }
  });

  test("are told from columns that others made or changed", async () => {
    const args = config();
    await open(args);
    await query(`alter table ${tableOf(args)} add column promoted_year int`);
    const wanted = { ...args, promotedKeys: { year: "number" } as const };
    expect((await errorOf(open(wanted))).message).toMatch(/has a column "promoted_year" that is not/);
    await query(`alter table ${tableOf(args)} drop column promoted_year`);
    await open(wanted);
    await query(`alter table ${tableOf(args)} alter column promoted_year drop expression`);
    const drift = await errorOf(open(args));
    expect(drift.name).toBe("SchemaDriftError");
    expect(drift.message).toMatch(/it is no generated column.*drop column "promoted_year"/);
  });
});

describeServer("promoted keys of an adopted table", () => {
  const embeddings = new DistinctEmbeddings(16);
  let database: ServerTestDatabase;

  beforeAll(async () => {
    database = await openServerDatabase();
  });
  afterAll(() => database.close());

  test.each(["jsonb", "json"])("metadata of type %s", async (type) => {
    const tableName = `adopted_${type}`;
    const { documents: sample, ids } = sampleDocuments(40);
    const base = await baseStore(embeddings, { pool: database.newPool(), tableName }, 16);
    await base.addDocuments(sample, { ids });
    await base.pool.query({ text: `alter table ${tableName} alter column metadata type ${type}` });
    const promotedKeys = { subject: "text", index: "number", "nested.even": "boolean" } as const;
    const config = { pool: database.pool, tableName, promotedKeys, tenancy: "rls" as const };
    expect(await adopt(config)).toMatchObject({ outcome: "adopted", rows: 40 });
    const args = { pool: database.pool, tableName, tenancy: "rls" as const, tenantId: "default" };
    const store = await PostgresVectorStore.initialize(embeddings, args);
    const state = await new Database(database.pool).connection((session) =>
      inspectSchema(session, resolveOptions(args).layout),
    );
    expect(state.promotedKeys.map(({ key }) => key).toSorted()).toEqual(Object.keys(promotedKeys).toSorted());
    expect(await store.get({ where: { index: { gte: 10, lt: 20 }, "nested.even": true } })).toHaveLength(5);
    const { rows } = await base.pool.query({
      text: `select count(*) filter (where promoted_index = (metadata ->> 'index')::float8)::int as n from ${tableName}`,
    });
    expect(rows).toEqual([{ n: 40 }]);
  });
});

describe("promoted keys and the life of a tenant", () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await openTestDatabase();
  });
  afterAll(() => database.close());

  test("export, delete and import leave them as they were", async () => {
    const embeddings = new HashedEmbeddings();
    const args = {
      pool: database.pool,
      ...testSchema(),
      tableName: "moved",
      tenancy: "rls",
      promotedKeys: KEYS,
    } as const;
    const store = await PostgresVectorStore.initialize(embeddings, args);
    await store.forTenant("acme").addDocuments(documents);
    const records = [];
    for await (const record of store.tenants.export("acme")) records.push(record);
    await store.tenants.delete("acme");
    expect(await store.tenants.import("acme", records)).toBe(documents.length);
    expect(await store.forTenant("acme").get({ where: { year: { gte: 2020, lt: 3000 } } })).toHaveLength(2);
    expect(await store.forTenant("acme").get({ where: { done: true } })).toHaveLength(2);
  });
});

import { describe, expect, test } from "vitest";
import { ConfigurationError, SchemaDriftError, SchemaVersionError } from "../../src/errors.js";
import type { RelationState, SchemaState } from "../../src/schema/inspect.js";
import { checkLayout, type Layout, type ModelVersion, render } from "../../src/schema/layout.js";
import { planSchema } from "../../src/schema/plan.js";

const layout: Layout = {
  schema: undefined,
  table: "chunks",
  collectionsTable: undefined,
  tenancy: "off",
  partitions: undefined,
  inlineVectors: false,
  appRole: undefined,
  lexical: undefined,
  extensionSchema: undefined,
  columns: { id: "id", content: "text", metadata: "metadata", embedding: "embedding" },
  promotedKeys: [],
};

const model: ModelVersion = {
  version: 1,
  column: "embedding",
  provider: undefined,
  model: undefined,
  dimensions: 3,
  metric: "cosine",
  storageType: "vector",
};

const absent: RelationState = {
  exists: false,
  rowSecurity: false,
  partitioned: false,
  granted: true,
  revision: undefined,
  breakingRevision: 0,
  columns: new Map(),
};
const relation = (columns: Record<string, string>, more: Partial<RelationState> = {}): RelationState => ({
  ...absent,
  exists: true,
  columns: new Map(Object.entries(columns)),
  ...more,
});
const OURS = { tenant_id: "text", id: "text", text: "text", metadata: "jsonb", embedding: "vector(3)" };
const current = relation(OURS, { revision: 1_000 });

const empty: SchemaState = {
  server: { version: 180_000, vector: undefined },
  schema: "public",
  schemaExists: true,
  extensionSchemaExists: false,
  registryExists: false,
  role: { name: "owner", bypasses: false, appRoleExists: false, appRoleBypasses: false, canBecomeAppRole: false },
  tenants: absent,
  chunks: absent,
  collections: undefined,
  lexical: undefined,
  loads: absent,
  sources: absent,
  messages: absent,
  backfills: absent,
  activeModel: undefined,
  models: [],
  epoch: 0,
  overrides: false,
  promotedKeys: [],
  chunksSize: undefined,
};
const vector = (version: string): SchemaState["server"] => ({
  version: 180_000,
  vector: { version, schema: "ext", oid: 1, sparseOid: 2 },
});

const names = (state: SchemaState, wanted: Layout = layout): string[] =>
  planSchema(state, wanted, model).map(({ name }) => name.replace(/\/\d+-.*/, ""));
const sqlOf = (state: SchemaState, wanted: Layout = layout, of: ModelVersion = model): string =>
  planSchema(state, wanted, of)
    .map(({ sql }) => sql)
    .join("\n");

describe("the plan of a schema", () => {
  test("has every step for an empty database, in order", () => {
    const collections = { ...layout, collectionsTable: "named" };
    const state = { ...empty, schemaExists: false, collections: absent };
    const steps = names(state, collections);
    expect([...new Set(steps)]).toEqual([
      "schema",
      "extension",
      "registry",
      "chunks",
      "collections",
      "loads",
      "sources",
      "messages",
      "backfills",
    ]);
  });

  test("has none for a current one", () => {
    expect(
      names({
        ...empty,
        server: vector("0.8.0"),
        registryExists: true,
        chunks: current,
        loads: current,
        sources: current,
        messages: current,
        backfills: current,
      }),
    ).toEqual([]);
  });

  test("adds what is missing alone", () => {
    const state = { ...empty, server: vector("0.8.0"), registryExists: true, chunks: current, collections: absent };
    expect(new Set(names(state, { ...layout, collectionsTable: "named" }))).toEqual(
      new Set(["collections", "loads", "sources", "messages", "backfills"]),
    );
    expect(names({ ...empty, server: vector("0.8.0"), registryExists: true })[0]).toBe("chunks");
  });

  test("quotes every name and value, and leaves no placeholder", () => {
    const odd: Layout = {
      ...layout,
      table: `t"; drop table x; --`,
      columns: { id: 'i"d', content: "select", metadata: "{{id}}", embedding: "$1" },
      extensionSchema: "my ext",
    };
    const named = { ...model, model: "it's {{chunks}} \\", provider: "o'provider", column: "$1" };
    const sql = sqlOf({ ...empty, schema: 'S"', schemaExists: false }, odd, named);
    expect(sql).toContain('"S"""."t""; drop table x; --"');
    expect(sql).toContain('"i""d"');
    expect(sql).toContain('"my ext"."vector"(3)');
    expect(sql).toContain("E'it''s {{chunks}} \\\\'");
    expect(sql).toContain("'o''provider'");
    expect(sql.replaceAll("{{id}}", "").replaceAll("{{chunks}}", "")).not.toContain("{{");
  });

  test("puts the extension where it is told, or where the server would", () => {
    expect(sqlOf(empty)).toContain("create extension if not exists vector;");
    expect(sqlOf(empty, { ...layout, extensionSchema: "e" })).toContain('create schema if not exists "e"');
    expect(sqlOf({ ...empty, server: vector("0.8.0") }, { ...layout, extensionSchema: "e" })).toContain(
      '"ext"."vector"',
    );
  });

  test.each(["0.6.2", "0.5.0"])("refuses pgvector %s", (version) => {
    expect(() => names({ ...empty, server: vector(version) })).toThrow(ConfigurationError);
  });

  test.each(["0.7.0", "0.8.7", "0.10.0", "1.0.0"])("works with pgvector %s", (version) => {
    expect(names({ ...empty, server: vector(version) }).length).toBeGreaterThan(0);
  });

  test("refuses a newer schema that breaks, and works on one that does not", () => {
    const state = { ...empty, server: vector("0.8.0"), registryExists: true };
    const breaking = { ...current, breakingRevision: 1_000 };
    expect(() => names({ ...state, chunks: breaking })).toThrow(SchemaVersionError);
    expect(
      names({ ...state, chunks: current, loads: current, sources: current, messages: current, backfills: current }),
    ).toEqual([]);
    const wanted = { ...layout, collectionsTable: "named" };
    expect(() => names({ ...state, chunks: current, collections: breaking }, wanted)).toThrow(/"named".*newer/);
  });

  test("refuses tables that it did not make, and tells the two kinds apart", () => {
    const state = { ...empty, server: vector("0.8.0") };
    const base = relation({ id: "uuid", text: "text", metadata: "jsonb", embedding: "vector" });
    expect(() => names({ ...state, chunks: base })).toThrow(/adopt --table chunks/);
    expect(() => names({ ...state, chunks: relation({ id: "integer", note: "text" }) })).toThrow(SchemaDriftError);
    expect(() => names({ ...state, chunks: relation({ id: "integer", note: "text" }) })).toThrow(/columns: id, note/);
  });

  test("refuses columns that the table does not have", () => {
    const { text: _, ...without } = OURS;
    const state = { ...empty, server: vector("0.8.0"), chunks: relation(without, { revision: 1_000 }) };
    expect(() => names(state)).toThrow(/no column "text"/);
  });
});

describe("a layout", () => {
  test.each<[string, Partial<Layout>]>([
    ["two columns of one name", { columns: { ...layout.columns, content: "id" } }],
    ["a column of ours", { columns: { ...layout.columns, content: "content_hash" } }],
    ["two tables of one name", { collectionsTable: "chunks" }],
    ["a table of the library's own", { collectionsTable: "chunks_loads" }],
    ["an empty name", { table: "" }],
    ["a NUL in a name", { schema: "a\0" }],
    ["a name that Postgres would cut", { extensionSchema: "x".repeat(64) }],
  ])("with %s is refused", (_, change) => {
    expect(() => checkLayout({ ...layout, ...change })).toThrow(ConfigurationError);
  });

  test("is put into a migration once", () => {
    expect(render("{{a}} {{b}} {{a}}", { a: "{{b}}", b: "$&" })).toBe("{{b}} $& {{b}}");
    expect(() => render("{{missing}}", {})).toThrow(/\{\{missing\}\}/);
  });
});

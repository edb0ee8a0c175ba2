import { readFile } from "node:fs/promises";
import * as fc from "fast-check";
import sql, { type Sql } from "sql-template-tag";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PoolClient } from "../../src/db/pool.js";
import {
  combineFilters,
  compileFilter,
  type FilterNode,
  parseDocumentFilter,
  parseFilter,
  regexFilterError,
} from "../../src/store/filter/index.js";
import { openTestDatabase } from "../helpers/database.js";
import { content, documentFilter, filter, metadata } from "../helpers/filter-arbitraries.js";
import { matchesFilter } from "../helpers/filter-evaluator.js";
import { markdownTables } from "../helpers/markdown-tables.js";

interface Row {
  /** `undefined` is a null column. */
  readonly metadata: unknown;
  readonly content: string | null;
}

const KINDS: FilterNode["kind"][] = [
  "all",
  "any",
  "not",
  "equals",
  "in",
  "arrayContains",
  "range",
  "exists",
  "like",
  "contains",
  "regex",
];

const columns = { metadata: sql`c.metadata`, content: sql`c.content` };

let database: Awaited<ReturnType<typeof openTestDatabase>>;
let client: PoolClient;

beforeAll(async () => {
  database = await openTestDatabase();
  client = await database.pool.connect();
});

afterAll(async () => {
  client?.release();
  await database?.close();
});

function query({ text, values }: Sql) {
  return client.query({ text, values });
}

/** The rows as a table expression `c(id, metadata, content)`, ids being their positions. */
function tableOf(rows: readonly Row[]): Sql {
  const json = rows.map((row) => (row.metadata === undefined ? null : JSON.stringify(row.metadata)));
  const contents = rows.map((row) => row.content);
  return sql`unnest(${rows.map((_, id) => id)}::int[], ${json}::text[]::jsonb[], ${contents}::text[])
    as c(id, metadata, content)`;
}

async function matching(node: FilterNode, rows: readonly Row[]): Promise<number[]> {
  const condition = compileFilter(node, columns);
  const reply = await query(sql`select id from ${tableOf(rows)} where ${condition} order by id`);
  return reply.rows.map((row) => Number(row["id"]));
}

function matchingInJavaScript(node: FilterNode, rows: readonly Row[]): number[] {
  // Through JSON, as the database sees it.
  const stored = rows.map((row) => (row.metadata === undefined ? undefined : JSON.parse(JSON.stringify(row.metadata))));
  return rows.flatMap((row, id) => (matchesFilter(node, stored[id], row.content) ? [id] : []));
}

function parse(where: unknown, whereDocument?: unknown): FilterNode {
  const node = combineFilters(parseFilter(where), parseDocumentFilter(whereDocument));
  if (node === undefined) throw new Error("expected a filter that is not empty");
  return node;
}

test("random filters match the same random rows in SQL as in JavaScript", async () => {
  const rows = fc.array(fc.record({ metadata, content }), { minLength: 1, maxLength: 40, size: "max" });
  const nodes = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: filter.map((where) => parse(where)) },
      { weight: 1, arbitrary: documentFilter.map((whereDocument) => parse({}, whereDocument)) },
      { weight: 1, arbitrary: fc.tuple(filter, documentFilter).map(([where, document]) => parse(where, document)) },
    ),
    { minLength: 1, maxLength: 8, size: "max" },
  );
  // Filters that tell rows apart, by kind: the property would hold for one that matches nothing.
  const telling = new Map<FilterNode["kind"], number>();
  await fc.assert(
    fc.asyncProperty(rows, nodes, async (table, parsed) => {
      for (const node of parsed) {
        const expected = matchingInJavaScript(node, table);
        expect(await matching(node, table)).toEqual(expected);
        if (expected.length === 0 || expected.length === table.length) continue;
        telling.set(node.kind, (telling.get(node.kind) ?? 0) + 1);
      }
    }),
    { numRuns: 1_000 },
  );
  for (const kind of KINDS) expect(telling.get(kind) ?? 0, `telling filters of kind ${kind}`).toBeGreaterThan(1);
}, 300_000);

describe("the truth tables of docs/filters.md", async () => {
  const markdown = await readFile(new URL("../../docs/filters.md", import.meta.url), "utf8");
  const tables = markdownTables(markdown).filter(({ header }) => header[0] === "filter" && header[1] === "{}");

  test("are there", () => {
    expect(tables.map(({ header }) => header.length)).toEqual([8, 8]);
  });

  test.each(tables.flatMap(({ header, rows }) => rows.map((row) => ({ title: row[0]!, header, row }))))(
    "$title",
    async ({ header, row: [where, ...cells] }) => {
      const rows = header.slice(1).map((json) => ({ metadata: JSON.parse(json) as unknown, content: null }));
      const node = parse(JSON.parse(where!));
      expect(cells.filter((cell) => cell !== "yes" && cell !== "-")).toEqual([]);
      const expected = cells.flatMap((cell, id) => (cell === "yes" ? [id] : []));
      expect(await matching(node, rows)).toEqual(expected);
      expect(matchingInJavaScript(node, rows)).toEqual(expected);
      expect(await matching({ kind: "not", node }, rows)).toEqual(
        rows.map((_, id) => id).filter((id) => !expected.includes(id)),
      );
    },
  );

  test("metadata that is no object has no keys", async () => {
    const rows = [undefined, null, 5, "k", ["k"], [{ k: 5 }]].map((value) => ({ metadata: value, content: null }));
    expect(await matching(parse({ k: { $exists: false } }), rows)).toHaveLength(rows.length);
    expect(await matching(parse({ k: { $ne: 5 } }), rows)).toHaveLength(rows.length);
    expect(await matching(parse({ k: 5 }), rows)).toEqual([]);
    expect(await matching(parse({ "0": "k" }), rows)).toEqual([]);
  });
});

/** The payload under the path that it spells, as some hold dots. */
const underPath = (payload: string): unknown =>
  payload.split(".").reduceRight<unknown>((value, segment) => ({ [segment]: value }), payload);

const rowOf = (payload: string): Row => ({
  metadata: {
    [payload]: payload,
    nested: underPath(payload),
    value: payload,
    object: { [payload]: [payload] },
    tags: [payload],
  },
  content: `content: ${payload}`,
});

async function ids(): Promise<number[]> {
  const reply = await client.query({ text: "select id from filter_rows order by id" });
  return reply.rows.map((row) => Number(row["id"]));
}

describe("injection", () => {
  const PAYLOADS = [
    "'; drop table filter_rows; --",
    "k') is null or true; delete from filter_rows; --",
    "' or '1'='1",
    '"); truncate filter_rows; --',
    '"}\'::jsonb or true or c.metadata @> \'{"a":"b',
    "x$1",
    "x$$; drop table filter_rows; $$",
    "*/ drop table filter_rows; /*",
    "\\'; drop table filter_rows; --",
    "E'\\047; drop table filter_rows; --",
    "{a,b}",
    '{"a","b',
    "a.b'->>'c') is not null or (c.metadata->>'d",
    "%' or true --",
    "ʼ; drop table filter_rows; --",
    "\u001a\u0008'; drop table filter_rows; --\r\n",
    "?| array['a']",
    ":id; drop table filter_rows",
    "trailing backslash \\",
  ];

  /** A filter for every place where text of the user goes; each matches just the row that holds the payload there. */
  const POSITIONS: Record<string, (payload: string) => [where: unknown, whereDocument?: unknown]> = {
    key: (p) => [{ [p]: p }],
    "key under an operator": (p) => [{ [p]: { $exists: true } }],
    "key of a range": (p) => [{ [p]: { gte: p, lte: p } }],
    "key of a list": (p) => [{ [p]: { in: [p, ...Array.from({ length: 20 }, String)] } }],
    "key of null": (p) => [{ $not: { [p]: null } }],
    "key of a pattern": (p) => [{ [p]: { $like: "%" } }],
    "nested key": (p) => [{ [`nested.${p}`]: p }],
    "nested key of a range": (p) => [{ [`nested.${p}`]: { $between: [p, p] } }],
    "nested key under $not": (p) => [{ [`nested.${p}`]: { $not: { $exists: false } } }],
    value: (p) => [{ value: p }],
    "value of $eq": (p) => [{ value: { $eq: p } }],
    "value of $ne": (p) => [{ value: { $not: { $ne: p } } }],
    "key and value inside $eq": (p) => [{ object: { $eq: { [p]: [p] } } }],
    "value of a bound": (p) => [{ value: { $gte: p, $lte: p } }],
    "value of $between": (p) => [{ value: { $between: [p, p] } }],
    "value of in": (p) => [{ value: { in: [p] } }],
    "value of a long in": (p) => [{ value: { $in: [p, ...Array.from({ length: 20 }, String)] } }],
    "value of in beside null": (p) => [{ value: { in: [p, null], $exists: true } }],
    "value of notIn": (p) => [{ value: { $not: { notIn: [p] } } }],
    "value of $nin": (p) => [{ $not: { value: { $nin: [p] } } }],
    "value of arrayContains": (p) => [{ tags: { arrayContains: [p, "none"] } }],
    "value of a long arrayContains": (p) => [{ tags: { arrayContains: [p, ...Array.from({ length: 20 }, String)] } }],
    "pattern of $like": (p) => [{ value: { $like: p.replaceAll(/[\\%_]/g, "\\$&") } }],
    "pattern of $ilike": (p) => [{ value: { $ilike: p.replaceAll(/[\\%_]/g, "\\$&") } }],
    "inside $and and $or": (p) => [{ $or: [{ $and: [{ value: p }, { [p]: p }] }] }],
    $contains: (p) => [{}, { $contains: `content: ${p}` }],
    $not_contains: (p) => [{ value: p }, { $not_contains: `other: ${p}` }],
    $regex: (p) => [{}, { $regex: `***=content: ${p}` }],
    $not_regex: (p) => [{ value: p }, { $not_regex: `***=other: ${p}` }],
  };

  beforeAll(async () => {
    await client.query({ text: "create temporary table filter_rows (id int, metadata jsonb, content text)" });
  });

  async function refill(): Promise<void> {
    await client.query({ text: "truncate filter_rows" });
    const rows = PAYLOADS.map(rowOf);
    await query(sql`insert into filter_rows select id, metadata, content from ${tableOf(rows)}`);
  }

  test.each(Object.entries(POSITIONS))("as %s deletes the one row that it names", async (_, filterOf) => {
    await refill();
    const all = PAYLOADS.map((_payload, id) => id);
    for (const [id, payload] of PAYLOADS.entries()) {
      const [where, whereDocument] = filterOf(payload);
      const condition = compileFilter(parse(where, whereDocument), columns);
      for (const part of [payload, "drop table", "truncate"]) {
        expect(condition.text).not.toContain(part);
      }
      await query(sql`delete from filter_rows as c where ${condition}`);
      expect(await ids()).toEqual(all.slice(id + 1));
    }
  });

  test("as a regular expression matches or is refused, and the table still stands", async () => {
    await refill();
    const refusals: unknown[] = [];
    for (const payload of [...PAYLOADS.slice(0, -1), "(", "[a", "a{2,1}", "*", "(?<=a", "\\y(", "x{99999}"]) {
      const node = parse({}, { $regex: payload });
      try {
        await query(sql`select id from filter_rows as c where ${compileFilter(node, columns)}`);
      } catch (error) {
        refusals.push(regexFilterError(error, node)?.path ?? error);
      }
    }
    expect(refusals.length).toBeGreaterThanOrEqual(6);
    expect(new Set(refusals)).toEqual(new Set(["$regex"]));
    expect(await ids()).toHaveLength(PAYLOADS.length);
  });
});

describe("lists and indexes", () => {
  test("70,000 values are one parameter and find their row", async () => {
    const values = Array.from({ length: 70_000 }, (_, i) => `value ${i}`);
    const rows = [{ k: "value 69999" }, { k: "value 70000" }, { a: { k: "value 3" } }, { tags: ["value 5"] }, {}];
    const table = rows.map((value) => ({ metadata: value, content: null }));
    expect(await matching(parse({ k: { in: values } }), table)).toEqual([0]);
    expect(await matching(parse({ k: { notIn: values } }), table)).toEqual([1, 2, 3, 4]);
    expect(await matching(parse({ "a.k": { in: values } }), table)).toEqual([2]);
    expect(await matching(parse({ tags: { arrayContains: values } }), table)).toEqual([3]);
  });

  test.each([
    ["equality", { k: 5 }],
    ["equality of a nested key", { "a.k": 5 }],
    ["a short list", { k: { in: [5, 6] } }],
    ["arrayContains", { tags: { arrayContains: ["t5", "t6"] } }],
    ["a conjunction", { k: 5, other: { $ne: 7 } }],
  ])("%s can use a GIN index on the metadata", async (_, where) => {
    await client.query({ text: "create temporary table indexed (id int, metadata jsonb, content text)" });
    try {
      await client.query({
        text: `insert into indexed select g, jsonb_build_object('k', g, 'a', jsonb_build_object('k', g),
          'tags', jsonb_build_array('t' || g)), 'text' from generate_series(1, 5000) as g`,
      });
      await client.query({ text: "create index on indexed using gin (metadata jsonb_path_ops)" });
      await client.query({ text: "analyze indexed" });
      const condition = compileFilter(parse(where), columns);
      const plan = await query(sql`explain select id from indexed as c where ${condition}`);
      expect(plan.rows.map((row) => String(row["QUERY PLAN"])).join("\n")).toContain("Bitmap Index Scan");
    } finally {
      await client.query({ text: "drop table indexed" });
    }
  });
});

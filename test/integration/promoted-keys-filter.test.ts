import * as fc from "fast-check";
import sql, { raw, type Sql } from "sql-template-tag";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identifier } from "../../src/db/identifiers.js";
import type { PoolClient } from "../../src/db/pool.js";
import { addColumnClauses, parsePromotedKeys, type PromotedType } from "../../src/schema/promoted-keys.js";
import { compileFilter, type FilterNode, parseFilter, type PromotedColumns } from "../../src/store/filter/index.js";
import { openTestDatabase } from "../helpers/database.js";
import { filter, metadata } from "../helpers/filter-arbitraries.js";
import { matchesFilter } from "../helpers/filter-evaluator.js";

/** The keys that random filters mostly name, each with each type in one of the tables; a path and its first step too. */
const PROMOTIONS: readonly Readonly<Record<string, PromotedType>>[] = [
  { k: "text", a: "number", "a.b": "boolean", b: "number", "it's": "text", "a.0": "text" },
  { k: "number", a: "boolean", "a.b": "text", b: "boolean", "back\\slash": "number", "": "text" },
  { k: "boolean", a: "text", "a.b": "number", b: "text", ["__proto__"]: "text", 'say "hi"': "number" },
];
const KINDS = ["all", "any", "not", "equals", "in", "arrayContains", "range", "exists", "like"] as const;

interface PromotedTable {
  readonly name: string;
  readonly promoted: PromotedColumns;
}

let database: Awaited<ReturnType<typeof openTestDatabase>>;
let client: PoolClient;
let tables: PromotedTable[];

async function makeTable(name: string, promotion: Readonly<Record<string, PromotedType>>): Promise<PromotedTable> {
  const keys = parsePromotedKeys(promotion);
  await client.query({
    text:
      `create temporary table ${name} (id int, metadata jsonb, content text);` +
      `alter table ${name} ${addColumnClauses("metadata", keys).join(", ")};` +
      keys.map(({ column }) => `create index on ${name} ("${column}");`).join(""),
  });
  const promoted = new Map(keys.map(({ key, type, column }) => [key, { type, column: identifier(column) }]));
  return { name, promoted };
}

beforeAll(async () => {
  database = await openTestDatabase();
  client = await database.pool.connect();
  tables = [];
  for (const [index, promotion] of PROMOTIONS.entries()) tables.push(await makeTable(`promoted_${index}`, promotion));
});

afterAll(async () => {
  client?.release();
  await database?.close();
});

function query({ text, values }: Sql) {
  return client.query({ text, values });
}

/** Rows given as JSON text, or null, ids being their positions. */
async function fill(name: string, rows: readonly (string | null)[]): Promise<void> {
  await client.query({ text: `truncate ${name}` });
  await query(sql`
    insert into ${raw(name)} (id, metadata)
    select id, metadata from unnest(${rows.map((_, id) => id)}::int[], ${rows}::text[]::jsonb[]) as row (id, metadata)`);
}

async function matching(node: FilterNode, { name, promoted }: PromotedTable, usePromoted = true): Promise<number[]> {
  const columns = { metadata: sql`c.metadata`, content: sql`c.content`, ...(usePromoted && { promoted }) };
  const reply = await query(sql`select id from ${raw(name)} as c where ${compileFilter(node, columns)} order by id`);
  return reply.rows.map((row) => Number(row["id"]));
}

function parse(where: unknown): FilterNode {
  return parseFilter(where)!;
}

/** Alternately by the index and by reading all rows, which must not matter. */
async function byIndex(on: boolean): Promise<void> {
  await client.query({ text: `set enable_seqscan = ${on ? "off" : "on"}` });
}

test("random filters match the same rows by the columns as in JavaScript", async () => {
  const telling = new Map<FilterNode["kind"], number>();
  const rows = fc.array(metadata, { minLength: 1, maxLength: 30, size: "max" });
  const nodes = fc.array(filter.map(parse), { minLength: 1, maxLength: 8, size: "max" });
  await fc.assert(
    fc.asyncProperty(rows, nodes, fc.constantFrom(0, 1, 2), fc.boolean(), async (stored, parsed, which, indexed) => {
      const table = tables[which]!;
      const json = stored.map((value) => (value === undefined ? null : JSON.stringify(value)));
      await fill(table.name, json);
      await byIndex(indexed);
      const values = json.map((text) => (text === null ? undefined : (JSON.parse(text) as unknown)));
      for (const node of parsed) {
        const expected = values.flatMap((value, id) => (matchesFilter(node, value, null) ? [id] : []));
        expect(await matching(node, table)).toEqual(expected);
        if (expected.length === 0 || expected.length === json.length) continue;
        telling.set(node.kind, (telling.get(node.kind) ?? 0) + 1);
      }
    }),
    { numRuns: 1_000 },
  );
  for (const kind of KINDS) expect(telling.get(kind) ?? 0, `telling filters of kind ${kind}`).toBeGreaterThan(1);
}, 300_000);

describe("values that a column does not keep whole", () => {
  const NUMBERS = [
    "0",
    "-0.0",
    "1e400",
    "1.0000001e400",
    "-1e400",
    "1e-400",
    "-1e-400",
    "2e-324",
    "5e-324",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "1.8e308",
    "9007199254740992",
    "9007199254740993",
    "9007199254740994",
    "-9007199254740993",
    "9223372036854775807",
    "0.1",
    "0.1000000000000000055511151231257827",
    "0.10000000000000000000000000000000000001",
    "5",
    "5.0",
    "5.00000000000000000000000001",
    "4.99999999999999999999999999",
    `1${"0".repeat(5_000)}.5`,
    `0.${"0".repeat(5_000)}1`,
  ];
  const BOUNDS = [0, 5, 0.1, 5e-324, -5e-324, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 53, 1e308];
  const INTEGERS = [2n ** 53n, 2n ** 53n + 1n, 2n ** 53n + 2n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, 5n];

  test("numbers beyond a double are stored, and compared as the JSON is", async () => {
    const table = tables[1]!;
    await fill(
      table.name,
      NUMBERS.map((number) => `{"k":${number}}`),
    );
    for (const indexed of [true, false]) {
      await byIndex(indexed);
      for (const value of [...BOUNDS, ...INTEGERS]) {
        const wheres = [
          ...["$eq", "$ne", "lt", "lte", "gt", "gte"].map((operator) => ({ k: { [operator]: value } })),
          { k: { in: [value, 7] } },
          { k: { notIn: [value, "7"] } },
          { k: { in: [value, null, true] } },
        ];
        for (const where of wheres) {
          const node = parse(where);
          expect(await matching(node, table)).toEqual(await matching(node, table, false));
        }
      }
    }
    expect(await matching(parse({ k: 2n ** 53n + 1n }), table)).toEqual([NUMBERS.indexOf("9007199254740993")]);
    expect(await matching(parse({ k: 5 }), table)).toHaveLength(2);
    expect(await matching(parse({ k: { gt: Number.MAX_VALUE } }), table)).toHaveLength(5);
  });

  test("long texts are stored, and compared to their end", async () => {
    const table = tables[0]!;
    const stems = [
      "x".repeat(199),
      "x".repeat(200),
      "🦊".repeat(100),
      "🦊".repeat(199),
      "🦊".repeat(200),
      "é".repeat(201),
    ];
    const texts = [
      ...stems.flatMap((stem) => ["", "a", "b", "ab", "b🦊", "￮"].map((end) => stem + end)),
      // Random enough not to be compressed away, and beyond what any index entry holds.
      Array.from({ length: 20_000 }, (_, i) => String.fromCodePoint(0x1_f300 + ((i * 7_919) % 700))).join(""),
      "",
      "x",
    ];
    await fill(
      table.name,
      texts.map((text) => JSON.stringify({ k: text })),
    );
    const values = texts.map((text) => ({ k: text }));
    for (const indexed of [true, false]) {
      await byIndex(indexed);
      for (const text of texts) {
        const wheres = [
          ...["$eq", "$ne", "lt", "lte", "gt", "gte"].map((operator) => ({ k: { [operator]: text } })),
          { k: { in: [text, "none"] } },
          { k: { in: [text, null, 5] } },
          { k: { $like: `${text.slice(0, 300).toWellFormed()}%` } },
          { k: { $like: text.length < 1_000 ? text : "x" } },
        ];
        for (const where of wheres) {
          const node = parse(where);
          const expected = values.flatMap((value, id) => (matchesFilter(node, value, null) ? [id] : []));
          expect(await matching(node, table)).toEqual(expected);
        }
      }
    }
  });

  test("patterns find their rows by what they begin with", async () => {
    const table = tables[0]!;
    const texts = [
      "docs/a.md",
      "docs/b/c.md",
      "docs0",
      "docs.",
      "Docs/a",
      "docs/",
      "docs",
      "~",
      "~~",
      "\u007f",
      "é",
      "a_b",
      "aXb",
    ];
    await fill(
      table.name,
      texts.map((text) => JSON.stringify({ k: text })),
    );
    await byIndex(true);
    for (const pattern of [
      "docs/%",
      "docs%",
      "docs_",
      "docs/",
      "~%",
      "~~",
      "\u007f%",
      "é%",
      "a\\_b",
      "a_b",
      "%",
      "",
      "_",
    ]) {
      for (const operator of ["$like", "$ilike"]) {
        const node = parse({ k: { [operator]: pattern } });
        const expected = texts.flatMap((k, id) => (matchesFilter(node, { k }, null) ? [id] : []));
        expect(await matching(node, table), `${operator} ${pattern}`).toEqual(expected);
      }
    }
  });
});

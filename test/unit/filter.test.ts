import type { PGVectorStoreArgs } from "@langchain/community/vectorstores/pgvector";
import * as fc from "fast-check";
import sql from "sql-template-tag";
import { describe, expect, expectTypeOf, test } from "vitest";
import { FilterError } from "../../src/errors.js";
import {
  combineFilters,
  compileFilter,
  type DocumentFilter,
  type Filter,
  parseDocumentFilter,
  parseFilter,
  regexFilterError,
} from "../../src/store/filter/index.js";

const columns = { metadata: sql`c.metadata`, content: sql`c.content` };

function failure(run: () => unknown): FilterError {
  try {
    run();
  } catch (error) {
    if (error instanceof FilterError) return error;
    throw error;
  }
  throw new Error("expected a FilterError, nothing was thrown");
}

/** `{ $not: { $not: ... } }`, `levels` deep around one condition. */
function nest(levels: number): unknown {
  let filter: unknown = { k: 1 };
  for (let level = 0; level < levels; level++) filter = { $not: filter };
  return filter;
}

function repeated<T>(times: number, item: T): T[] {
  return Array.from({ length: times }, () => item);
}

const LONG_PATH = Array(21).fill("a").join(".");

const cyclic: unknown[] = [];
cyclic.push(cyclic);

describe("parseFilter refuses", () => {
  const cases: [name: string, filter: unknown, path: string, ...message: string[]][] = [
    ["null", null, "", "got null"],
    ["a string", "year = 1", "", '"year = 1"'],
    ["an array", [{ k: 1 }], "", '[{"k":1}]'],
    ["a function", () => true, "", "a function"],
    ["a Map", new Map([["k", 1]]), "", "must be an object of keys and values"],
    ["a symbol key", { [Symbol("eq")]: 1 }, "", "symbol"],
    ["a misspelt operator", { year: { gtee: 5 } }, "year.gtee", '"gtee"', "did you mean gte or $gte?"],
    ["a misspelt $ operator", { year: { $gtee: 5 } }, "year.$gtee", "did you mean $gte or gte?"],
    ["an operator of another dialect", { k: { $not_in: [1] } }, "k.$not_in", "notIn"],
    ["a nested object", { a: { b: 1 } }, "a.b", 'write "a.b"', "$eq"],
    ["an operator mixed with a key", { a: { $gt: 1, other: 2 } }, "a.other", 'write "a.other"'],
    ["an inherited name as operator", { a: { constructor: 1 } }, "a.constructor", "not an operator"],
    ["__proto__ as operator", JSON.parse('{"a":{"__proto__":1}}'), "a.__proto__", "not an operator"],
    ["an unknown $ key", { $where: "1=1" }, "$where", '"$where"', "$and, $or, $not"],
    ["a misspelt logical operator", { $orr: [{ a: 1 }] }, "$orr", "did you mean $or?"],
    ["an operator without a key", { $gt: 5 }, "$gt", "under a key"],
    ["a logical operator without $", { and: [{ a: 1 }] }, "and", "write $and"],
    ["$or under a key", { k: { $or: [{ $eq: 1 }] } }, "k.$or", "use in"],
    ["$regex under a key", { k: { $regex: "x" } }, "k.$regex", "$like", "whereDocument"],
    ["$contains of a list", { k: { $contains: ["x"] } }, "k.$contains", "must be a string, number, boolean"],
    ["a plain array", { tags: ["a"] }, "tags", '["a"]', "arrayContains", "in: "],
    ["an empty operator object", { k: {} }, "k", "empty object"],
    ["an empty in", { k: { in: [] } }, "k.in", "empty array"],
    ["an empty $in", { k: { $in: [] } }, "k.$in", "empty array"],
    ["an empty notIn", { k: { notIn: [] } }, "k.notIn", "empty array"],
    ["an empty arrayContains", { k: { arrayContains: [] } }, "k.arrayContains", "empty array"],
    ["an empty $and", { $and: [] }, "$and", "empty array"],
    ["an empty $or", { $or: [] }, "$or", "empty array"],
    ["$and of one object", { $and: { a: 1 } }, "$and", '{"a":1}'],
    ["an empty filter in $or", { $or: [{ a: 1 }, {}] }, "$or[1]", "match everything"],
    ["an empty filter in $not", { $not: {} }, "$not", "match everything"],
    ["no filter in $and", { $and: [undefined] }, "$and[0]", "undefined"],
    ["a plain value in $not under a key", { k: { $not: 5 } }, "k.$not", "$ne"],
    ["undefined", { k: undefined }, "k", "undefined", "$exists"],
    ["undefined in an operator", { k: { gt: undefined } }, "k.gt", "undefined"],
    ["undefined in a list", { k: { in: [1, undefined] } }, "k.in[1]", "undefined"],
    // oxlint-disable-next-line no-sparse-arrays
    ["a hole in a list", { k: { in: [1, , 2] } }, "k.in[1]", "undefined"],
    ["NaN", { k: NaN }, "k", "NaN"],
    ["Infinity", { k: { lt: Infinity } }, "k.lt", "Infinity"],
    ["an invalid Date", { k: new Date("?") }, "k", "invalid Date"],
    ["a bigint over 64 bits", { k: 2n ** 63n }, "k", "9223372036854775808n"],
    ["a function as value", { k: () => 1 }, "k", "a function"],
    ["a symbol as value", { k: Symbol("s") }, "k", "a symbol"],
    ["a class instance", { k: new URL("http://localhost/") }, "k", "string, number"],
    ["NUL in a value", { k: "a\0b" }, "k", "NUL", "a\\u0000b"],
    ["NUL in a key", { "a\0b": 1 }, '["a\\u0000b"]', "NUL"],
    ["NUL in a pattern", { k: { $like: "\0" } }, "k.$like", "NUL"],
    ["half a surrogate pair", { k: { in: ["\ud83d"] } }, "k.in[0]", "surrogate"],
    ["half a surrogate pair in a key", { "\udc00": 1 }, '["\\udc00"]', "surrogate"],
    ["NUL deep in an operand", { k: { $eq: [{ a: "\0" }] } }, "k.$eq[0].a", "NUL"],
    ["undefined deep in an operand", { k: { $eq: { a: undefined } } }, "k.$eq.a", "undefined"],
    ["an object in a list", { k: { in: [{ a: 1 }] } }, "k.in[0]", '{"a":1}'],
    ["a list that is none", { k: { in: "abc" } }, "k.in", 'write ["abc"]'],
    ["a boolean bound", { k: { gt: true } }, "k.gt", "true", "no order"],
    ["a null bound", { k: { lte: null } }, "k.lte", "null", "no order"],
    ["an array bound", { k: { lte: [1] } }, "k.lte", "[1]"],
    ["a date that does not sort", { k: { lt: new Date(8.64e15) } }, "k.lt", "9999"],
    ["$between of one", { k: { $between: [1] } }, "k.$between", "[low, high]"],
    ["$between of three", { k: { $between: [1, 2, 3] } }, "k.$between", "[1,2,3]"],
    ["$between of two types", { k: { $between: [1, "2"] } }, "k.$between", "different types"],
    ["$between the wrong way", { k: { $between: [2, 1] } }, "k.$between", "wrong way round"],
    ["$between by code point", { k: { $between: ["\u{1f600}", "\uffee"] } }, "k.$between", "wrong way round"],
    ["$between of a boolean", { k: { $between: [1, true] } }, "k.$between[1]", "no order"],
    ["$exists of a number", { k: { $exists: 1 } }, "k.$exists", "true or false"],
    ["$like of a number", { k: { $like: 5 } }, "k.$like", "must be a string"],
    ["a lone backslash", { k: { $like: "a\\" } }, "k.$like", "lone backslash"],
    ["three backslashes", { k: { $ilike: "a\\\\\\" } }, "k.$ilike", "lone backslash"],
    ["a path that is too long", { [LONG_PATH]: 1 }, `["${LONG_PATH}"]`, "21 segments"],
    ["a filter that is too deep", nest(65), Array(65).fill("$not").join("."), "64 levels"],
    ["an operand without end", { k: { $eq: cyclic } }, `k.$eq${"[0]".repeat(64)}`, "64 levels"],
    ["too many conditions", { $or: repeated(1_001, { k: 1 }) }, "$or[1000].k", "1,000 conditions"],
    ["too many characters", { k: "x".repeat(16_777_217) }, "k", "16,777,216 characters"],
    ["a place deep inside", { $and: [{ a: 1 }, { year: { gt: {} } }] }, "$and[1].year.gt", "{}"],
    ["a key that needs quotes", { $or: [{ "a b": { $gt: true } }] }, '$or[0]["a b"].$gt', "no order"],
  ];

  test.each(cases)("%s", (_, filter, path, ...parts) => {
    const error = failure(() => parseFilter(filter));
    expect(error.path).toBe(path);
    for (const part of parts) expect(error.message).toContain(part);
    expect(error.message).toMatch(/^filter( at .+)? .+; .+/);
    expect(error.message.length).toBeLessThan(700);
    expect(error.code).toBe("FILTER");
  });
});

describe("parseDocumentFilter refuses", () => {
  test.each<[string, unknown, string, string]>([
    ["null", null, "", "got null"],
    ["a string", "text", "", "$contains"],
    ["a misspelt operator", { $contain: "x" }, "$contain", "did you mean $contains?"],
    ["a metadata key", { year: 5 }, "year", "metadata go into filter"],
    ["an empty string", { $contains: "" }, "$contains", "match everything"],
    ["an empty pattern", { $not_regex: "" }, "$not_regex", "match everything"],
    ["a number", { $contains: 5 }, "$contains", "must be a string"],
    ["NUL", { $regex: "\0" }, "$regex", "NUL"],
    ["a lone surrogate", { $or: [{ $contains: "\ud800" }] }, "$or[0].$contains", "surrogate"],
    ["a lone backslash", { $regex: "a\\" }, "$regex", "lone backslash"],
    ["a long pattern", { $regex: "a".repeat(10_001) }, "$regex", "10000"],
    ["an empty $and", { $and: [] }, "$and", "empty array"],
    ["an empty part", { $and: [{ $contains: "a" }, {}] }, "$and[1]", "match everything"],
  ])("%s", (_, filter, path, part) => {
    const error = failure(() => parseDocumentFilter(filter));
    expect(error.path).toBe(path);
    expect(error.message).toContain(part);
    expect(error.message).toMatch(/^whereDocument( at .+)? .+; .+/);
  });
});

describe("parsing", () => {
  test("nothing to filter by is undefined", () => {
    for (const parse of [parseFilter, parseDocumentFilter]) {
      expect(parse({})).toBeUndefined();
      expect(parse(undefined)).toBeUndefined();
      expect(parse(Object.create(null))).toBeUndefined();
    }
  });

  test("several keys and several operators are all required", () => {
    expect(parseFilter({ a: 1, b: { gt: 1, lt: 5 } })).toEqual({
      kind: "all",
      nodes: [
        { kind: "equals", key: "a", value: 1 },
        {
          kind: "all",
          nodes: [
            { kind: "range", key: "b", operation: "gt", bound: 1 },
            { kind: "range", key: "b", operation: "lt", bound: 5 },
          ],
        },
      ],
    });
  });

  test.each([
    [{ k: { $eq: 1 } }, { k: 1 }],
    [{ k: { $ne: 1 } }, { k: { neq: 1 } }],
    [{ k: { $in: [1] } }, { k: { in: [1] } }],
    [{ k: { $nin: [1] } }, { k: { notIn: [1] } }],
    [{ k: { $gt: 1 } }, { k: { gt: 1 } }],
    [{ k: { $gte: 1 } }, { k: { gte: 1 } }],
    [{ k: { $lt: 1 } }, { k: { lt: 1 } }],
    [{ k: { $lte: 1 } }, { k: { lte: 1 } }],
    [{ k: { $between: [1, 2] } }, { k: { gte: 1, lte: 2 } }],
    [{ k: { $not: { in: [1] } } }, { k: { notIn: [1] } }],
    [{ k: { $not: { $eq: 1 } } }, { $not: { k: 1 } }],
    [{ k: { $exists: false } }, { $not: { k: { $exists: true } } }],
    [{ k: new Date(0) }, { k: "1970-01-01T00:00:00.000Z" }],
  ])("%j is %j", (one, other) => {
    expect(parseFilter(one)).toEqual(parseFilter(other));
    expect(parseFilter(one)).toBeDefined();
  });

  test("__proto__ and constructor are keys like any other", () => {
    const filter: unknown = JSON.parse('{"__proto__":1,"constructor":2}');
    expect(parseFilter(filter)).toEqual({
      kind: "all",
      nodes: [
        { kind: "equals", key: "__proto__", value: 1 },
        { kind: "equals", key: "constructor", value: 2 },
      ],
    });
    expect(failure(() => parseFilter({ ["__proto__"]: { polluted: 1 } })).path).toBe("__proto__.polluted");
    expect({}).not.toHaveProperty("polluted");
  });

  test("anything at all is parsed or refused with a FilterError", () => {
    const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true });
    const operators = fc.dictionary(fc.constantFrom("$eq", "in", "gt", "$between", "$like", "$not", "x"), anything);
    const filters = fc.dictionary(
      fc.oneof(fc.constantFrom("$and", "$or", "$not", "k", "a.b"), fc.string({ unit: "binary" })),
      fc.oneof(anything, operators, fc.array(operators), fc.array(anything)),
    );
    let parsed = 0;
    fc.assert(
      fc.property(fc.oneof(filters, anything), (filter) => {
        for (const parse of [parseFilter, parseDocumentFilter]) {
          try {
            const node = parse(filter);
            if (node !== undefined) parsed += compileFilter(node, columns).text === "" ? 0 : 1;
          } catch (error) {
            if (!(error instanceof FilterError)) throw error;
          }
        }
      }),
      { numRuns: 2000 },
    );
    expect(parsed).toBeGreaterThan(0);
  });
});

describe("compiling", () => {
  const MARK = "zzhostile";
  const everywhere: unknown[] = [
    { [MARK]: MARK },
    { [`${MARK}.${MARK}`]: { $eq: [MARK, { [MARK]: MARK }] } },
    { [MARK]: { in: [MARK, null], notIn: Array(20).fill(MARK), arrayContains: [MARK] } },
    { [`a.${MARK}`]: { gt: MARK, $between: [MARK, `${MARK}2`], $like: MARK, $ilike: MARK, $exists: true } },
    { $or: [{ $not: { [MARK]: { $ne: MARK } } }, { [MARK]: { $not: { lt: 987_654_321 } } }] },
    { [MARK]: 987_654_321 },
    { [MARK]: { $nin: [987_654_321, true] } },
    { [MARK]: 987_654_321n },
    { [`a.${MARK}`]: { arrayContains: Array(20).fill(MARK) } },
  ];

  test.each(everywhere)("no key and no value is in the text, filter %#", (filter) => {
    const compiled = compileFilter(parseFilter(filter)!, columns);
    expect(compiled.text).not.toContain(MARK);
    expect(compiled.text).not.toContain("987654321");
    expect(compiled.text).toMatch(/^[a-z_ \n():$0-9@>=<~.,'#{}"C\-[\]]+$/);
    expect(JSON.stringify(compiled.values)).toContain(MARK);
  });

  test("nor those of a document filter", () => {
    const filter = { $contains: MARK, $or: [{ $not_contains: MARK }, { $regex: MARK }, { $not_regex: MARK }] };
    const compiled = compileFilter(parseDocumentFilter(filter)!, columns);
    expect(compiled.text).not.toContain(MARK);
    expect(compiled.values).toHaveLength(4);
  });

  test("every parameter has a type", () => {
    for (const filter of everywhere) {
      const { text, values } = compileFilter(parseFilter(filter)!, columns);
      expect(text.match(/\$\d+::text(\[\])?/g)).toHaveLength(values.length);
    }
  });

  test("equality with a plain value is a containment that an index can serve", () => {
    const { text, values } = compileFilter(parseFilter({ year: 5 })!, columns);
    expect(text).toBe("(c.metadata @> $1::text::jsonb)");
    expect(values).toEqual(['{"year":5}']);
  });

  test("strings are ordered by code point, whatever the locale of the database", () => {
    expect(compileFilter(parseFilter({ k: { lt: "b" } })!, columns).text).toContain(`collate "C" < `);
  });

  test("a list of 70,000 values is one parameter", () => {
    const filter = { k: { in: Array.from({ length: 70_000 }, (_, i) => `v${i}`) } };
    expect(compileFilter(parseFilter(filter)!, columns).values).toHaveLength(2);
  });

  test("the largest filter stays below the parameters of a statement", () => {
    const key = Array(20).fill("a").join(".");
    const filter = { $and: repeated(1_000, { [key]: { gt: 1 } }) };
    expect(compileFilter(parseFilter(filter)!, columns).values.length).toBeLessThan(65_000);
    const between = { $and: repeated(500, { [key]: { $between: [1, 2] } }) };
    expect(compileFilter(parseFilter(between)!, columns).values.length).toBeLessThan(65_000);
  });
});

test("the types take what the base class and Chroma take, and refuse what is misspelt", () => {
  expectTypeOf<NonNullable<PGVectorStoreArgs["filter"]>>().toExtend<Filter>();
  expectTypeOf({ $and: [{ year: { $gte: 2020 } }, { $or: [{ a: "x" }, { a: null }] }], b: true }).toExtend<Filter>();
  expectTypeOf({ k: { $not: { $between: [1, 2] as [number, number] } }, when: new Date() }).toExtend<Filter>();
  expectTypeOf({ $or: [{ $contains: "a" }, { $not_regex: "b" }] }).toExtend<DocumentFilter>();
  // @ts-expect-error: no such operator
  const misspelt: Filter = { year: { gtee: 5 } };
  // @ts-expect-error: a nested object is no path
  const nested: Filter = { a: { b: 1 } };
  for (const filter of [misspelt, nested]) expect(() => parseFilter(filter)).toThrow(FilterError);
});

describe("combineFilters", () => {
  const a = parseFilter({ a: 1 });
  const b = parseDocumentFilter({ $contains: "b" });

  test("joins what is there", () => {
    expect(combineFilters()).toBeUndefined();
    expect(combineFilters(undefined, a)).toBe(a);
    expect(combineFilters(a, undefined, b)).toEqual({ kind: "all", nodes: [a, b] });
  });
});

describe("regexFilterError", () => {
  const node = parseDocumentFilter({ $or: [{ $contains: "x" }, { $not_regex: "(" }] });
  const refused = Object.assign(new Error("invalid regular expression: parentheses () not balanced"), {
    code: "2201B",
  });

  test("names the pattern and keeps the cause", () => {
    const error = regexFilterError(refused, node);
    expect(error).toBeInstanceOf(FilterError);
    expect(error?.path).toBe("$or[1].$not_regex");
    expect(error?.message).toContain('"("');
    expect(error?.message).toContain("not balanced");
    expect(error?.cause).toBe(refused);
  });

  test("leaves other errors alone", () => {
    expect(regexFilterError(new Error("no"), node)).toBeUndefined();
    expect(regexFilterError(refused, undefined)).toBeUndefined();
    expect(regexFilterError(refused, parseFilter({ k: 1 }))).toBeUndefined();
  });
});

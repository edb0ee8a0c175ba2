import {
  Comparison,
  Operation,
  StructuredQuery,
  type Comparator,
  type Operator,
} from "@langchain/core/structured_query";
import { describe, expect, it } from "vitest";
import { ConfigurationError, FilterError } from "../../src/errors.js";
import { parseFilter } from "../../src/store/filter/index.js";
import { PostgresTranslator } from "../../src/store/self-query-translator.js";

const translator = new PostgresTranslator();
const compare = (comparator: string, attribute: string, value: unknown): Comparison =>
  new Comparison(comparator as Comparator, attribute, value as string);
const combine = (operator: string, ...args: (Comparison | Operation)[]): Operation =>
  new Operation(operator as Operator, args);
const translate = (filter?: Comparison | Operation): object | undefined =>
  translator.visitStructuredQuery(new StructuredQuery("words", filter)).filter;

describe("comparisons", () => {
  it.each([
    ["eq", "drama", { k: { $eq: "drama" } }],
    ["eq", 5, { k: { $eq: 5 } }],
    ["eq", true, { k: { $eq: true } }],
    ["ne", "drama", { k: { $ne: "drama" } }],
    ["gt", 5, { k: { gt: 5 } }],
    ["gte", 5.5, { k: { gte: 5.5 } }],
    ["lt", "2024-05-01", { k: { lt: "2024-05-01" } }],
    ["lte", "m", { k: { lte: "m" } }],
  ])("%s %j", (comparator, value, filter) => {
    expect(translate(compare(comparator, "k", value))).toEqual(filter);
  });

  it("takes a quoted number or boolean for both, and for the number in a range", () => {
    expect(translate(compare("eq", "year", "2020"))).toEqual({ year: { in: [2020, "2020"] } });
    expect(translate(compare("ne", "year", "-1.50"))).toEqual({ year: { notIn: [-1.5, "-1.50"] } });
    expect(translate(compare("eq", "seen", "true"))).toEqual({ seen: { in: [true, "true"] } });
    expect(translate(compare("gt", "year", "2020"))).toEqual({ year: { gt: 2020 } });
  });

  it.each(["007", "1e3", "12345678901234567890", "", " 5", "5 stars", "Infinity", "0x10"])(
    "leaves %j a text",
    (text) => {
      expect(translate(compare("eq", "k", text))).toEqual({ k: { $eq: text } });
    },
  );

  it("keeps an attribute that looks like code a key", () => {
    const filter = translate(compare("eq", "__proto__", 1))!;
    expect(Object.keys(filter)).toEqual(["__proto__"]);
    expect(parseFilter(filter)).toMatchObject({ kind: "equals", key: "__proto__" });
  });

  it.each([
    ["in", "k", "a", /comparator "in"; allowed are eq, ne/],
    ["like", "k", "a", /comparator "like"/],
    ["constructor", "k", "a", /comparator "constructor"/],
    ["eq", "k", ["a", "b"], /compares "k" with an array.*or\(eq/],
    ["eq", "k", { date: "2024" }, /with a value of type object/],
    ["eq", "k", null, /with null/],
    ["gt", "k", true, /k\.gt cannot be a bound/],
    ["lt", "k", "false", /k\.lt cannot be a bound/],
    ["eq", "$or", 1, /\$or/],
  ])("refuses %s(%j, %j)", (comparator, attribute, value, message) => {
    const run = (): unknown => translate(compare(comparator, attribute, value));
    expect(run).toThrow(FilterError);
    expect(run).toThrow(message);
  });
});

describe("operations", () => {
  it("nests and, or and not", () => {
    const query = combine(
      "and",
      combine("or", compare("eq", "genre", "drama"), compare("eq", "genre", "comedy")),
      combine("not", compare("lt", "year", 1990)),
    );
    expect(translate(query)).toEqual({
      $and: [{ $or: [{ genre: { $eq: "drama" } }, { genre: { $eq: "comedy" } }] }, { $not: { year: { lt: 1990 } } }],
    });
  });

  it("has no filter for a query without one", () => {
    expect(translator.visitStructuredQuery(new StructuredQuery("words"))).toEqual({});
  });

  it.each([
    [combine("xor", compare("eq", "k", 1)), /operator "xor"; allowed are and, or, not/],
    [combine("and"), /empty array/],
    [new Operation("or"), /empty array/],
    [combine("not"), /one condition, got 0/],
    [combine("not", compare("eq", "k", 1), compare("eq", "k", 2)), /one condition, got 2/],
  ])("refuses what has no meaning", (operation, message) => {
    expect(() => translate(operation)).toThrow(FilterError);
    expect(() => translate(operation)).toThrow(message);
  });

  it("keeps to a narrower list of what is allowed", () => {
    const narrow = new PostgresTranslator();
    narrow.allowedOperators = ["and"];
    narrow.allowedComparators = ["eq"];
    expect(narrow.formatFunction("and")).toBe("$and");
    expect(narrow.formatFunction("eq")).toBe("$eq");
    expect(() => narrow.formatFunction("not")).toThrow(/operator "not"; allowed are and\./);
    expect(() => narrow.visitComparison(compare("gt", "k", 1))).toThrow(/comparator "gt"; allowed are eq\./);
  });
});

describe("mergeFilters", () => {
  const own = { team: "a" };
  const generated = { year: { gt: 2020 } };

  it.each([
    ["and", { $and: [own, generated] }],
    ["or", { $or: [own, generated] }],
    ["replace", generated],
    [undefined, { $and: [own, generated] }],
  ] as const)("puts two together with %s", (mergeType, merged) => {
    expect(translator.mergeFilters(own, generated, mergeType)).toEqual(merged);
    expect(() => parseFilter(translator.mergeFilters(own, generated, mergeType))).not.toThrow();
  });

  it.each(["and", "or", "replace"] as const)("%s never loses the only one", (mergeType) => {
    for (const nothing of [undefined, {}]) {
      expect(translator.mergeFilters(own, nothing, mergeType)).toBe(own);
      expect(translator.mergeFilters(nothing, generated, mergeType)).toBe(generated);
      expect(translator.mergeFilters(nothing, nothing, mergeType)).toBeUndefined();
    }
  });

  it("refuses an unknown merge type, even with one filter only", () => {
    expect(() => translator.mergeFilters(own, undefined, "xor" as "or")).toThrow(ConfigurationError);
  });
});

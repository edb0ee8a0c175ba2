import * as fc from "fast-check";

/** Few enough keys and values that random filters do meet random metadata, and every one of them awkward. */
const KEYS = [
  "k",
  "a",
  "a.b",
  "a.b.c",
  "b",
  "0",
  "a.0",
  "-1",
  "",
  ".",
  "__proto__",
  "constructor",
  "it's",
  'say "hi"',
  "back\\slash",
  "x$1",
  "naïve 🦊",
  "k; drop table filter_rows",
  "k')::text or true --",
];

const TEXTS = [
  "",
  "a",
  "b",
  "A",
  "ab",
  "a%b",
  "a_b",
  "a\\b",
  "5",
  "true",
  "null",
  "é",
  "🦊",
  "￮",
  "'",
  '"',
  "x' or '1'='1",
  "1970-01-01T00:00:00.000Z",
  "2024-05-01T00:00:00.000Z",
  "line\nbreak",
];

const NUMBERS = [0, -0, 1, 5, 5.5, -1, 0.1, 1e21, -1e21, 1e-7, 5e-324, Number.MAX_VALUE, 2 ** 53, 2 ** 53 + 2, 1e20];

const DATES = [new Date(0), new Date("2024-05-01T00:00:00Z")];
const BIGINTS = [0n, 5n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];

const PATTERNS = [
  "%",
  "_",
  "a%",
  "%b",
  "a_b",
  "a\\_b",
  "a\\%b",
  "%\\\\%",
  "",
  "__",
  "A%",
  "%e%",
  "\\a",
  "x' or%",
  "%🦊%",
];

/** The same in POSIX and in JavaScript. */
const REGEXES = ["a", "^a", "b$", "a.b", "[ab]+", "^(a|b)$", "\\d", "^.$", "\\\\", "a{2}", "'", "🦊"];

/** Most of the time from a handful, so that filters and rows meet. */
const key = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("k", "a", "a.b", "b") },
  { weight: 1, arbitrary: fc.constantFrom(...KEYS) },
);
const text = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...TEXTS) }, { weight: 1, arbitrary: storableText() });
const number = fc.oneof(fc.constantFrom(...NUMBERS), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer());
const primitive = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom("a", "b", 5, 1, null) },
  { weight: 1, arbitrary: fc.oneof(text, number, fc.boolean(), fc.constant(null)) },
);

const { json } = fc.letrec<{ json: unknown; object: unknown }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { weight: 3, arbitrary: primitive },
    { weight: 1, arbitrary: fc.array(primitive, { maxLength: 4, size: "max" }) },
    { weight: 1, arbitrary: fc.array(tie("json"), { maxLength: 3 }) },
    { weight: 2, arbitrary: tie("object") },
  ),
  object: objectOf(key, tie("json"), 4),
}));

/** Metadata as a row may hold it: mostly objects, sometimes any other JSON, or nothing at all. */
export const metadata: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 12, arbitrary: objectOf(key, json, 10) },
  // A literal key beside the path that it spells.
  { weight: 4, arbitrary: fc.record({ a: fc.record({ b: json }), "a.b": json }, { requiredKeys: [] }) },
  { weight: 1, arbitrary: json },
  { weight: 1, arbitrary: fc.constant(undefined) },
);

export const content: fc.Arbitrary<string | null> = fc.option(
  fc.array(text, { maxLength: 3 }).map((texts) => texts.join(" ")),
  { freq: 10 },
);

const scalar = fc.oneof(primitive, fc.constantFrom(...DATES), fc.constantFrom(...BIGINTS));
/** On both sides of the length from which lists are compiled in another form. */
const list = fc.array(scalar, { minLength: 1, maxLength: 16, size: "max" });
const bound = fc.oneof(text, number, fc.constantFrom(...DATES), fc.constantFrom(...BIGINTS));
const pattern = fc.constantFrom(...PATTERNS);
const operand = fc.oneof({ weight: 2, arbitrary: scalar }, { weight: 1, arbitrary: json });

const numericPair = fc
  .tuple(fc.constantFrom(...NUMBERS), fc.constantFrom(...NUMBERS))
  .map((pair) => pair.toSorted((a, b) => a - b));
const textPair = fc
  .tuple(text, text)
  .map((pair) => pair.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));

const operators = fc.letrec<{ operators: unknown }>((tie) => ({
  operators: atLeastOne({
    ...same(["$eq", "$ne", "neq"], operand),
    ...same(["in", "$in", "notIn", "$nin", "arrayContains"], list),
    ...same(["lt", "$lt", "lte", "$lte", "gt", "$gt", "gte", "$gte"], bound),
    ...same(["$contains", "$not_contains"], scalar),
    ...same(["$like", "$ilike"], pattern),
    $between: fc.oneof(numericPair, textPair),
    $exists: fc.boolean(),
    $not: tie("operators"),
  }),
})).operators;

/** Any filter of the grammar on metadata, valid and not empty. */
export const filter: fc.Arbitrary<unknown> = fc.letrec<{ filter: unknown }>((tie) => ({
  filter: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { weight: 2, arbitrary: nonEmptyObjectOf(key, scalar, 2) },
    { weight: 3, arbitrary: nonEmptyObjectOf(key, operators, 1) },
    { weight: 3, arbitrary: nonEmptyObjectOf(key, operators, 2) },
    { weight: 1, arbitrary: fc.record({ $and: fc.array(tie("filter"), { minLength: 1, maxLength: 3 }) }) },
    { weight: 1, arbitrary: fc.record({ $or: fc.array(tie("filter"), { minLength: 1, maxLength: 3 }), k: scalar }) },
    { weight: 1, arbitrary: fc.record({ $or: fc.array(tie("filter"), { minLength: 1, maxLength: 3 }) }) },
    { weight: 1, arbitrary: fc.record({ $not: tie("filter") }) },
  ),
})).filter;

/** Any filter of the grammar on documents, valid and not empty. */
export const documentFilter: fc.Arbitrary<unknown> = fc.letrec<{ filter: unknown }>((tie) => ({
  filter: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    {
      weight: 4,
      arbitrary: atLeastOne({
        ...same(
          ["$contains", "$not_contains"],
          text.filter((part) => part !== ""),
        ),
        ...same(["$regex", "$not_regex"], fc.constantFrom(...REGEXES)),
      }),
    },
    { weight: 1, arbitrary: fc.record({ $and: fc.array(tie("filter"), { minLength: 1, maxLength: 3 }) }) },
    { weight: 1, arbitrary: fc.record({ $or: fc.array(tie("filter"), { minLength: 1, maxLength: 3 }) }) },
  ),
})).filter;

/** Without NUL, which Postgres cannot store; fast-check's text has no lone surrogates. */
function storableText(): fc.Arbitrary<string> {
  return fc.string({ unit: "binary", maxLength: 4 }).filter((value) => !value.includes("\0"));
}

/** `fc.dictionary`, but "__proto__" becomes a property like any other. */
function objectOf<T>(keys: fc.Arbitrary<string>, values: fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<unknown> {
  return fc.array(fc.tuple(keys, values), { maxLength, size: "max" }).map((entries) => Object.fromEntries(entries));
}

function nonEmptyObjectOf<T>(keys: fc.Arbitrary<string>, values: fc.Arbitrary<T>, maxLength: number) {
  return fc.array(fc.tuple(keys, values), { minLength: 1, maxLength }).map((entries) => Object.fromEntries(entries));
}

function same<T>(names: string[], operands: fc.Arbitrary<T>): Record<string, fc.Arbitrary<T>> {
  return Object.fromEntries(names.map((name) => [name, operands]));
}

/** An object with one or two of the members. */
function atLeastOne(members: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  const one = fc.constantFrom(...Object.keys(members)).chain((name) => fc.tuple(fc.constant(name), members[name]!));
  return fc.array(one, { minLength: 1, maxLength: 2 }).map((entries) => Object.fromEntries(entries));
}

import { WORDS } from "./chroma-records.js";
import { seededRandom } from "./vectors.js";

export interface ChromaFilter {
  readonly where?: Record<string, unknown>;
  readonly whereDocument?: Record<string, unknown>;
}

/** Patterns of Rust's `regex` that a translation has to get right. */
const PATTERNS = [
  "^index",
  "index$",
  "\\bPlan\\b",
  "a.u",
  "(?i)plan",
  "(?s)index.*vacuum",
  "(?m)^query",
  "index.vacuum",
  "[0-9]{3}%",
  "(vacuum|tenant) (?:query|index)",
  "caf\\x{e9}",
  "na\\u00efve",
  "\\\\slash",
  "[^\\x61-\\x7a]slash",
  "(?P<word>vec)tor",
  "under_score$",
  "\\d+%\\s\\w+",
  "\\A(?:Plan|café)",
  "tenant\\z",
];

/** Filters of Chroma's whole grammar over the sample records; the same each time. */
export function sampleFilters(count: number, seed: number): ChromaFilter[] {
  const random = seededRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const whole = (below: number): number => Math.floor(random() * below);
  const topic = (): string => pick(["indexes", "tuning", "backup", "日本", "it's", 'quo"te', "none"]);
  const several = <T>(make: () => T): T[] => Array.from({ length: 1 + whole(3) }, make);
  const fields: (() => [string, unknown])[] = [
    () => ["topic", pick<unknown>([topic(), { $eq: topic() }, { $ne: topic() }])],
    () => ["topic", { [pick(["$in", "$nin"])]: several(topic) }],
    () => ["year", { [pick(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"])]: 1990 + whole(40) }],
    () => ["year", { [pick(["$in", "$nin"])]: several(() => 1990 + whole(40)) }],
    () => ["number", { [pick(["$lt", "$gte"])]: whole(20_000) }],
    () => ["share", { [pick(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"])]: whole(64) + 0.5 }],
    () => ["draft", pick<unknown>([true, false, { $ne: true }, { $in: [true, false] }])],
    () => ["a.b", pick<unknown>(["x", { $ne: "y" }, { $in: ["x", "z"] }])],
    () => ["missing", pick<unknown>([1, { $ne: "x" }, { $nin: ["a"] }, { $gt: 0 }])],
  ];
  const where = (depth: number): Record<string, unknown> => {
    if (depth === 0 || random() < 0.5) return Object.fromEntries([pick(fields)()]);
    return { [pick(["$and", "$or"])]: Array.from({ length: 2 + whole(2) }, () => where(depth - 1)) };
  };
  const whereDocument = (depth: number): Record<string, unknown> => {
    const text = (): string => pick([...WORDS, "index vacuum", "%", "_", "\\", "\n", "PLAN"]);
    if (depth === 0 || random() < 0.6) {
      const regex = random() < 0.5;
      const not = random() < 0.4;
      if (regex) return { [not ? "$not_regex" : "$regex"]: pick(PATTERNS) };
      return { [not ? "$not_contains" : "$contains"]: text() };
    }
    return { [pick(["$and", "$or"])]: Array.from({ length: 2 }, () => whereDocument(depth - 1)) };
  };
  return Array.from({ length: count }, (_, index) => ({
    ...(index % 4 !== 3 && { where: where(2) }),
    ...(index % 4 >= 2 && { whereDocument: whereDocument(1) }),
  }));
}

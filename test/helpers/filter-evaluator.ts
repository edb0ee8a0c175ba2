import type { FilterNode } from "../../src/store/filter/index.js";

/**
 * What `docs/filters.md` says a filter means, in plain JavaScript: the second opinion that the SQL is tested against.
 * Shares no code with the compiler.
 */
export function matchesFilter(node: FilterNode, metadata: unknown, content: string | null): boolean {
  const again = (part: FilterNode) => matchesFilter(part, metadata, content);
  switch (node.kind) {
    case "all":
      return node.nodes.every(again);
    case "any":
      return node.nodes.some(again);
    case "not":
      return !again(node.node);
    case "contains":
      return content !== null && content.includes(node.text);
    case "regex":
      return content !== null && new RegExp(node.pattern, "su").test(content);
  }
  const value = lookUp(metadata, node.key);
  switch (node.kind) {
    case "exists":
      return value !== undefined;
    case "equals":
      return same(value ?? null, node.value);
    case "in":
      return node.values.some((wanted) => same(value ?? null, wanted));
    case "arrayContains":
      return Array.isArray(value) && value.some((item) => node.values.some((wanted) => same(item, wanted)));
    case "range":
      return inRange(value, node.operation, node.bound);
    case "like":
      return typeof value === "string" && like(value, node.pattern, node.ignoreCase);
  }
}

/** `undefined` for a missing key, which JSON itself cannot hold. */
function lookUp(metadata: unknown, key: string): unknown {
  if (hasOwn(metadata, key)) return metadata[key];
  let value = metadata;
  for (const segment of key.split(".")) {
    if (!hasOwn(value, segment)) return undefined;
    value = value[segment];
  }
  return value;
}

function hasOwn(value: unknown, key: string): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.hasOwn(value, key);
}

function same(a: unknown, b: unknown): boolean {
  if (isNumeric(a) && isNumeric(b)) return compareNumbers(a, b) === 0;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (typeof a === "object" && a !== null) {
    if (typeof b !== "object" || b === null || Array.isArray(b)) return false;
    const left = Object.entries(a);
    return left.length === Object.keys(b).length && left.every(([key, item]) => hasOwn(b, key) && same(item, b[key]));
  }
  return a === b;
}

function inRange(value: unknown, operation: "lt" | "lte" | "gt" | "gte", bound: string | number | bigint): boolean {
  let order: number;
  if (isNumeric(value) && isNumeric(bound)) order = compareNumbers(value, bound);
  else if (typeof value === "string" && typeof bound === "string") order = compareCodePoints(value, bound);
  else return false;
  return { lt: order < 0, lte: order <= 0, gt: order > 0, gte: order >= 0 }[operation];
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

/** By the decimal digits that JSON gives a number, which beyond 2^53 are not its exact binary value. */
function compareNumbers(a: number | bigint, b: number | bigint): number {
  const [left, right] = [decimal(a), decimal(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function decimal(value: number | bigint): number | bigint {
  return typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 1e21 ? BigInt(String(value)) : value;
}

function compareCodePoints(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function like(value: string, pattern: string, ignoreCase: boolean): boolean {
  const fold = (text: string) => (ignoreCase ? text.toLowerCase() : text);
  return likeFrom(Array.from(fold(value)), Array.from(fold(pattern)));
}

function likeFrom(text: string[], pattern: string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === "%") return text.some((_, from) => likeFrom(text.slice(from), rest)) || likeFrom([], rest);
  if (first === "\\") return text[0] === rest[0] && likeFrom(text.slice(1), rest.slice(1));
  return text.length > 0 && (first === "_" || first === text[0]) && likeFrom(text.slice(1), rest);
}

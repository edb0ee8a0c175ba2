import { types } from "node:util";
import { FILTER_LIMITS, type JsonOperand, type Scalar } from "./grammar.js";
import { type Place, show } from "./place.js";

/** A plain object: made by a literal, `JSON.parse` or `Object.create(null)`, in this realm or another. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * Own enumerable entries of a plain object.
 *
 * @throws FilterError for symbol keys: skipping them would silently widen the filter.
 */
export function entriesOf(value: Record<string, unknown>, place: Place): [string, unknown][] {
  if (Object.getOwnPropertySymbols(value).length > 0) {
    throw place.error("has a symbol as key", "use the operators by name, such as $eq");
  }
  return Object.entries(value);
}

/**
 * Text that Postgres can store, so that it can match something.
 *
 * @throws FilterError for anything else than a string, a NUL character, a lone surrogate.
 */
export function parseText(value: unknown, place: Place): string {
  if (typeof value !== "string") throw place.error(`must be a string, got ${show(value)}`, 'write it as "..."');
  place.count("characters", value.length);
  if (value.includes("\0")) {
    throw place.error(`holds a NUL character: ${show(value)}`, "remove it, Postgres cannot store it");
  }
  if (/\p{Surrogate}/u.test(value)) {
    throw place.error(`holds half of a surrogate pair: ${show(value)}`, "remove it, it is no valid Unicode text");
  }
  return value;
}

/** @throws FilterError for a key that Postgres cannot store, or a path with too many segments. */
export function parseKey(key: string, place: Place): string {
  parseText(key, place);
  const segments = key.split(".").length;
  if (segments > FILTER_LIMITS.pathSegments) {
    throw place.error(
      `is a path of ${segments} segments, more than ${FILTER_LIMITS.pathSegments}`,
      "store the value under a shorter path",
    );
  }
  return key;
}

/** @throws FilterError for what JSON cannot hold, and for arrays and objects. */
export function parseScalar(value: unknown, place: Place): Scalar {
  place.count("values", 1);
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return parseText(value, place);
  if (typeof value === "number") {
    if (Number.isFinite(value)) return value;
    throw place.error(`is ${value}, which JSON cannot hold`, "use a finite number");
  }
  if (typeof value === "bigint") {
    if (BigInt.asIntN(64, value) === value) return value;
    throw place.error(`does not fit into 64 bits: ${show(value)}`, "store and compare it as a string");
  }
  if (types.isDate(value)) return parseDate(value, place);
  if (value === undefined) {
    throw place.error("is undefined", "leave the key out, or use null or { $exists: false }");
  }
  throw place.error(
    `must be a string, number, boolean, Date or null, got ${show(value)}`,
    "convert it to what is stored in the metadata",
  );
}

/** A value with an order. @throws FilterError for booleans and null, and dates outside the years 0 to 9999. */
export function parseBound(value: unknown, place: Place): string | number | bigint {
  const bound = parseScalar(value, place);
  if (bound === null || typeof bound === "boolean") {
    throw place.error(`cannot be a bound: ${show(value)} has no order`, "use a number, a string or a Date");
  }
  // "+010000-..." and "-000001-..." sort before every other date.
  if (types.isDate(value) && !/^\d/.test(String(bound))) {
    throw place.error(
      `is a date outside the years 0 to 9999: ${show(value)}`,
      "leave the bound out, ISO strings of such dates do not sort by time",
    );
  }
  return bound;
}

/** At least one scalar. @throws FilterError for an empty list, and for anything but an array of scalars. */
export function parseScalars(value: unknown, place: Place): readonly Scalar[] {
  if (!Array.isArray(value)) {
    throw place.error(`must be an array of values, got ${show(value)}`, `write [${show(value)}]`);
  }
  if (value.length === 0) {
    throw place.error("is an empty array", "give at least one value, or leave the operator out");
  }
  // Not map(): it skips the holes of a sparse array.
  return Array.from(value, (item: unknown, position) => parseScalar(item, place.index(position)));
}

/** Any JSON value. @throws FilterError for what JSON cannot hold. */
export function parseOperand(value: unknown, place: Place): JsonOperand {
  if (Array.isArray(value)) {
    const inside = place.nested();
    place.count("values", 1);
    return Array.from(value, (item: unknown, position) => parseOperand(item, inside.index(position)));
  }
  if (isPlainObject(value)) {
    const inside = place.nested();
    place.count("values", 1);
    // fromEntries defines "__proto__" as a property, where an assignment would set the prototype.
    return Object.fromEntries(
      entriesOf(value, place).map(([key, item]) => {
        const at = inside.key(key);
        return [parseText(key, at), parseOperand(item, at)];
      }),
    );
  }
  return parseScalar(value, place);
}

function parseDate(value: Date, place: Place): string {
  if (Number.isNaN(value.getTime())) throw place.error("is an invalid Date", "check the text it was made from");
  return value.toISOString();
}

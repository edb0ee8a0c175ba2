import { FIELD_OPERATORS, type FilterNode } from "./grammar.js";
import { type Place, show } from "./place.js";
import { closest } from "./suggest.js";
import { entriesOf, isPlainObject, parseBound, parseOperand, parseScalar, parseScalars, parseText } from "./values.js";

type FieldOperator = keyof typeof FIELD_OPERATORS;

/** Where an operator that is not known under a metadata key does belong, or what does its work there. */
const ELSEWHERE = new Map([
  ["$regex", "use $like or $ilike; $regex is for whereDocument"],
  ["$not_regex", "use $not with $like or $ilike; $not_regex is for whereDocument"],
  ["$and", "put several operators into one object, or $and around whole filters"],
  ["$or", "use in for several values, or $or around whole filters"],
]);

/**
 * The operators under one metadata key, as one node.
 *
 * @throws FilterError for an empty object, an unknown operator, an operand that does not fit its operator.
 */
export function parseOperators(key: string, operators: Record<string, unknown>, place: Place): FilterNode {
  const entries = entriesOf(operators, place);
  if (entries.length === 0) {
    throw place.error("is an empty object", "give a value or an operator such as { $eq: ... }");
  }
  // Checked before any operand, so that a nested object is reported as such and not by its first accidental operator.
  for (const [name] of entries) {
    if (!isFieldOperator(name)) throw unknownOperator(key, name, place);
  }
  const nodes = entries.map(([name, operand]) => parseOperator(key, name as FieldOperator, operand, place.key(name)));
  return nodes.length === 1 ? nodes[0]! : { kind: "all", nodes };
}

function parseOperator(key: string, name: FieldOperator, operand: unknown, place: Place): FilterNode {
  place.count("conditions", 1);
  const operation = FIELD_OPERATORS[name];
  switch (operation) {
    case "equals":
      return { kind: "equals", key, value: parseOperand(operand, place) };
    case "notEquals":
      return not({ kind: "equals", key, value: parseOperand(operand, place) });
    case "in":
      return { kind: "in", key, values: parseScalars(operand, place) };
    case "notIn":
      return not({ kind: "in", key, values: parseScalars(operand, place) });
    case "arrayContains":
      return { kind: "arrayContains", key, values: parseScalars(operand, place) };
    case "contains":
      return { kind: "arrayContains", key, values: [parseScalar(operand, place)] };
    case "notContains":
      return not({ kind: "arrayContains", key, values: [parseScalar(operand, place)] });
    case "lt":
    case "lte":
    case "gt":
    case "gte":
      return { kind: "range", key, operation, bound: parseBound(operand, place) };
    case "between":
      return parseBetween(key, operand, place);
    case "exists":
      return parseExists(key, operand, place);
    case "like":
    case "ilike":
      return { kind: "like", key, pattern: parsePattern(operand, place), ignoreCase: operation === "ilike" };
    case "not":
      return parseNot(key, operand, place);
  }
}

function parseBetween(key: string, operand: unknown, place: Place): FilterNode {
  if (!Array.isArray(operand) || operand.length !== 2) {
    throw place.error(`must be [low, high], got ${show(operand)}`, "give exactly two bounds, or use gte or lte alone");
  }
  place.count("conditions", 1);
  const low = parseBound(operand[0], place.index(0));
  const high = parseBound(operand[1], place.index(1));
  if ((typeof low === "string") !== (typeof high === "string")) {
    throw place.error(`has bounds of different types: ${show(operand)}`, "use two numbers, two strings or two dates");
  }
  if (isAfter(low, high))
    throw place.error(`has its bounds the wrong way round: ${show(operand)}`, "put the lower one first");
  return {
    kind: "all",
    nodes: [
      { kind: "range", key, operation: "gte", bound: low },
      { kind: "range", key, operation: "lte", bound: high },
    ],
  };
}

/** By value, or for strings by code point as the database does; JavaScript's own order is by UTF-16 unit. */
function isAfter(low: string | number | bigint, high: string | number | bigint): boolean {
  if (typeof low === "string" && typeof high === "string")
    return Buffer.compare(Buffer.from(low), Buffer.from(high)) > 0;
  return low > high;
}

function parseExists(key: string, operand: unknown, place: Place): FilterNode {
  if (typeof operand !== "boolean") {
    throw place.error(`must be true or false, got ${show(operand)}`, "use true for present and false for missing");
  }
  return operand ? { kind: "exists", key } : not({ kind: "exists", key });
}

function parsePattern(operand: unknown, place: Place): string {
  const pattern = parseText(operand, place);
  if (endsInOddBackslashes(pattern)) {
    throw place.error(`ends in a lone backslash: ${show(pattern)}`, "double it to mean a backslash");
  }
  return pattern;
}

/** Whether the last backslash escapes nothing. */
export function endsInOddBackslashes(pattern: string): boolean {
  let first = pattern.length;
  while (first > 0 && pattern[first - 1] === "\\") first--;
  return (pattern.length - first) % 2 === 1;
}

function parseNot(key: string, operand: unknown, place: Place): FilterNode {
  if (!isPlainObject(operand)) {
    throw place.error(`must be an object of operators, got ${show(operand)}`, "use $ne or $nin for plain values");
  }
  return not(parseOperators(key, operand, place.nested()));
}

function unknownOperator(key: string, name: string, place: Place): Error {
  const at = place.key(name);
  const elsewhere = ELSEWHERE.get(name);
  if (elsewhere !== undefined) return at.error(`is not an operator under a metadata key: ${show(name)}`, elsewhere);
  const known = Object.keys(FIELD_OPERATORS);
  const near = closest(name, known);
  const meant = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `known operators are ${known.join(", ")}.`;
  const nested = name.startsWith("$")
    ? ""
    : ` For a nested key write ${show(`${key}.${name}`)}, for a whole object { $eq: { ... } }`;
  return at.error(`is not an operator: ${show(name)}`, meant + nested);
}

function isFieldOperator(name: string): name is FieldOperator {
  return Object.hasOwn(FIELD_OPERATORS, name);
}

function not(node: FilterNode): FilterNode {
  return { kind: "not", node };
}

import { FilterError } from "../errors.js";
import type { DocumentFilter, Filter } from "../store/filter/index.js";
import { toPostgresRegex } from "./regex.js";

const COMPARISONS = ["$gt", "$gte", "$lt", "$lte"];
const LISTS = ["$in", "$nin"];
const SCALARS = ["$eq", "$ne", "$contains", "$not_contains"];
const OPERATORS = [...COMPARISONS, ...LISTS, ...SCALARS];

/**
 * Chroma's filter on metadata. Whatever Chroma takes is a {@link Filter} with the same results, so it only has to be held
 * to what Chroma takes.
 *
 * @throws FilterError where Chroma throws: anything but exactly one key or operator in an object, fewer than two parts
 * under `$and` or `$or`, unknown operators, operands of the wrong type, empty or mixed lists.
 */
export function checkWhere(where: unknown, path = ""): Filter {
  const [key, value] = onlyEntry(where, path, "where");
  const at = join(path, key);
  if (key === "$and" || key === "$or") {
    for (const [index, part] of atLeastTwo(value, at).entries()) checkWhere(part, `${at}[${index}]`);
  } else if (!isScalar(value)) {
    const [operator, operand] = onlyEntry(value, at, "the operators under a key");
    checkOperator(operator, operand, join(at, operator));
  }
  return where as Filter;
}

function checkOperator(operator: string, operand: unknown, path: string): void {
  if (!OPERATORS.includes(operator)) {
    throw refuse(path, `${operator} is no operator of Chroma; use ${OPERATORS.join(", ")}`);
  }
  if (COMPARISONS.includes(operator)) {
    if (typeof operand === "number") return;
    throw refuse(path, `${operator} takes a number, got ${describe(operand)}`);
  }
  if (SCALARS.includes(operator)) {
    if (isScalar(operand)) return;
    throw refuse(path, `${operator} takes a string, a number or a boolean, got ${describe(operand)}`);
  }
  const list: unknown[] = Array.isArray(operand) ? operand : [];
  if (list.length > 0 && list.every((item) => isScalar(item) && typeof item === typeof list[0])) return;
  throw refuse(path, `${operator} takes a non-empty list of values of one type, got ${describe(operand)}`);
}

/**
 * Chroma's filter on documents as one of ours. Regular expressions are translated from Rust's dialect, which Chroma uses.
 *
 * @throws FilterError where Chroma throws, and for a regular expression that Postgres cannot do.
 */
export function fromWhereDocument(where: unknown, path = ""): DocumentFilter {
  const [operator, operand] = onlyEntry(where, path, "whereDocument");
  const at = join(path, operator);
  switch (operator) {
    case "$and":
    case "$or": {
      const parts = atLeastTwo(operand, at).map((part, index) => fromWhereDocument(part, `${at}[${index}]`));
      return operator === "$and" ? { $and: parts } : { $or: parts };
    }
    case "$contains":
    case "$not_contains":
      return { [operator]: text(operand, at) };
    case "$regex":
    case "$not_regex":
      return { [operator]: toPostgresRegex(text(operand, at), at) };
    default:
      throw refuse(
        at,
        `${operator} is no operator on documents; use $contains, $not_contains, $regex, $not_regex, $and, $or`,
      );
  }
}

function text(operand: unknown, path: string): string {
  if (typeof operand === "string" && operand !== "") return operand;
  throw refuse(path, `it takes a non-empty string, got ${describe(operand)}`);
}

function onlyEntry(value: unknown, path: string, what: string): [string, unknown] {
  const entries =
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (entries?.length === 1) return entries[0]!;
  const got = entries === undefined ? describe(value) : `${entries.length} keys`;
  const cure = entries !== undefined && entries.length > 1 ? "; join several with $and" : "";
  throw refuse(path, `${what} must be an object of exactly one key, got ${got}${cure}`);
}

/** At least two parts, as Chroma's clients ask for. */
function atLeastTwo(value: unknown, path: string): unknown[] {
  if (Array.isArray(value) && value.length >= 2) return value as unknown[];
  throw refuse(path, `it takes a list of at least two filters, got ${describe(value)}`);
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return value === null ? "null" : isScalar(value) ? JSON.stringify(value) : typeof value;
}

function refuse(path: string, reason: string): FilterError {
  return new FilterError(`Chroma filter${path === "" ? "" : ` at ${path.slice(0, 200)}`}: ${reason}.`, path);
}

import sql, { raw, type Sql } from "sql-template-tag";
import { PROMOTED_TEXT_LENGTH, type PromotedType } from "../../schema/promoted-keys.js";
import type { FilterNode, JsonOperand, RangeOperation, Scalar } from "./grammar.js";

/** The column of a promoted key, as safe SQL. */
export interface PromotedColumn {
  readonly type: PromotedType;
  readonly column: Sql;
}

/** The columns of promoted keys by their key. */
export type PromotedColumns = ReadonlyMap<string, PromotedColumn>;

/** What a promoted key's column says about a condition. */
export interface PromotedCondition {
  /** Holds for every row that the condition holds for; compares by leakproof operators only. */
  readonly sql: Sql;
  /** Whether it holds for those rows alone. Otherwise the JSON has the last word. */
  readonly exact: boolean;
  /** Whether it asks for values of the key, by which an index finds the rows. */
  readonly selective: boolean;
}

const RANGE_SQL = { lt: "<", lte: "<=", gt: ">", gte: ">=" } as const satisfies Record<RangeOperation, string>;
/** Different numbers may be the same double, and different texts may begin alike. */
const CLOSED_SQL = { lt: "<=", lte: "<=", gt: ">=", gte: ">=" } as const satisfies Record<RangeOperation, string>;

/**
 * What the column of a promoted key can say about one condition; `undefined` when that is nothing. A column keeps the
 * values of its type, numbers as doubles and texts cut, and is null for everything else.
 */
export function promotedCondition(
  node: FilterNode,
  columns: PromotedColumns | undefined,
): PromotedCondition | undefined {
  if (columns === undefined || !("key" in node)) return undefined;
  const promoted = columns.get(node.key);
  if (promoted === undefined) return undefined;
  switch (node.kind) {
    case "equals":
      return amongValues(promoted, [node.value]);
    case "in":
      return amongValues(promoted, node.values);
    case "range":
      return inRange(promoted, node.operation, node.bound);
    case "like":
      return likePattern(promoted, node.pattern, node.ignoreCase);
    case "arrayContains":
      return ofOtherType(promoted);
    case "exists":
      return undefined;
  }
}

/**
 * The part of a filter by which indexes on promoted keys find rows: every row that matches the filter matches it.
 * `undefined` when there is none.
 */
export function indexedPart(node: FilterNode, columns: PromotedColumns): FilterNode | undefined {
  if (node.kind === "all") {
    const nodes = node.nodes.map((part) => indexedPart(part, columns)).filter((part) => part !== undefined);
    if (nodes.length === 0) return undefined;
    return nodes.length === 1 ? nodes[0] : { kind: "all", nodes };
  }
  if (node.kind === "any") {
    const nodes = node.nodes.map((part) => indexedPart(part, columns));
    return nodes.every((part) => part !== undefined) ? { kind: "any", nodes } : undefined;
  }
  return promotedCondition(node, columns)?.selective ? node : undefined;
}

function amongValues({ type, column }: PromotedColumn, operands: readonly JsonOperand[]): PromotedCondition {
  const values = operands.filter((operand): operand is Scalar => typeOf(operand) === type);
  if (values.length === 0) return ofOtherType({ type, column });
  const texts = values.map((value) => (typeof value === "string" ? cut(value) : String(value)));
  const same =
    texts.length === 1
      ? sql`${column} = ${texts[0]}::text${cast(type)}`
      : sql`${column} = any(${texts}::text[]${cast(type, "[]")})`;
  if (values.length < operands.length) {
    return { sql: sql`(${same} or ${column} is null)`, exact: false, selective: false };
  }
  return { sql: same, exact: type !== "number" && values.every(isWhole), selective: true };
}

function inRange(
  { type, column }: PromotedColumn,
  operation: RangeOperation,
  bound: string | number | bigint,
): PromotedCondition {
  if (typeOf(bound) !== type) return ofOtherType({ type, column });
  const exact = type === "text" && isWhole(bound);
  const operator = raw((exact ? RANGE_SQL : CLOSED_SQL)[operation]);
  const limit = typeof bound === "string" ? cut(bound) : String(bound);
  return { sql: sql`${column} ${operator} ${limit}::text${cast(type)}`, exact, selective: true };
}

function likePattern({ type, column }: PromotedColumn, pattern: string, ignoreCase: boolean): PromotedCondition {
  if (type !== "text") return ofOtherType({ type, column });
  const start = ignoreCase ? "" : startOf(pattern);
  if (start === "") return { sql: sql`${column} is not null`, exact: false, selective: false };
  const after = start.slice(0, -1) + String.fromCharCode(start.charCodeAt(start.length - 1) + 1);
  return {
    sql: sql`(${column} >= ${start}::text and ${column} < ${after}::text)`,
    exact: false,
    selective: true,
  };
}

/** For values that are not of the column's type, or are missing. */
function ofOtherType({ column }: PromotedColumn): PromotedCondition {
  return { sql: sql`${column} is null`, exact: false, selective: false };
}

function typeOf(operand: JsonOperand): PromotedType | undefined {
  if (typeof operand === "string") return "text";
  if (typeof operand === "number" || typeof operand === "bigint") return "number";
  return typeof operand === "boolean" ? "boolean" : undefined;
}

function cast(type: PromotedType, array = ""): Sql {
  return raw({ text: "", number: `::double precision${array}`, boolean: `::boolean${array}` }[type]);
}

function cut(text: string): string {
  return text.length <= PROMOTED_TEXT_LENGTH ? text : Array.from(text).slice(0, PROMOTED_TEXT_LENGTH).join("");
}

/** Whether the column would tell this value apart from all others: a cut text is at least as long as a column keeps. */
function isWhole(value: Scalar): boolean {
  return typeof value !== "string" || value.length < PROMOTED_TEXT_LENGTH;
}

/**
 * What every text that matches a pattern begins with, as far as it is ASCII: what sorts behind all such texts is then the
 * same text with its last character raised by one, in any encoding of the database.
 */
function startOf(pattern: string): string {
  let start = "";
  for (let at = 0; at < pattern.length && start.length < PROMOTED_TEXT_LENGTH; at += 1) {
    if (pattern[at] === "%" || pattern[at] === "_") break;
    if (pattern[at] === "\\") at += 1;
    const code = pattern.charCodeAt(at);
    if (!(code > 0 && code < 0x7f)) break;
    start += pattern[at];
  }
  return start;
}

import sql, { join, raw, type Sql } from "sql-template-tag";
import type { FilterNode, JsonOperand, RangeOperation, Scalar } from "./grammar.js";
import { promotedCondition, type PromotedColumns } from "./promoted.js";

/** The expressions that a filter reads: a `jsonb` column and a `text` column, as safe SQL. Both may be null. */
export interface FilterColumns {
  readonly metadata: Sql;
  readonly content: Sql;
  /** Columns that keep single keys of the metadata. */
  readonly promoted?: PromotedColumns;
}

type NodeOf<Kind extends FilterNode["kind"]> = Extract<FilterNode, { kind: Kind }>;

const RANGE_SQL = { lt: "<", lte: "<=", gt: ">", gte: ">=" } as const satisfies Record<RangeOperation, string>;

/** Longest list in the form that an index serves; from nine values on Postgres hashes `= any(...)`, but not `@>`. */
const INDEXABLE_LIST = 8;

/**
 * A parsed filter as a boolean SQL expression in parentheses. Keys and values are parameters, each with its type, so that
 * it runs on any driver; no value can make it raise (an invalid regular expression apart).
 *
 * The expression is true for the rows that match, and false **or null** for the others: coalescing it would hide
 * `metadata @> ...` from a GIN index. It can be put into `where` and joined by `and` and `or` as it is; negate it with
 * `is not true`, never with `not`.
 *
 * A condition on a promoted key is put on its column as well, or instead where that decides it.
 */
export function compileFilter(node: FilterNode, columns: FilterColumns): Sql {
  const promoted = promotedCondition(node, columns.promoted);
  if (promoted === undefined) return compileNode(node, columns);
  return promoted.exact ? sql`(${promoted.sql})` : sql`(${promoted.sql} and ${compileNode(node, columns)})`;
}

function compileNode(node: FilterNode, columns: FilterColumns): Sql {
  switch (node.kind) {
    case "all":
    case "any":
      return join(
        node.nodes.map((part) => compileFilter(part, columns)),
        node.kind === "all" ? " and " : " or ",
        "(",
        ")",
      );
    case "not":
      return sql`(${compileFilter(node.node, columns)} is not true)`;
    case "equals":
      return compileEquals(node, columns.metadata);
    case "in":
      return compileIn(node, columns.metadata);
    case "arrayContains":
      return compileArrayContains(node, columns.metadata);
    case "range":
      return compileRange(node, columns.metadata);
    case "exists":
      return sql`(${valueAt(node.key, columns.metadata)} is not null)`;
    case "like":
      return compileLike(node, columns.metadata);
    case "contains":
      // A pattern rather than strpos(), for which a trigram index could not be used.
      return sql`(${columns.content} like ${`%${escapeLike(node.text)}%`}::text)`;
    case "regex":
      return sql`(${columns.content} ~ ${node.pattern}::text)`;
  }
}

function compileEquals({ key, value }: NodeOf<"equals">, metadata: Sql): Sql {
  if (value === null) return sql`(coalesce(jsonb_typeof(${valueAt(key, metadata)}), 'null') = 'null')`;
  // Containment of an array or object is less than equality.
  if (typeof value === "object") return sql`(${valueAt(key, metadata)} = ${toJson(value)}::text::jsonb)`;
  return contains(key, [toJson(value)], metadata);
}

function compileIn({ key, values }: NodeOf<"in">, metadata: Sql): Sql {
  const json = values.map(toJson);
  if (values.includes(null)) {
    return sql`(coalesce(${valueAt(key, metadata)}, 'null'::jsonb) = any(${json}::text[]::jsonb[]))`;
  }
  if (json.length <= INDEXABLE_LIST) return contains(key, json, metadata);
  return sql`(${valueAt(key, metadata)} = any(${json}::text[]::jsonb[]))`;
}

function compileArrayContains({ key, values }: NodeOf<"arrayContains">, metadata: Sql): Sql {
  const json = values.map(toJson);
  if (json.length <= INDEXABLE_LIST) {
    return contains(
      key,
      json.map((value) => `[${value}]`),
      metadata,
    );
  }
  const value = valueAt(key, metadata);
  // Guarded by case, which unlike `and` fixes the order: the elements of anything but an array are an error.
  return sql`exists (
    select from jsonb_array_elements(case when jsonb_typeof(${value}) = 'array' then ${value} else '[]' end) as element
    where element = any(${json}::text[]::jsonb[]))`;
}

function compileRange({ key, operation, bound }: NodeOf<"range">, metadata: Sql): Sql {
  const value = valueAt(key, metadata);
  const operator = raw(RANGE_SQL[operation]);
  if (typeof bound === "string") {
    return sql`(jsonb_typeof(${value}) = 'string' and (${value} #>> '{}') collate "C" ${operator} ${bound}::text)`;
  }
  // Compared as jsonb: a cast to numeric could run before its guard, and raise.
  return sql`(jsonb_typeof(${value}) = 'number' and ${value} ${operator} ${toJson(bound)}::text::jsonb)`;
}

function compileLike({ key, pattern, ignoreCase }: NodeOf<"like">, metadata: Sql): Sql {
  const value = valueAt(key, metadata);
  const operator = raw(ignoreCase ? "ilike" : "like");
  return sql`(jsonb_typeof(${value}) = 'string' and (${value} #>> '{}') ${operator} ${pattern}::text)`;
}

/** The value under a key as `jsonb`, null where it is missing. The literal key wins over the path that it spells. */
function valueAt(key: string, metadata: Sql): Sql {
  const literal = sql`(${metadata} -> ${key}::text)`;
  const segments = key.split(".");
  if (segments.length === 1) return literal;
  // Not #>, which would take "0" for the first element of an array.
  const steps = join(
    segments.map((segment) => sql`${segment}::text`),
    " -> ",
  );
  return sql`coalesce(${literal}, ${metadata} -> ${steps})`;
}

/** Whether the metadata contains, under the key, any of some JSON texts, in the form that a GIN index serves. */
function contains(key: string, values: readonly string[], metadata: Sql): Sql {
  const literal = containment(
    values.map((value) => `{${JSON.stringify(key)}:${value}}`),
    metadata,
  );
  const segments = key.split(".");
  if (segments.length === 1) return sql`(${literal})`;
  const open = segments.map((segment) => `{${JSON.stringify(segment)}:`).join("");
  const close = "}".repeat(segments.length);
  const nested = containment(
    values.map((value) => open + value + close),
    metadata,
  );
  return sql`(${literal} or (${nested} and (${metadata} -> ${key}::text) is null))`;
}

function containment(objects: readonly string[], metadata: Sql): Sql {
  if (objects.length === 1) return sql`${metadata} @> ${objects[0]}::text::jsonb`;
  return sql`${metadata} @> any(${objects}::text[]::jsonb[])`;
}

function toJson(value: JsonOperand): string {
  if (typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(toJson).join(",")}]`;
  const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${toJson(item)}`);
  return `{${members.join(",")}}`;
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList(value: Exclude<JsonOperand, Scalar>): value is readonly JsonOperand[] {
  return Array.isArray(value);
}

function escapeLike(text: string): string {
  return text.replaceAll(/[\\%_]/g, "\\$&");
}

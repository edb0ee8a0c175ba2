/**
 * The filter grammar: what users write ({@link Filter}, {@link DocumentFilter}), what it is parsed into
 * ({@link FilterNode}), and the tables of operators and limits. The semantics are in `docs/filters.md`.
 */

/** A value that a metadata value can be compared with. A `Date` stands for its ISO string, as it does in JSON. */
export type FilterScalar = string | number | bigint | boolean | Date | null;

/** Any JSON value, for equality with whole arrays and objects. */
export type FilterValue = FilterScalar | readonly FilterValue[] | { readonly [key: string]: FilterValue };

/** A value that has an order. */
export type FilterBound = number | bigint | string | Date;

/** Operators under one key; several in one object must all hold. */
export interface FieldOperators {
  /** Equal, whole arrays and objects included. `null` matches a missing key as well. */
  readonly $eq?: FilterValue;
  /** Complement of `$eq`: matches a missing key too. */
  readonly $ne?: FilterValue;
  readonly neq?: FilterValue;
  /** Equal to any of the values (at least one). */
  readonly in?: readonly FilterScalar[];
  readonly $in?: readonly FilterScalar[];
  /** Complement of `in`: matches a missing key too. */
  readonly notIn?: readonly FilterScalar[];
  readonly $nin?: readonly FilterScalar[];
  /** Ranges match values of the type of the bound only; strings are ordered by code point. */
  readonly lt?: FilterBound;
  readonly $lt?: FilterBound;
  readonly lte?: FilterBound;
  readonly $lte?: FilterBound;
  readonly gt?: FilterBound;
  readonly $gt?: FilterBound;
  readonly gte?: FilterBound;
  readonly $gte?: FilterBound;
  /** `[low, high]`, both included. */
  readonly $between?: readonly [FilterBound, FilterBound];
  /** Whether the key is there, whatever its value. */
  readonly $exists?: boolean;
  /** The metadata value is an array and holds any of the values (at least one). */
  readonly arrayContains?: readonly FilterScalar[];
  /** The metadata value is an array and holds this value; Chroma's name for `arrayContains` of one. */
  readonly $contains?: FilterScalar;
  /** Complement of `$contains`: matches a missing key too. */
  readonly $not_contains?: FilterScalar;
  /** Pattern with `%` and `_`; a backslash takes the next character literally. Matches strings only. */
  readonly $like?: string;
  /** `$like` that ignores case by the rules of the database's locale. */
  readonly $ilike?: string;
  /** Complement of the operators inside. */
  readonly $not?: FieldOperators;
}

/** Keys of metadata, each with a value or with operators. A dotted key is a path unless that very key is present. */
export interface FieldFilter {
  readonly [key: string]: FilterScalar | FieldOperators;
}

/** Filters put together; may stand beside keys, and all parts must hold. */
export interface LogicalFilter {
  readonly $and?: readonly Filter[];
  readonly $or?: readonly Filter[];
  readonly $not?: Filter;
}

/**
 * A filter on metadata.
 *
 * @example
 * ```ts
 * const filter: Filter = { year: { gte: 2020 }, $or: [{ tags: { arrayContains: ["a"] } }, { "source.kind": "pdf" }] };
 * ```
 */
export type Filter = FieldFilter | LogicalFilter;

/** A filter on the text of a document; several operators in one object must all hold. */
export interface DocumentFilter {
  /** The text holds this string, case included. */
  readonly $contains?: string;
  readonly $not_contains?: string;
  /** The text matches this POSIX regular expression of Postgres. */
  readonly $regex?: string;
  readonly $not_regex?: string;
  readonly $and?: readonly DocumentFilter[];
  readonly $or?: readonly DocumentFilter[];
}

/** {@link FilterScalar} after parsing: dates have become strings. */
export type Scalar = string | number | bigint | boolean | null;

/** {@link FilterValue} after parsing. */
export type JsonOperand = Scalar | readonly JsonOperand[] | { readonly [key: string]: JsonOperand };

/** One side of a range, closed or open. */
export type RangeOperation = "lt" | "lte" | "gt" | "gte";

/** A parsed filter: checked, so that compiling it cannot fail. Negations are always a `not` around a positive node. */
export type FilterNode =
  | { readonly kind: "all" | "any"; readonly nodes: readonly FilterNode[] }
  | { readonly kind: "not"; readonly node: FilterNode }
  | { readonly kind: "equals"; readonly key: string; readonly value: JsonOperand }
  | { readonly kind: "in"; readonly key: string; readonly values: readonly Scalar[] }
  | { readonly kind: "arrayContains"; readonly key: string; readonly values: readonly Scalar[] }
  | {
      readonly kind: "range";
      readonly key: string;
      readonly operation: RangeOperation;
      readonly bound: string | number | bigint;
    }
  | { readonly kind: "exists"; readonly key: string }
  | { readonly kind: "like"; readonly key: string; readonly pattern: string; readonly ignoreCase: boolean }
  | { readonly kind: "contains"; readonly text: string }
  | { readonly kind: "regex"; readonly pattern: string; readonly path: string };

/** Every operator that may stand under a metadata key, and what it does. */
export const FIELD_OPERATORS = {
  $eq: "equals",
  $ne: "notEquals",
  neq: "notEquals",
  in: "in",
  $in: "in",
  notIn: "notIn",
  $nin: "notIn",
  lt: "lt",
  $lt: "lt",
  lte: "lte",
  $lte: "lte",
  gt: "gt",
  $gt: "gt",
  gte: "gte",
  $gte: "gte",
  $between: "between",
  $exists: "exists",
  arrayContains: "arrayContains",
  $contains: "contains",
  $not_contains: "notContains",
  $like: "like",
  $ilike: "ilike",
  $not: "not",
} as const satisfies Record<keyof FieldOperators, string>;

/** Operators that may stand beside metadata keys. */
export const LOGICAL_OPERATORS = {
  $and: "all",
  $or: "any",
  $not: "not",
} as const satisfies Record<keyof LogicalFilter, string>;

/** Operators of a document filter. */
export const DOCUMENT_OPERATORS = {
  $contains: "contains",
  $not_contains: "notContains",
  $regex: "regex",
  $not_regex: "notRegex",
  $and: "all",
  $or: "any",
} as const satisfies Record<keyof DocumentFilter, string>;

/**
 * Bounds on one filter. `conditions` times the parameters that one condition can need (two for each path segment and
 * three more) stays below the 65,535 parameters of a statement.
 */
export const FILTER_LIMITS = {
  /** Nesting of logical operators, and of arrays and objects in an operand. */
  depth: 64,
  conditions: 1_000,
  /** Values in all lists and operands together. */
  values: 1_000_000,
  /** UTF-16 units in all keys, strings and patterns together. */
  characters: 16_777_216,
  pathSegments: 20,
  regexCharacters: 10_000,
} as const;

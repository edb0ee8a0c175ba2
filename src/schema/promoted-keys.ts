import { createHash } from "node:crypto";
import { quoteIdentifier, quoteLiteral, quoteQualified, shortenName } from "../db/identifiers.js";
import { ConfigurationError, SchemaDriftError } from "../errors.js";

const TYPES = ["text", "number", "boolean"] as const;

/** What a promoted key's column holds: the values of that type; any other value, and none, leaves it null. */
export type PromotedType = (typeof TYPES)[number];

/** A metadata key with a typed column beside the JSON. */
export interface PromotedKey {
  /** As a filter writes it; a dotted one is a path unless the metadata has that very key. */
  readonly key: string;
  readonly type: PromotedType;
  readonly column: string;
}

/**
 * Code points of a text that its column keeps. Four bytes each at most, so that an index entry has room beside them for
 * tenant and collection, whatever the text.
 */
export const PROMOTED_TEXT_LENGTH = 200;

/** As deep as a filter may look. */
const MAX_SEGMENTS = 20;

/** The comparisons of these types are leakproof, so row-level security lets them use an index; numeric's are not. */
const COLUMN_TYPES = { text: 'text collate "C"', number: "double precision", boolean: "boolean" } as const;
const PRINTED_TYPES = { text: "text", number: "double precision", boolean: "boolean" } as const;

/** @throws ConfigurationError naming a key that no filter could name, or a type that there is not. */
export function parsePromotedKeys(option: Readonly<Record<string, PromotedType>> | undefined): PromotedKey[] {
  if (option === undefined) return [];
  if (typeof option !== "object" || option === null || Array.isArray(option)) {
    throw new ConfigurationError('promotedKeys must be an object of keys and types, such as { year: "number" }.');
  }
  const keys = Object.entries(option).map(([key, type]) => {
    const named = `promotedKeys: the key ${JSON.stringify(key)}`;
    if (key.includes("\0") || !key.isWellFormed()) {
      throw new ConfigurationError(`${named} holds a NUL or half of a surrogate pair, which Postgres cannot store.`);
    }
    if (key.startsWith("$")) {
      throw new ConfigurationError(`${named} begins with $, as operators do; no filter can name it.`);
    }
    if (key.split(".").length > MAX_SEGMENTS) {
      throw new ConfigurationError(`${named} is a path of more than ${MAX_SEGMENTS} segments; no filter can name it.`);
    }
    if (!TYPES.includes(type)) {
      throw new ConfigurationError(
        `${named} has the type ${JSON.stringify(type)}; use ${TYPES.map((known) => `"${known}"`).join(", ")}.`,
      );
    }
    return { key, type, column: columnOf(key) };
  });
  return keys.toSorted((a, b) => (a.column < b.column ? -1 : 1));
}

/** Plain keys keep their name; any other is told apart by a hash, so that two keys never share a column. */
function columnOf(key: string): string {
  if (/^[a-z][a-z0-9_]{0,40}$/.test(key) && !/_[0-9a-f]{12}$/.test(key)) return `promoted_${key}`;
  const plain = key.replaceAll(/[^A-Za-z0-9]+/g, "_").toLowerCase();
  const hash = createHash("sha256").update(key).digest("hex").slice(0, 12);
  return `promoted_${plain.slice(0, 30)}_${hash}`;
}

/** A promoted key's column as it is found in the database, with the comment by which it is known. */
export interface PromotedColumnFacts {
  readonly column: string;
  readonly comment: string;
  readonly type: string;
  readonly stored: boolean;
}

/**
 * The promoted keys of a table, from the comments on its columns.
 *
 * @throws SchemaDriftError when such a column no longer follows the metadata.
 */
export function readPromotedKeys(table: string, columns: readonly PromotedColumnFacts[]): PromotedKey[] {
  return columns.flatMap(({ column, comment, type, stored }) => {
    const promoted = fromComment(comment);
    if (promoted === undefined) return [];
    if (!stored || type !== PRINTED_TYPES[promoted.type]) {
      throw new SchemaDriftError(
        `The column ${JSON.stringify(column)} of ${JSON.stringify(table)} is that of the promoted key ` +
          `${JSON.stringify(promoted.key)}, but it is ${stored ? "" : "no generated column, and "}of type ${type}. As the owner, ` +
          `run: alter table ${quoteIdentifier(table)} drop column ${quoteIdentifier(column)}; then promote the key again.`,
      );
    }
    return [{ ...promoted, column }];
  });
}

function toComment({ key, type }: PromotedKey): string {
  return JSON.stringify({ promotedKey: key, type });
}

function fromComment(comment: string): Omit<PromotedKey, "column"> | undefined {
  try {
    const { promotedKey: key, type } = JSON.parse(comment) as { promotedKey?: unknown; type?: unknown };
    const known = TYPES.find((name) => name === type);
    return typeof key === "string" && known !== undefined ? { key, type: known } : undefined;
  } catch {
    return undefined;
  }
}

/** Where promoted keys are to be: a table of chunks, by names as they are in the database. */
export interface PromotionTarget {
  readonly schema: string;
  readonly table: string;
}

/** The clauses of an `alter table` that add the columns; on a table with rows they rewrite it. */
export function addColumnClauses(metadata: string, keys: readonly PromotedKey[]): string[] {
  return keys.map(
    (promoted) =>
      `add column ${quoteIdentifier(promoted.column)} ${COLUMN_TYPES[promoted.type]}\n` +
      `    generated always as (${valueSql(quoteIdentifier(metadata), promoted)}) stored`,
  );
}

/** SQL that indexes the column of a key within a tenant and a collection. */
export function indexColumnSql({ schema, table }: PromotionTarget, { column }: PromotedKey): string {
  const index = quoteIdentifier(shortenName(`${table}_${column}_idx`));
  return `create index ${index} on ${quoteQualified(schema, table)} (tenant_id, collection, ${quoteIdentifier(column)});`;
}

/** SQL that records the keys of columns that are there, and indexes them. */
export function recordColumnsSql(target: PromotionTarget, keys: readonly PromotedKey[]): string {
  const table = quoteQualified(target.schema, target.table);
  return keys
    .map((promoted) => {
      const comment = quoteLiteral(toComment(promoted));
      return (
        `comment on column ${table}.${quoteIdentifier(promoted.column)} is ${comment};\n` +
        `${indexColumnSql(target, promoted)}\n`
      );
    })
    .join("");
}

/** SQL that adds columns for the keys, generated from the metadata and therefore right whoever writes, and indexes. */
export function promoteSql(target: PromotionTarget, metadata: string, keys: readonly PromotedKey[]): string {
  if (keys.length === 0) return "";
  const clauses = addColumnClauses(metadata, keys).join(",\n  ");
  return `\nalter table ${quoteQualified(target.schema, target.table)}\n  ${clauses};\n${recordColumnsSql(target, keys)}`;
}

/** The value under a key as its column keeps it. Never an error, whatever the metadata, or writes would fail. */
function valueSql(metadata: string, { key, type }: PromotedKey): string {
  const value = jsonSql(metadata, key);
  switch (type) {
    case "text":
      return `case when jsonb_typeof(${value}) = 'string' then left(${value} #>> '{}', ${PROMOTED_TEXT_LENGTH}) end`;
    case "boolean":
      return `case when jsonb_typeof(${value}) = 'boolean' then (${value})::boolean end`;
    case "number": {
      const number = `(${value})::numeric`;
      // What a double cannot hold is moved to the next one that it can, which keeps the order.
      return (
        `case when jsonb_typeof(${value}) = 'number' then case ` +
        `when abs(${number}) > 1.7976931348623157e308 then sign(${number})::double precision * 'Infinity' ` +
        `when abs(${number}) < 5e-324 then 0 else (${value})::double precision end end`
      );
    }
  }
}

/** As filters look a key up: the literal one wins over the path that it spells. */
function jsonSql(metadata: string, key: string): string {
  const literal = `${metadata} -> ${quoteLiteral(key)}`;
  const segments = key.split(".");
  if (segments.length === 1) return literal;
  return `coalesce(${literal}, ${metadata} -> ${segments.map(quoteLiteral).join(" -> ")})`;
}

import { createHash } from "node:crypto";
import { raw, type Sql } from "sql-template-tag";
import { ConfigurationError } from "../errors.js";

const MAX_IDENTIFIER_BYTES = 63;

/**
 * The one door through which a name becomes SQL text: checks it and returns it in double quotes.
 *
 * @throws ConfigurationError when the name is empty, holds a NUL, or is longer than Postgres keeps (63 bytes).
 */
export function quoteIdentifier(name: string): string {
  if (typeof name !== "string" || name === "") {
    throw new ConfigurationError(`A table, column or schema name must be a non-empty string, got ${typeof name}.`);
  }
  if (name.includes("\0")) {
    throw new ConfigurationError(`The name ${JSON.stringify(name)} holds a NUL character; remove it.`);
  }
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_IDENTIFIER_BYTES) {
    throw new ConfigurationError(
      `The name ${JSON.stringify(name)} has ${bytes} bytes; Postgres keeps ${MAX_IDENTIFIER_BYTES}. Choose a shorter one.`,
    );
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/** A made-up name that Postgres keeps whole: a long one is cut and told apart by a hash of the whole. */
export function shortenName(full: string): string {
  if (Buffer.byteLength(full) <= MAX_IDENTIFIER_BYTES) return full;
  const hash = createHash("sha256").update(full).digest("hex").slice(0, 12);
  let head = full;
  while (Buffer.byteLength(head) > MAX_IDENTIFIER_BYTES - hash.length - 1) head = head.slice(0, -1);
  return `${head.toWellFormed()}_${hash}`;
}

/** `"schema"."name"`, or `"name"` alone when there is no schema. */
export function quoteQualified(schema: string | undefined, name: string): string {
  return schema === undefined ? quoteIdentifier(name) : `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** A quoted name as a fragment for the `sql` tag. */
export function identifier(name: string): Sql {
  return raw(quoteIdentifier(name));
}

/** A quoted, schema-qualified name as a fragment for the `sql` tag. */
export function qualified(schema: string | undefined, name: string): Sql {
  return raw(quoteQualified(schema, name));
}

/** A SQL string literal, for the few statements that take no parameters (DDL). */
export function quoteLiteral(text: string): string {
  if (text.includes("\0")) throw new ConfigurationError(`The text ${JSON.stringify(text)} holds a NUL character.`);
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? `E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

/** A string literal as Postgres prints it in predicates and bounds, whatever it holds: backslashes stand for themselves. */
export function printedLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

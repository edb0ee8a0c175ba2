import { ConfigurationError } from "../../errors.js";

/** A statement of the caller's own, to be explained. */
export interface RawQuery {
  readonly sql: string;
  /** For `$1`, `$2`, ... */
  readonly values?: readonly unknown[];
}

const COMMENTS_AND_PARENTHESES = /^(?:\s|\(|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/;

/**
 * The text of a query that may be run to explain it. Whether it is one statement the protocol sees to, and that it writes
 * nothing its transaction, which is read-only.
 *
 * @throws ConfigurationError for anything that does not begin like a query.
 */
export function checkSelect(query: RawQuery): string {
  const text = typeof query.sql === "string" ? query.sql.trim().replace(/;\s*$/, "") : "";
  const [word = ""] = /^\w+/.exec(text.replace(COMMENTS_AND_PARENTHESES, "")) ?? [];
  if (/^(select|with|values|table)$/i.test(word)) return text;
  throw new ConfigurationError(
    `explain runs the statement, so it takes a query only: one \`select\` (or \`with\`, \`values\`, \`table\`), not ` +
      `${word === "" ? "an empty text" : JSON.stringify(word)}.`,
  );
}

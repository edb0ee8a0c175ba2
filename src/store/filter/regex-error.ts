import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { FilterError } from "../../errors.js";
import type { FilterNode } from "./grammar.js";
import { show } from "./place.js";

/**
 * The `FilterError` behind an error of the database, for callers that ran a compiled filter: Postgres checks a regular
 * expression only when it meets the first row.
 *
 * @returns `undefined` when the error is not about a regular expression of this filter.
 */
export function regexFilterError(error: unknown, node: FilterNode | undefined): FilterError | undefined {
  if (node === undefined || sqlstateOf(error) !== SQLSTATE.invalidRegularExpression) return undefined;
  const regexes = [...regexesOf(node)];
  if (regexes.length === 0) return undefined;
  const patterns = regexes.map(({ path, pattern }) => `${path}: ${show(pattern)}`).join(", ");
  const reason = error instanceof Error ? error.message : "no reason given";
  return new FilterError(
    `whereDocument holds a pattern that Postgres cannot read (${patterns}): ${reason}; ` +
      "write it as a POSIX regular expression of Postgres, in which a literal ( [ * + ? needs a backslash",
    // With several patterns Postgres does not say which one.
    regexes.length === 1 ? regexes[0]!.path : "",
    { cause: error },
  );
}

function* regexesOf(node: FilterNode): Generator<Extract<FilterNode, { kind: "regex" }>> {
  if (node.kind === "regex") yield node;
  if (node.kind === "not") yield* regexesOf(node.node);
  if (node.kind === "all" || node.kind === "any") for (const part of node.nodes) yield* regexesOf(part);
}

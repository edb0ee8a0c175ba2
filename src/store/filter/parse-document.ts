import { DOCUMENT_OPERATORS, FILTER_LIMITS, type FilterNode } from "./grammar.js";
import { endsInOddBackslashes } from "./operators.js";
import { parseList } from "./parse.js";
import { Place, show } from "./place.js";
import { closest } from "./suggest.js";
import { entriesOf, isPlainObject, parseText } from "./values.js";

type DocumentOperator = keyof typeof DOCUMENT_OPERATORS;

/**
 * Checks a filter on the text of documents (`whereDocument`) and gives its parsed form; no I/O. A regular expression can
 * only be checked in part: what Postgres refuses later, {@link regexFilterError} turns into a `FilterError`.
 *
 * @returns `undefined` when there is nothing to filter by: `{}`, or no filter at all.
 * @throws FilterError that names the path, the value and the cure, for anything that the grammar does not know.
 */
export function parseDocumentFilter(filter: unknown): FilterNode | undefined {
  if (filter === undefined) return undefined;
  const place = Place.root("whereDocument");
  if (isPlainObject(filter) && entriesOf(filter, place).length === 0) return undefined;
  return parseObject(filter, place);
}

function parseObject(filter: unknown, place: Place): FilterNode {
  if (!isPlainObject(filter)) {
    throw place.error(`must be an object of operators, got ${show(filter)}`, 'write { $contains: "text" }');
  }
  const entries = entriesOf(filter, place);
  if (entries.length === 0) throw place.error("is an empty filter, which would match everything", "leave it out");
  const nodes = entries.map(([name, operand]) => parseOperator(name, operand, place.key(name)));
  return nodes.length === 1 ? nodes[0]! : { kind: "all", nodes };
}

function parseOperator(name: string, operand: unknown, place: Place): FilterNode {
  if (!Object.hasOwn(DOCUMENT_OPERATORS, name)) throw unknownOperator(name, place);
  const operation = DOCUMENT_OPERATORS[name as DocumentOperator];
  switch (operation) {
    case "all":
    case "any":
      return { kind: operation, nodes: parseList(operand, place.nested(), parseObject) };
    case "contains":
      return { kind: "contains", text: parseFilled(operand, place) };
    case "notContains":
      return { kind: "not", node: { kind: "contains", text: parseFilled(operand, place) } };
    case "regex":
      return parseRegex(operand, place);
    case "notRegex":
      return { kind: "not", node: parseRegex(operand, place) };
  }
}

function parseFilled(operand: unknown, place: Place): string {
  place.count("conditions", 1);
  const text = parseText(operand, place);
  if (text === "") throw place.error("is an empty string, which would match everything", "leave the operator out");
  return text;
}

function parseRegex(operand: unknown, place: Place): FilterNode {
  const pattern = parseFilled(operand, place);
  if (pattern.length > FILTER_LIMITS.regexCharacters) {
    throw place.error(`is longer than ${FILTER_LIMITS.regexCharacters} characters`, "shorten the pattern");
  }
  // "***=" and "(?q)" make the rest a plain string, in which a backslash is nothing special.
  if (!/^\*\*\*=|^(\*\*\*:)?\(\?[a-z]*q/.test(pattern) && endsInOddBackslashes(pattern)) {
    throw place.error(`ends in a lone backslash: ${show(pattern)}`, "double it to mean a backslash");
  }
  return { kind: "regex", pattern, path: place.path };
}

function unknownOperator(name: string, place: Place): Error {
  const known = Object.keys(DOCUMENT_OPERATORS);
  const near = closest(name, known);
  return place.error(
    `is not an operator on documents: ${show(name)}`,
    near.length > 0
      ? `did you mean ${near.join(" or ")}?`
      : `known operators are ${known.join(", ")}; filters on metadata go into filter (or where)`,
  );
}

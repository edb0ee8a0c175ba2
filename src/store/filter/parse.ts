import { type FilterNode, LOGICAL_OPERATORS } from "./grammar.js";
import { parseOperators } from "./operators.js";
import { Place, show } from "./place.js";
import { closest } from "./suggest.js";
import { entriesOf, isPlainObject, parseKey, parseScalar } from "./values.js";

/**
 * Checks a metadata filter and gives its parsed form; no I/O.
 *
 * @returns `undefined` when there is nothing to filter by: `{}`, or no filter at all. Whether that is allowed is for the
 * caller to say; a delete must refuse it.
 * @throws FilterError that names the path, the value and the cure, for anything that the grammar does not know.
 */
export function parseFilter(filter: unknown): FilterNode | undefined {
  if (filter === undefined) return undefined;
  const place = Place.root("filter");
  if (isPlainObject(filter) && entriesOf(filter, place).length === 0) return undefined;
  return parseObject(filter, place);
}

/** A filter that is not empty, at any depth. */
function parseObject(filter: unknown, place: Place): FilterNode {
  if (!isPlainObject(filter)) {
    throw place.error(`must be an object of keys and values, got ${show(filter)}`, 'write { "key": value }');
  }
  const entries = entriesOf(filter, place);
  if (entries.length === 0) {
    throw place.error("is an empty filter, which would match everything", "leave it out");
  }
  const nodes = entries.map(([key, value]) => parseEntry(key, value, place.key(key)));
  return nodes.length === 1 ? nodes[0]! : { kind: "all", nodes };
}

function parseEntry(key: string, value: unknown, place: Place): FilterNode {
  if (Object.hasOwn(LOGICAL_OPERATORS, key)) {
    const kind = LOGICAL_OPERATORS[key as keyof typeof LOGICAL_OPERATORS];
    if (kind === "not") return { kind, node: parseObject(value, place.nested()) };
    return { kind, nodes: parseList(value, place.nested(), parseObject) };
  }
  if (key.startsWith("$")) throw unknownLogical(key, place);
  return parseField(parseKey(key, place), value, place);
}

function parseField(key: string, value: unknown, place: Place): FilterNode {
  if (isPlainObject(value)) return parseOperators(key, value, place);
  if (Array.isArray(value)) {
    const logical = `$${key}`;
    throw place.error(
      `is an array: ${show(value)}`,
      Object.hasOwn(LOGICAL_OPERATORS, logical)
        ? `write ${logical} for the logical operator`
        : "write { in: [...] } for any of the values, { arrayContains: [...] } for an array that holds one of them, " +
            "or { $eq: [...] } for the whole array",
    );
  }
  place.count("conditions", 1);
  return { kind: "equals", key, value: parseScalar(value, place) };
}

/**
 * At least one filter, each parsed by `parseItem`.
 *
 * @throws FilterError for anything but an array with something in it.
 */
export function parseList(
  value: unknown,
  place: Place,
  parseItem: (item: unknown, place: Place) => FilterNode,
): FilterNode[] {
  if (!Array.isArray(value)) throw place.error(`must be an array of filters, got ${show(value)}`, "write [{ ... }]");
  if (value.length === 0) {
    throw place.error("is an empty array", "give at least one filter, or leave the operator out");
  }
  return Array.from(value, (item: unknown, position) => parseItem(item, place.index(position)));
}

function unknownLogical(key: string, place: Place): Error {
  const known = Object.keys(LOGICAL_OPERATORS);
  const near = closest(key, known);
  return place.error(
    `is not an operator at this place: ${show(key)}`,
    near.length > 0
      ? `did you mean ${near.join(" or ")}?`
      : `operators such as $eq stand under a key, as in { key: { $eq: value } }; here ${known.join(", ")} can stand`,
  );
}

import {
  BaseTranslator,
  isFilterEmpty,
  type Comparator,
  type Comparison,
  type Operation,
  type Operator,
  type StructuredQuery,
} from "@langchain/core/structured_query";
import { ConfigurationError, FilterError } from "../errors.js";
import { parseFilter, type Filter, type FilterBound } from "./filter/index.js";
import type { PostgresVectorStore } from "./postgres-vector-store.js";

const COMPARATORS = {
  eq: "$eq",
  ne: "$ne",
  gt: "gt",
  gte: "gte",
  lt: "lt",
  lte: "lte",
} as const satisfies Record<Comparator, string>;

const OPERATORS = { and: "$and", or: "$or", not: "$not" } as const satisfies Record<Operator, string>;

/** What a model may write as the value of a comparison. */
type Literal = string | number | boolean;

/**
 * Turns the structured query of LangChain's `SelfQueryRetriever` into a {@link Filter}.
 *
 * Models put numbers and booleans into quotes, so `eq("year", "2020")` looks for the number 2020 and the text "2020",
 * `ne` excludes both, and a range over "2020" is one over the number.
 *
 * @example
 * ```ts
 * const retriever = SelfQueryRetriever.fromLLM({
 *   llm,
 *   vectorStore: store,
 *   documentContents: "Summaries of films",
 *   attributeInfo: [new AttributeInfo("year", "number", "Year of release")],
 *   structuredQueryTranslator: new PostgresTranslator(),
 * });
 * ```
 */
export class PostgresTranslator extends BaseTranslator<PostgresVectorStore> {
  declare VisitOperationOutput: Filter;
  declare VisitComparisonOutput: Filter;
  declare VisitStructuredQueryOutput: { filter?: Filter };

  /** What the model is told that it may use. */
  override allowedOperators: Operator[] = ["and", "or", "not"];
  override allowedComparators: Comparator[] = ["eq", "ne", "gt", "gte", "lt", "lte"];

  /** The operator of our grammar for one of LangChain's. @throws FilterError for one that is unknown or not allowed. */
  override formatFunction(name: Operator | Comparator): string {
    return Object.hasOwn(OPERATORS, name) ? this.#operator(name) : this.#comparator(name);
  }

  /** @throws FilterError for an operator that is not allowed, or `not` around anything but one condition. */
  override visitOperation(operation: Operation): Filter {
    const operator = this.#operator(operation.operator);
    const filters = (operation.args ?? []).map((argument) => argument.accept(this) as Filter);
    if (operator !== "$not") return { [operator]: filters };
    if (filters.length !== 1) {
      throw new FilterError(`not takes one condition, got ${filters.length}; put and(...) or or(...) around them.`, "");
    }
    return { $not: filters[0]! };
  }

  /** @throws FilterError for a comparator that is not allowed, or a value that is no string, number or boolean. */
  override visitComparison(comparison: Comparison<unknown>): Filter {
    const { attribute, value } = comparison;
    const operator = this.#comparator(comparison.comparator);
    checkLiteral(value, attribute);
    const unquoted = unquote(value);
    if (operator === "$eq") return { [attribute]: unquoted === value ? { $eq: value } : { in: [unquoted, value] } };
    if (operator === "$ne") return { [attribute]: unquoted === value ? { $ne: value } : { notIn: [unquoted, value] } };
    // A boolean has no order, which the check of the whole filter says with the place.
    return { [attribute]: { [operator]: unquoted as FilterBound } };
  }

  /** @throws FilterError for a filter that the store would refuse. */
  override visitStructuredQuery(query: StructuredQuery): { filter?: Filter } {
    if (query.filter === undefined) return {};
    const filter = query.filter.accept(this) as Filter;
    parseFilter(filter);
    return { filter };
  }

  /**
   * Puts the retriever's default filter and the model's together. When the model gives none the default stays, whatever
   * the merge type: LangChain's own translators drop it under `"and"` and `"replace"`.
   *
   * @throws ConfigurationError for an unknown merge type.
   */
  override mergeFilters(
    defaultFilter: Filter | undefined,
    generatedFilter: Filter | undefined,
    mergeType: "and" | "or" | "replace" = "and",
  ): Filter | undefined {
    if (mergeType !== "and" && mergeType !== "or" && mergeType !== "replace") {
      throw new ConfigurationError(
        `mergeFiltersOperator ${JSON.stringify(mergeType)} is unknown; use "and", "or" or "replace".`,
      );
    }
    const kept = isFilterEmpty(defaultFilter) ? undefined : defaultFilter;
    const generated = isFilterEmpty(generatedFilter) ? undefined : generatedFilter;
    if (kept === undefined || generated === undefined) return generated ?? kept;
    return mergeType === "replace" ? generated : { [OPERATORS[mergeType]]: [kept, generated] };
  }

  #operator(name: string): string {
    return translate(name, OPERATORS, this.allowedOperators, "operator");
  }

  #comparator(name: string): string {
    return translate(name, COMPARATORS, this.allowedComparators, "comparator");
  }
}

function translate(name: string, known: Record<string, string>, allowed: string[], kind: string): string {
  if (allowed.includes(name) && Object.hasOwn(known, name)) return known[name]!;
  throw new FilterError(`The structured query uses the ${kind} "${name}"; allowed are ${allowed.join(", ")}.`, "");
}

function checkLiteral(value: unknown, attribute: string): asserts value is Literal {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return;
  const got = Array.isArray(value) ? "an array" : value === null ? "null" : `a value of type ${typeof value}`;
  throw new FilterError(
    `The structured query compares ${JSON.stringify(attribute)} with ${got}; only strings, numbers and booleans can be ` +
      "compared. For any of several values it takes or(eq(...), eq(...)).",
    attribute,
  );
}

/** The number or boolean that a text spells, else the value itself. */
function unquote(value: Literal): Literal {
  if (typeof value !== "string") return value;
  if (value === "true" || value === "false") return value === "true";
  // Leading zeros make a postcode, and too many digits an account number; neither is a quantity.
  const isNumber = /^-?(0|[1-9]\d*)(\.\d+)?$/.test(value) && Math.abs(Number(value)) <= Number.MAX_SAFE_INTEGER;
  return isNumber ? Number(value) : value;
}

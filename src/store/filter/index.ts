export { combineFilters } from "./combine.js";
export { compileFilter, type FilterColumns } from "./compile.js";
export { indexedPart, type PromotedColumns } from "./promoted.js";
export type {
  DocumentFilter,
  FieldFilter,
  FieldOperators,
  Filter,
  FilterBound,
  FilterNode,
  FilterScalar,
  FilterValue,
  LogicalFilter,
} from "./grammar.js";
export { parseFilter } from "./parse.js";
export { parseDocumentFilter } from "./parse-document.js";
export { regexFilterError } from "./regex-error.js";

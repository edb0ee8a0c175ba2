import type { Attributes } from "@opentelemetry/api";
import type { VectorInput } from "../db/sparse-vector.js";
import type { Caller } from "../telemetry/call.js";
import type { ObservedMethods } from "../telemetry/observe.js";
import { checkSearchType } from "./options.js";
import type { PostgresVectorStore } from "./postgres-vector-store.js";
import { checkK, type SearchOptions } from "./search-hit.js";

/**
 * The public calls of a store that get a span, and what it says of them. Missing are those that only pass on to one of
 * these, as LangChain's searches do to `search`.
 */
export const OBSERVED_CALLS: ObservedMethods<PostgresVectorStore> = {
  addDocuments: ([documents]) => ({ "langchain_pgvector.chunks": documents.length }),
  addVectors: ([, documents]) => ({ "langchain_pgvector.chunks": documents.length }),
  bulkLoad: true,
  delete: true,
  ensureCollectionTableInDatabase: true,
  ensureTableInDatabase: true,
  expire: true,
  explain: ([query, options], caller) =>
    typeof query === "object" && "sql" in query ? {} : describeSearch(query, options, caller),
  get: true,
  getByIds: true,
  getNeighbours: true,
  getOrCreateCollection: true,
  maxMarginalRelevanceSearch: ([query, { k, fetchK }], caller) => ({
    ...describeSearch(query, { k }, caller),
    ...(fetchK !== undefined && { "langchain_pgvector.search.candidates": checkK(fetchK, "fetchK") }),
  }),
  search: ([query, options], caller) => describeSearch(query, options, caller),
  stats: true,
};

/** @throws ConfigurationError for values that a search would refuse, which could be anything. */
function describeSearch(
  query: string | VectorInput,
  { k, searchType, filter, whereDocument }: SearchOptions = {},
  { searchType: byDefault }: Caller,
): Attributes {
  return {
    "langchain_pgvector.search.k": checkK(k ?? 4),
    "langchain_pgvector.search.type":
      typeof query === "string" ? (checkSearchType(searchType) ?? byDefault) : "similarity",
    "langchain_pgvector.search.filtered": filter !== undefined || whereDocument !== undefined,
  };
}

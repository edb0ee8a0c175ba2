import { refuseContentFilter } from "./content-cipher.js";
import { combineFilters, parseDocumentFilter, parseFilter } from "./filter/index.js";
import { integer, readRoute, type ResolvedOptions } from "./options.js";
import { checkK, type SearchOptions } from "./search-hit.js";
import type { DenseSearch } from "./search.js";

/** The checked form of a search's options, without its query. @throws ConfigurationError, FilterError. No I/O. */
export function searchRequest(options: SearchOptions, store: ResolvedOptions): Omit<DenseSearch, "vector"> {
  if (options.whereDocument !== undefined) refuseContentFilter(store.contentCipher);
  return {
    k: checkK(options.k ?? 4),
    filter: combineFilters(store.filter, parseFilter(options.filter ?? {}), parseDocumentFilter(options.whereDocument)),
    includeEmbeddings: options.includeEmbeddings ?? false,
    efSearch: integer("efSearch", options.efSearch, 1, 1_000) ?? store.efSearch,
    probes: integer("probes", options.probes, 1, 32_768) ?? store.probes,
    timeoutMs: integer("timeoutMs", options.timeoutMs, 1, 2_147_483_647) ?? store.timeoutMs,
    signal: options.signal,
    replica: readRoute(store, options.readYourWrites),
  };
}

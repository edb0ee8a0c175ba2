import type { VectorInput } from "../../db/sparse-vector.js";
import { ConfigurationError } from "../../errors.js";
import { checkFusion, checkWeights, type Fusion, type FusionWeights } from "../fusion/fusion.js";
import type { ScopedStore } from "../open.js";
import { checkSearchType, integer, type ResolvedOptions } from "../options.js";
import type { SearchHit, SearchOptions } from "../search-hit.js";
import type { DenseSearch } from "../search.js";
import { checkLanguage } from "./options.js";
import { hybridSearch, lexicalSearch } from "./search.js";

/** How a text is searched for by its words. */
export interface WordsRequest {
  readonly searchType: "lexical" | "hybrid";
  readonly text: string;
  readonly language: string | undefined;
  readonly fusion: Fusion;
  readonly weights: FusionWeights;
  readonly candidates: number | undefined;
}

/**
 * What the options of a search ask of its words; `undefined` for one by vector alone. No I/O.
 *
 * @throws ConfigurationError for a vector that is to be searched by words, and for options that are none.
 */
export function checkWords(
  query: string | VectorInput,
  options: SearchOptions,
  store: ResolvedOptions,
): WordsRequest | undefined {
  const asked = checkSearchType(options.searchType);
  const fusion = checkFusion(options.fusion) ?? store.fusion;
  const weights = checkWeights(options.weights) ?? store.weights;
  const language = checkLanguage(options.language);
  const candidates = integer("candidates", options.candidates, 1, 100_000);
  if (typeof query !== "string") {
    if (asked === undefined || asked === "similarity") return undefined;
    throw new ConfigurationError(`A ${asked} search needs the text of the query; a vector has no words.`);
  }
  const searchType = asked ?? store.searchType;
  return searchType === "similarity" ? undefined : { searchType, text: query, language, fusion, weights, candidates };
}

/**
 * Searches by words, or by words and vector. Without hits to return, the search has to be done by vector: that is what was
 * asked for, or the text has no words that can be looked up.
 */
export async function searchByWords(
  store: ScopedStore,
  request: Omit<DenseSearch, "vector">,
  words: WordsRequest | undefined,
  embed: () => Promise<VectorInput>,
): Promise<SearchHit[] | undefined> {
  if (words === undefined) return undefined;
  const vector = words.searchType === "hybrid" ? await embed() : undefined;
  const hits =
    vector === undefined
      ? await lexicalSearch(store, { ...request, ...words })
      : await hybridSearch(store, { ...request, ...words, vector });
  if (hits !== undefined) return hits;
  store.options.logger.info(
    `langchain-pgvector: a ${words.searchType} search has no word that could be looked up; it was done by similarity.`,
  );
  return undefined;
}

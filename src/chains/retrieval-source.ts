import type { BaseRetrieverInterface } from "@langchain/core/retrievers";
import { ConfigurationError } from "../errors.js";

/** How a store is asked for a retriever. */
export interface RetrieverOptions {
  /** Most passages to retrieve. */
  k?: number;
  /** What the search does with the question; the words that the store at hand understands. */
  searchType?: "similarity" | "lexical" | "hybrid" | "mmr";
}

/** Anything that makes retrievers: a `PostgresVectorStore` or any other LangChain vector store. */
export interface RetrieverFactory {
  // `never` takes in every store: each has its own idea of further options and of the words for a search type.
  asRetriever(options: never): BaseRetrieverInterface;
}

/** Where passages come from: a store, with how to search it, or a ready retriever. */
export type RetrievalSource =
  | ({ store: RetrieverFactory; retriever?: undefined } & RetrieverOptions)
  | { store?: undefined; retriever: BaseRetrieverInterface; k?: undefined; searchType?: undefined };

const DEFAULT_K = 5;

/** @throws {@link ConfigurationError} unless there is exactly one source, and `k` a whole number of at least 1 */
export function retrieverOf(source: RetrievalSource): BaseRetrieverInterface {
  const { store, retriever, k, searchType } = source as Partial<RetrievalSource>;
  if ((store === undefined) === (retriever === undefined)) {
    throw new ConfigurationError(`Pass either \`store\` or \`retriever\`; got ${store ? "both" : "neither"}.`);
  }
  if (k !== undefined && (!Number.isInteger(k) || k < 1)) {
    throw new ConfigurationError(`k is ${String(k)}; give a whole number of at least 1.`);
  }
  if (store) {
    const options: RetrieverOptions = { k: k ?? DEFAULT_K, ...(searchType !== undefined && { searchType }) };
    return store.asRetriever(options as never);
  }
  if (k !== undefined || searchType !== undefined) {
    throw new ConfigurationError("k and searchType belong to a store; a ready retriever has its own. Leave them out.");
  }
  return retriever!;
}

import type { BaseRetrieverInterface } from "@langchain/core/retrievers";
import type { RunnableConfig } from "@langchain/core/runnables";
import { ConfigurationError, MissingTenantError } from "../errors.js";
import type { Filter } from "../store/filter/index.js";

/** How a store is asked for a retriever. */
export interface RetrieverOptions {
  /**
   * Most passages to retrieve.
   *
   * @defaultValue 5
   */
  k?: number;
  /** What the search does with the question; the words that the store at hand understands. */
  searchType?: "similarity" | "lexical" | "hybrid" | "mmr";
  /** Restricts the search, whoever asks; combined with the store's own filter. */
  filter?: Filter;
}

/** Anything that makes retrievers: a `PostgresVectorStore` or any other LangChain vector store. */
export interface RetrieverFactory {
  // `never` takes in every store: each has its own idea of further options and of the words for a search type.
  asRetriever(options: never): BaseRetrieverInterface;
}

/** A store of many tenants. */
export interface TenantStore extends RetrieverFactory {
  forTenant(tenantId: string | number): RetrieverFactory;
}

/** Which tenant a call is for, by what the application has put into the call's config; no model can change it. */
export type TenantOfCall = (config: Partial<RunnableConfig>) => string | number | undefined;

/** Where passages come from: a store, with how to search it, or a ready retriever. */
export type RetrievalSource =
  | ({ store: RetrieverFactory; tenant?: undefined; retriever?: undefined } & RetrieverOptions)
  | ({ store: TenantStore; tenant: TenantOfCall; retriever?: undefined } & RetrieverOptions)
  | {
      store?: undefined;
      tenant?: undefined;
      retriever: BaseRetrieverInterface;
      k?: undefined;
      searchType?: undefined;
      filter?: undefined;
    };

export const DEFAULT_K = 5;

/**
 * The retriever of each call.
 *
 * @param fetchK passages to fetch, when more than `k` are wanted to choose from
 * @throws {@link ConfigurationError} unless there is exactly one source, and `k` a whole number of at least 1; on a call
 * of a store with `tenant`, {@link MissingTenantError} when the config names none
 */
export function retrieverOf(
  source: RetrievalSource,
  fetchK?: number,
): (config: Partial<RunnableConfig>) => BaseRetrieverInterface {
  const { store, retriever, k, searchType, filter, tenant } = source;
  if ((store === undefined) === (retriever === undefined)) {
    throw new ConfigurationError(`Pass either \`store\` or \`retriever\`; got ${store ? "both" : "neither"}.`);
  }
  for (const [name, count] of Object.entries({ k, fetchK })) {
    if (count !== undefined && (!Number.isInteger(count) || count < 1)) {
      throw new ConfigurationError(`${name} is ${String(count)}; give a whole number of at least 1.`);
    }
  }
  if (store === undefined) {
    if ([k, fetchK, searchType, filter, tenant].some((option) => option !== undefined)) {
      throw new ConfigurationError(
        "k, fetchK, searchType, filter and tenant belong to a store; a ready retriever has its own. Leave them out.",
      );
    }
    return () => retriever;
  }
  const options = {
    k: Math.max(fetchK ?? 0, k ?? DEFAULT_K),
    ...(searchType !== undefined && { searchType }),
    ...(filter !== undefined && { filter }),
  } as never;
  if (tenant === undefined) {
    const made = store.asRetriever(options);
    return () => made;
  }
  return (config) => store.forTenant(named(tenant(config))).asRetriever(options);
}

function named(tenant: string | number | undefined): string | number {
  if (tenant !== undefined) return tenant;
  throw new MissingTenantError(
    "This call names no tenant: `tenant` found none in the config. Pass it where the application calls, such as " +
      "invoke(input, { configurable: { tenant_id: ... } }).",
  );
}

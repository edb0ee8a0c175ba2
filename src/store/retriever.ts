import { Document } from "@langchain/core/documents";
import type { BaseRetrieverInput } from "@langchain/core/retrievers";
import {
  VectorStoreRetriever,
  type VectorStoreInterface,
  type VectorStoreRetrieverInput,
  type VectorStoreRetrieverMMRSearchKwargs,
} from "@langchain/core/vectorstores";
import type { RunnableConfig } from "@langchain/core/runnables";
import type { CallbackManagerForRetrieverRun } from "@langchain/core/callbacks/manager";
import { ConfigurationError } from "../errors.js";
import { parseFilter, type Filter } from "./filter/index.js";
import { checkFusion, checkWeights, type Fusion, type FusionWeights } from "./fusion/fusion.js";
import { checkLanguage } from "./lexical/options.js";
import { checkSearchType, integer, type SearchType } from "./options.js";
import { checkSteps, type PostProcessor } from "./post-process/post-process.js";
import { rerank, type Reranker } from "./post-process/rerank.js";
import { scoreThreshold } from "./post-process/score-threshold.js";
import type { SearchOptions } from "./search-hit.js";
import type { PostgresVectorStore } from "./postgres-vector-store.js";

/** Options of {@link PostgresRetriever}; those of LangChain's retrievers and ours. */
export interface PostgresRetrieverOptions extends BaseRetrieverInput {
  /** Documents to return. @defaultValue 4 */
  k?: number;
  /** Combined with the store's own filter. */
  filter?: Filter;
  /** @defaultValue the store's */
  searchType?: SearchType | "mmr";
  /** For `"mmr"`: candidates to choose from, and 1 for relevance to 0 for diversity. */
  searchKwargs?: VectorStoreRetrieverMMRSearchKwargs;
  /** How a hybrid search combines the rankings. @defaultValue the store's */
  fusion?: Fusion;
  /** What each ranking counts for in a hybrid search. @defaultValue the store's */
  weights?: FusionWeights;
  /** Language of the query, for a search by words. @defaultValue the lexical index's */
  language?: string;
  /** Puts candidates in order; any of LangChain's document compressors. */
  rerank?: Reranker;
  /** Steps after the search and after `rerank`, such as those of `langchain-pgvector/chains`. */
  postProcess?: readonly PostProcessor[];
  /** Candidates for `rerank` and `postProcess`, at least `k`. @defaultValue 20, or 4 k when that is more */
  fetchK?: number;
  /**
   * Leaves out documents whose `score` in `store.search` is below this, whatever `scoreNormalization` says, before they are
   * reranked. See `scoreThreshold` of `langchain-pgvector/chains` for what it means in each mode.
   */
  scoreThreshold?: number;
  /** Puts `score` into the metadata of what is returned. @defaultValue false */
  includeScores?: boolean;
}

/** A LangChain retriever over a {@link PostgresVectorStore}. */
export class PostgresRetriever<V extends PostgresVectorStore = PostgresVectorStore> extends VectorStoreRetriever<V> {
  static override lc_name(): string {
    return "PostgresRetriever";
  }

  /** What the search is done by; LangChain's own `searchType` knows nothing of words. */
  readonly words: Pick<SearchOptions, "searchType" | "fusion" | "weights" | "language">;
  /** What is done with the candidates of a search. */
  readonly steps: Pick<SearchOptions, "postProcess" | "fetchK">;
  readonly scoreThreshold: number | undefined;
  readonly includeScores: boolean;
  /** That of the call, on the retriever that {@link invoke} makes for it. */
  declare readonly signal?: AbortSignal;

  constructor(fields: PostgresRetrieverOptions & { vectorStore: V }) {
    const { searchType, searchKwargs, scoreThreshold: threshold, fusion, weights, language, ...others } = fields;
    const { rerank: reranker, postProcess, fetchK, ...rest } = others;
    const words = {
      searchType: searchType === "mmr" ? undefined : checkSearchType(searchType, ["mmr"]),
      fusion: checkFusion(fusion),
      weights: checkWeights(weights),
      language: checkLanguage(language),
    };
    const steps = [...(reranker === undefined ? [] : [rerank(reranker)]), ...checkSteps(postProcess)];
    const least = threshold === undefined ? [] : [scoreThreshold(threshold)];
    if (searchType === "mmr" && (threshold !== undefined || steps.length > 0)) {
      const option = threshold === undefined ? "rerank and postProcess do" : "scoreThreshold does";
      throw new ConfigurationError(
        `${option} not go with searchType "mmr", which ranks by diversity too; use postProcess: [diversify()] instead of it.`,
      );
    }
    integer("fetchK", fetchK, 1, 1_000_000);
    integer("k", rest.k, 1, 1_000_000);
    super(
      searchType === "mmr"
        ? { ...rest, searchType, ...(searchKwargs !== undefined && { searchKwargs }) }
        : { ...rest, searchType: "similarity" },
    );
    this.words = words;
    this.steps = steps.length === 0 ? { fetchK } : { postProcess: [...least, ...steps], fetchK };
    this.scoreThreshold = threshold;
    this.includeScores = fields.includeScores ?? false;
  }

  /** Retrieves; the config's `signal` cancels the search in the database. */
  override async invoke(input: string, options?: Partial<RunnableConfig>): Promise<Document[]> {
    if (options?.signal === undefined) return super.invoke(input, options);
    options.signal.throwIfAborted();
    // LangChain hands the signal to nobody, so this call gets a retriever that knows it.
    const bound = Object.create(this, { signal: { value: options.signal } }) as this;
    return super.invoke.call(bound, input, options) as Promise<Document[]>;
  }

  override async _getRelevantDocuments(
    query: string,
    runManager?: CallbackManagerForRetrieverRun,
  ): Promise<Document[]> {
    if (this.searchType === "mmr") return super._getRelevantDocuments(query, runManager);
    const filter = this.filter as Filter | undefined;
    const callbacks = runManager?.getChild();
    const hits = await this.vectorStore.search(query, {
      ...this.words,
      ...this.steps,
      k: this.k,
      filter,
      callbacks,
      ...(this.signal && { signal: this.signal }),
    });
    const threshold = this.scoreThreshold;
    return hits
      .filter((hit) => threshold === undefined || hit.score >= threshold)
      .map(({ document, score }) =>
        this.includeScores
          ? new Document({ ...fieldsOf(document), metadata: { ...document.metadata, score } })
          : document,
      );
  }
}

function fieldsOf({ id, pageContent }: Document): { id?: string; pageContent: string } {
  return { ...(id !== undefined && { id }), pageContent };
}

/** One set of fields from the arguments of both of LangChain's ways to ask for a retriever. */
export function retrieverFields(
  kOrFields: number | PostgresRetrieverOptions | Partial<VectorStoreRetrieverInput<VectorStoreInterface>> | undefined,
  filter: Filter | undefined,
  others: Pick<PostgresRetrieverOptions, "callbacks" | "metadata" | "verbose">,
): PostgresRetrieverOptions {
  const fields: PostgresRetrieverOptions =
    typeof kOrFields === "object"
      ? (kOrFields as PostgresRetrieverOptions)
      : { ...(kOrFields !== undefined && { k: kOrFields }) };
  // Checked here, so that a misspelt filter fails where it is written; an empty one filters nothing.
  const filters = [fields.filter, filter].filter((part) => parseFilter(part) !== undefined) as Filter[];
  const given = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined));
  return {
    ...given,
    ...fields,
    ...(filters.length > 0 && { filter: filters.length === 1 ? filters[0]! : { $and: filters } }),
  };
}

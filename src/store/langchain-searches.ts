import type { Callbacks } from "@langchain/core/callbacks/manager";
import type { Document } from "@langchain/core/documents";
import { quoteQualified } from "../db/identifiers.js";
import type { SparseVector, VectorInput } from "../db/sparse-vector.js";
import { BasePGVectorStore } from "./base-class.js";
import { checkMetric, operatorText } from "./metric.js";
import type { SearchHit, SearchOptions } from "./search-hit.js";

/** The search methods that LangChain's chains and retrievers call, as thin calls of {@link search}. */
export abstract class LangChainSearches extends BasePGVectorStore {
  // A misspelt operator therefore compiles; the FilterError at run time catches it.
  declare FilterType: any;

  abstract search(query: string | VectorInput, options?: SearchOptions): Promise<SearchHit[]>;

  override async similaritySearch(
    query: string,
    k = 4,
    filter?: this["FilterType"],
    _callbacks?: Callbacks,
  ): Promise<Document[]> {
    return (await this.search(query, { k, filter })).map((hit) => hit.document);
  }

  /** Documents with a score whose direction `scoreNormalization` sets: a distance (lower is better) by default. */
  override async similaritySearchWithScore(
    query: string,
    k = 4,
    filter?: this["FilterType"],
    _callbacks?: Callbacks,
  ): Promise<[Document, number][]> {
    return this.scored(await this.search(query, { k, filter }));
  }

  /** Always by vector, whatever the store's `searchType`. */
  override async similaritySearchVectorWithScore(
    query: number[] | SparseVector,
    k: number,
    filter?: this["FilterType"],
  ): Promise<[Document, number][]> {
    return this.scored(await this.search(query, { k, filter }));
  }

  /** Documents with their distance and their similarity, whatever `scoreNormalization` says. */
  override async similaritySearchVectorWithScores(
    query: number[] | SparseVector,
    k: number,
    filter?: this["FilterType"],
  ): Promise<[Document, { distance: number; similarity: number }][]> {
    const hits = await this.search(query, { k, filter });
    return hits.map(({ document, distance, similarity }) => [
      document,
      { distance: distance!, similarity: similarity! },
    ]);
  }

  override get computedTableName(): string {
    return quoteQualified(this.schemaName ?? undefined, this.tableName);
  }

  override get computedOperatorString(): string {
    return operatorText(checkMetric(this.distanceStrategy), this.extensionSchemaName ?? undefined);
  }

  /** Hits with the one number that LangChain's callers get. */
  protected async scored(hits: readonly SearchHit[]): Promise<[Document, number][]> {
    return hits.map((hit) => [hit.document, this.#scoreOf(hit)]);
  }

  #scoreOf(hit: SearchHit): number {
    if (this.scoreNormalization === "similarity") return hit.score;
    return hit.lexical === undefined && hit.score === hit.similarity ? hit.distance! : 1 - hit.score;
  }
}

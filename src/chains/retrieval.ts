import type { Callbacks } from "@langchain/core/callbacks/manager";
import type { DocumentInterface } from "@langchain/core/documents";
import type { RunnableConfig } from "@langchain/core/runnables";
import { orAbort } from "../db/abort.js";
import { fuseRankings } from "./fuse-rankings.js";
import type { QueryExpansion } from "./query-expansion.js";
import { DEFAULT_K, retrieverOf, type RetrievalSource } from "./retrieval-source.js";

/** What puts passages in another order, leaves some out or shortens them: any of LangChain's document compressors. */
export interface Compressor {
  /** @param signal that of the call, for those that can be cancelled; LangChain's own do not know of it */
  compressDocuments(
    documents: DocumentInterface[],
    query: string,
    callbacks?: Callbacks,
    signal?: AbortSignal,
  ): Promise<DocumentInterface[]>;
}

/** Where passages come from, and the steps between the question and them. */
export type RetrievalOptions = RetrievalSource & {
  /** Passages to fetch for `compressors` to choose `k` from. */
  fetchK?: number;
  /** What is searched for instead of the question alone, such as {@link multiQuery}. */
  queries?: QueryExpansion;
  /** Steps over the passages found, one after the other; `k` of what the last leaves are used. */
  compressors?: readonly Compressor[];
};

/** Finds the passages for a question, best first. */
export type Retrieve = (question: string, config: Partial<RunnableConfig>) => Promise<DocumentInterface[]>;

/** @throws {@link ConfigurationError} as `retrieverOf` */
export function retrievalOf(options: RetrievalOptions): Retrieve {
  const { queries, compressors = [], fetchK, k } = options;
  const retrieverFor = retrieverOf(options, fetchK);
  return async (question, config) => {
    const { signal, callbacks } = config;
    const retriever = retrieverFor(config);
    const texts = queries === undefined ? [question] : await queries.invoke(question, config);
    const rankings = await Promise.all(texts.map((text) => retriever.invoke(text, config)));
    const longest = Math.max(...rankings.map((ranking) => ranking.length));
    let found = rankings.length === 1 ? rankings[0]! : fuseRankings(rankings).slice(0, longest);
    for (const step of compressors) {
      found = await orAbort(step.compressDocuments(found, question, callbacks, signal), signal);
    }
    return fetchK === undefined ? found : found.slice(0, k ?? DEFAULT_K);
  };
}

import type { Callbacks } from "@langchain/core/callbacks/manager";
import type { Document } from "@langchain/core/documents";
import { embeddedVector, type Embedded } from "./embedding-column.js";
import type { DocumentFilter, Filter } from "./filter/index.js";
import type { Fusion, FusionWeights } from "./fusion/fusion.js";
import { integer, type SearchType } from "./options.js";
import type { PostProcessor } from "./post-process/post-process.js";
import type { Reranker } from "./post-process/rerank.js";
import type { DenseHit } from "./search.js";

/** Options of one `store.search`. */
export interface SearchOptions {
  /** @defaultValue 4 */
  k?: number | undefined;
  /** Combined with the store's own filter. */
  filter?: Filter | undefined;
  /** Filter on the text of the documents. */
  whereDocument?: DocumentFilter | undefined;
  /** @defaultValue the store's */
  searchType?: SearchType | undefined;
  /** Candidates of an HNSW scan, 1 to 1,000; raised to `k` when that is more. @defaultValue the store's */
  efSearch?: number;
  /** Lists that an IVFFlat scan visits. */
  probes?: number;
  /** Whether hits carry their vectors. @defaultValue false */
  includeEmbeddings?: boolean;
  /** How a hybrid search combines the rankings. @defaultValue the store's */
  fusion?: Fusion | undefined;
  /** What each ranking counts for in a hybrid search. @defaultValue the store's */
  weights?: FusionWeights | undefined;
  /** Candidates of each ranking in a hybrid search, at least `k`. @defaultValue 50, or 10 k when that is more */
  candidates?: number | undefined;
  /** Language of the query: a text search configuration or a code. @defaultValue the lexical index's */
  language?: string | undefined;
  /** Puts `fetchK` candidates in order; any of LangChain's document compressors. Needs a query in words. */
  rerank?: Reranker | undefined;
  /** Steps after the search and after `rerank`, such as those of `langchain-pgvector/chains`. */
  postProcess?: readonly PostProcessor[] | undefined;
  /** Candidates for `rerank` and `postProcess`, at least `k`. @defaultValue 20, or 4 k when that is more */
  fetchK?: number | undefined;
  /** Handed to the steps, for tracers. */
  callbacks?: Callbacks | undefined;
  /** Whether the search sees what this store has written before, with replicas. @defaultValue the store's */
  readYourWrites?: boolean;
  /** Cancels the search on the server. */
  signal?: AbortSignal;
  /** Upper bound on the server's time, in milliseconds. */
  timeoutMs?: number;
}

/** One result of `store.search`; with `includeEmbeddings`, with its vector. */
export interface SearchHit extends Embedded {
  document: Document;
  /**
   * Higher is better. The similarity; in a lexical search the share of the highest BM25 that the query could give, in a
   * hybrid search the fused score, both 0 to 1.
   */
  score: number;
  /** Higher is better. */
  similarity?: number;
  /** Lower is better; in the store's metric. */
  distance?: number;
  /** Place in the dense ranking, from 1, and the distance there. */
  dense?: { rank: number; distance: number };
  /** Place in the lexical ranking, from 1, BM25 there, and the terms that matched, as they are stored. */
  lexical?: { rank: number; bm25: number; terms: readonly string[] };
  /** Place that a reranker gave it, from 1, and the score there if the reranker tells one. */
  rerank?: { rank: number; score?: number };
  /** Ids of the chunks that the document was put together from, in their order in the source. */
  parts?: readonly string[];
  /** What the search fell back to, because its text has no word that could be looked up. */
  fallback?: "similarity";
}

/** A row found by vector as a search reports it; `index` counts from 0, best first. */
export function toSearchHit(hit: DenseHit, index: number): SearchHit {
  const { document, distance, similarity } = hit;
  const dense = { rank: index + 1, distance };
  const found = { document, score: similarity, similarity, distance, dense };
  return embeddedVector(hit) === undefined ? found : { ...hit, ...found };
}

/** @throws ConfigurationError unless `k` is a whole number that can be served. */
export function checkK(k: number, name = "k"): number {
  return integer(name, k, 0, 1_000_000)!;
}

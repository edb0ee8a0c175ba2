import { Document, type DocumentInterface } from "@langchain/core/documents";
import type { Callbacks } from "@langchain/core/callbacks/manager";
import { BaseDocumentCompressor } from "@langchain/core/retrievers/document_compressors";
import { mapBatches } from "../embeddings/batches.js";
import { ConfigurationError } from "../errors.js";

/** How well each text answers a question, higher is better; `scores.length === texts.length`. */
export type CrossEncoder = (
  question: string,
  texts: readonly string[],
  options: { signal?: AbortSignal | undefined },
) => Promise<readonly number[]>;

/** Options of {@link CrossEncoderReranker}. */
export interface CrossEncoderRerankerOptions {
  /** The model: a local one, or a server's rerank endpoint. */
  score: CrossEncoder;
  /** Passages of one call. @defaultValue 16 */
  batchSize?: number;
  /** Leaves out passages whose score is lower. @defaultValue none */
  minScore?: number;
}

/**
 * Sorts passages by the score that a cross-encoder gives question and passage together, and writes it to
 * `metadata.relevanceScore`. Passages of equal score keep their order.
 *
 * @example
 * ```ts
 * const reranker = new CrossEncoderReranker({
 *   score: async (query, texts, { signal }) => {
 *     const body = JSON.stringify({ query, texts });
 *     const headers = { "content-type": "application/json" };
 *     const response = await fetch("http://localhost:8080/rerank", { method: "POST", headers, body, signal });
 *     const ranks = (await response.json()) as { index: number; score: number }[];
 *     return texts.map((_, index) => ranks.find((rank) => rank.index === index)!.score);
 *   },
 * });
 * ```
 */
export class CrossEncoderReranker extends BaseDocumentCompressor {
  readonly #options: Required<Omit<CrossEncoderRerankerOptions, "minScore">> & { minScore?: number };

  /** @throws {@link ConfigurationError} when an option is out of range */
  constructor({ score, batchSize = 16, ...rest }: CrossEncoderRerankerOptions) {
    super();
    if (typeof score !== "function")
      throw new ConfigurationError("score must be a function (question, texts) => scores.");
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new ConfigurationError(`batchSize is ${String(batchSize)}; give a whole number of at least 1.`);
    }
    this.#options = { score, batchSize, ...rest };
  }

  /** @throws {@link ConfigurationError} when the model does not give one finite number for each passage */
  override async compressDocuments(
    documents: DocumentInterface[],
    query: string,
    _callbacks?: Callbacks,
    signal?: AbortSignal,
  ): Promise<DocumentInterface[]> {
    const { score, batchSize, minScore = -Infinity } = this.#options;
    const texts = documents.map(({ pageContent }) => pageContent);
    const scores = await mapBatches(texts, batchSize, 1, async (batch) => {
      signal?.throwIfAborted();
      const given = await score(query, batch, { signal });
      if (given.length === batch.length && given.every((value) => Number.isFinite(value))) return [...given];
      throw new ConfigurationError(
        `The cross-encoder gave ${JSON.stringify(given)?.slice(0, 200)} for ${batch.length} passages; it has to give one ` +
          "finite number for each, in their order.",
      );
    });
    return documents
      .map((document, index) => ({ document, score: scores[index]! }))
      .filter((entry) => entry.score >= minScore)
      .toSorted((a, b) => b.score - a.score)
      .map(({ document: { id, pageContent, metadata }, score: relevanceScore }) => {
        return new Document({
          ...(id !== undefined && { id }),
          pageContent,
          metadata: { ...metadata, relevanceScore },
        });
      });
  }
}

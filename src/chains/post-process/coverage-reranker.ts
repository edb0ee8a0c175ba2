import type { DocumentInterface } from "@langchain/core/documents";
import { BaseDocumentCompressor } from "@langchain/core/retrievers/document_compressors";
import { ConfigurationError } from "../../errors.js";
import { rankSentences } from "../sentence-ranking.js";

export interface CoverageRerankerOptions {
  /** What the best sentence counts for beside the place that the search gave: 0 for nothing, 1 for all. @defaultValue 0.3 */
  weight?: number;
}

/**
 * A reranker that needs no model: a passage whose best sentence speaks of more of the question moves up, by the measure that
 * `ExtractiveAnswerer` quotes by. Puts the score, 0 to 1, into `metadata.relevanceScore`.
 */
export class CoverageReranker extends BaseDocumentCompressor {
  readonly #weight: number;

  constructor({ weight = 0.3 }: CoverageRerankerOptions = {}) {
    super();
    if (!(weight >= 0 && weight <= 1)) throw new ConfigurationError(`weight must be from 0 to 1, got ${weight}.`);
    this.#weight = weight;
  }

  override compressDocuments(documents: DocumentInterface[], query: string): Promise<DocumentInterface[]> {
    const best = documents.map(() => 0);
    for (const { passage, coverage } of rankSentences(query, documents)) {
      best[passage] = Math.max(best[passage]!, coverage);
    }
    const scored = documents.map((document, index) => {
      // Reciprocal ranks would leave the later places as good as equal.
      const place = 1 - index / documents.length;
      const relevanceScore = this.#weight * best[index]! + (1 - this.#weight) * place;
      return { ...document, metadata: { ...document.metadata, relevanceScore } };
    });
    return Promise.resolve(scored.sort((a, b) => b.metadata.relevanceScore - a.metadata.relevanceScore));
  }
}

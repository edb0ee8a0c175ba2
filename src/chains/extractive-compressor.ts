import type { DocumentInterface } from "@langchain/core/documents";
import { BaseDocumentCompressor } from "@langchain/core/retrievers/document_compressors";
import { ConfigurationError } from "../errors.js";
import { excerptOf } from "./excerpt.js";
import { rankSentences } from "./sentence-ranking.js";

/** Options of {@link ExtractiveCompressor}. */
export interface ExtractiveCompressorOptions {
  /** Coverage of the question, 0..1, from which a sentence is kept. @defaultValue 0.3 */
  minCoverage?: number;
  /** Sentences kept before and behind such a one, for their context. @defaultValue 1 */
  around?: number;
}

/**
 * Cuts each passage to the stretch that speaks of the question, and leaves out passages that do not; needs no model. What
 * is left stands in the chunk word for word, so that quotes and their lines stay right. It compares words: leave it out
 * for questions whose words differ from those of the documents.
 */
export class ExtractiveCompressor extends BaseDocumentCompressor {
  readonly #minCoverage: number;
  readonly #around: number;

  /** @throws {@link ConfigurationError} when an option is out of range */
  constructor({ minCoverage = 0.3, around = 1 }: ExtractiveCompressorOptions = {}) {
    super();
    if (!(minCoverage >= 0 && minCoverage <= 1)) {
      throw new ConfigurationError(`minCoverage is ${String(minCoverage)}; give a number from 0 to 1.`);
    }
    if (!Number.isInteger(around) || around < 0) {
      throw new ConfigurationError(`around is ${String(around)}; give a whole number from 0.`);
    }
    this.#minCoverage = minCoverage;
    this.#around = around;
  }

  override compressDocuments(documents: DocumentInterface[], query: string): Promise<DocumentInterface[]> {
    const sentences = rankSentences(query, documents);
    return Promise.resolve(
      documents.flatMap((document, passage) => {
        const own = sentences.filter((sentence) => sentence.passage === passage).sort((a, b) => a.start - b.start);
        const kept = own.flatMap(({ coverage }, index) => (coverage >= this.#minCoverage ? [index] : []));
        if (kept.length === 0) return [];
        const first = own[Math.max(0, kept[0]! - this.#around)]!;
        const last = own[Math.min(own.length - 1, kept.at(-1)! + this.#around)]!;
        return [excerptOf(document, { start: first.start, end: last.end })];
      }),
    );
  }
}

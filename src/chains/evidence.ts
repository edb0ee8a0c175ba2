import type { DocumentInterface } from "@langchain/core/documents";
import { ConfigurationError } from "../errors.js";
import { rankSentences } from "./sentence-ranking.js";

/** How well passages answer a question, 0 to 1: for the decision whether to answer at all. */
export type EvidenceMeasure = (question: string, context: readonly DocumentInterface[]) => number | Promise<number>;

/** When a chain says that it does not know. */
export interface AbstentionOptions {
  /**
   * Evidence below which no answer is given, and no model called, 0 to 1.
   *
   * @defaultValue 0 with a model, which judges the passages itself; else 0.45
   */
  minEvidence?: number;
  /**
   * How evidence is measured, such as by a reranker's score.
   *
   * @defaultValue the share of the question's words that the best sentence covers, {@link coverageOf}
   */
  evidence?: EvidenceMeasure;
}

/** The share of the question's content words that the sentence with most of them holds; it compares words, not meaning. */
export function coverageOf(question: string, context: readonly DocumentInterface[]): number {
  return rankSentences(question, context)[0]?.coverage ?? 0;
}

/** @throws {@link ConfigurationError} unless the threshold is a number from 0 to 1 */
export function checkMinEvidence(minEvidence: number | undefined): void {
  if (minEvidence === undefined || (minEvidence >= 0 && minEvidence <= 1)) return;
  throw new ConfigurationError(`minEvidence is ${String(minEvidence)}; give a number from 0 to 1.`);
}

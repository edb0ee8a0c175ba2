import type { DocumentInterface } from "@langchain/core/documents";
import { isCommonStem } from "../embeddings/stop-words.js";
import { wordsOf } from "../embeddings/words.js";
import type { Span } from "./citation.js";
import { sentencesOf } from "./sentences.js";

/** A sentence of the context with how well it fits the question. */
export interface RankedSentence extends Span {
  /** Position of its chunk in the context, from 0. */
  readonly passage: number;
  /** Share of the question's content that the sentence, helped by its chunk, speaks of: 0..1. */
  readonly coverage: number;
}

const COMMON_SHARE = 0.3;
const CHUNK_SHARE = 0.5;
const SPELLING_SHARE = 0.7;

/**
 * Ranks every sentence of the context by its coverage of the question, best first; ties keep reading order.
 *
 * The content words of the question (stems, function words left out) weigh `w(t) = sqrt(idf(t))`, with
 * `idf(t) = ln(1 + (N - n + 0.5) / (n + 0.5))` for n of the N sentences at hand holding `t`; words common everywhere
 * weigh 0.3 of that. A sentence earns all of `w(t)` for a word it holds, half of it for one that only its chunk holds,
 * and 0.7 of either for a near spelling. `coverage` is the earned sum over the sum of all `w(t)`.
 *
 * @see docs/decisions/0004-extractive-answerer.md
 */
export function rankSentences(question: string, context: readonly DocumentInterface[]): RankedSentence[] {
  const passages = context.map(({ pageContent }) => ({
    stems: stemsOf(pageContent),
    sentences: sentencesOf(pageContent).map((sentence) => ({
      sentence,
      stems: stemsOf(pageContent.slice(sentence.start, sentence.end)),
    })),
  }));
  const terms = termsOf(question, passages);
  const total = terms.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) return [];

  const ranked = passages.flatMap(({ sentences, stems: chunk }, passage) =>
    sentences.map(({ sentence, stems }) => {
      const earned = terms.reduce((sum, term) => {
        const share = Math.max(shareOf(term, stems), CHUNK_SHARE * shareOf(term, chunk));
        return sum + term.weight * share;
      }, 0);
      return { ...sentence, passage, coverage: earned / total };
    }),
  );
  return ranked.toSorted((a, b) => b.coverage - a.coverage);
}

interface Term {
  readonly stem: string;
  /** Words of the context that look like the stem; empty when the context holds the stem itself. */
  readonly variants: readonly string[];
  readonly weight: number;
}

function termsOf(
  question: string,
  passages: readonly { stems: ReadonlySet<string>; sentences: readonly { stems: ReadonlySet<string> }[] }[],
): Term[] {
  const sentences = passages.flatMap((passage) => passage.sentences);
  const vocabulary = new Set(passages.flatMap(({ stems }) => [...stems]));
  const asked = wordsOf(question).filter(({ stop, compound }) => !stop && !compound);
  return [...new Set(asked.map(({ stem }) => stem))].map((stem) => {
    const holding = sentences.filter(({ stems }) => stems.has(stem)).length;
    const idf = Math.log(1 + (sentences.length - holding + 0.5) / (holding + 0.5));
    const variants = vocabulary.has(stem) ? [] : [...vocabulary].filter((other) => isNearSpelling(stem, other));
    return { stem, variants, weight: (isCommonStem(stem) ? COMMON_SHARE : 1) * Math.sqrt(idf) };
  });
}

function shareOf({ stem, variants }: Term, stems: ReadonlySet<string>): number {
  if (stems.has(stem)) return 1;
  return variants.some((variant) => stems.has(variant)) ? SPELLING_SHARE : 0;
}

function stemsOf(text: string): Set<string> {
  return new Set(wordsOf(text).map(({ stem }) => stem));
}

/** Same beginning and little else: inflections that the stemmer does not know, and typos near the end. */
function isNearSpelling(a: string, b: string): boolean {
  const longer = Math.max(a.length, b.length);
  let same = 0;
  while (same < longer && a[same] === b[same]) same++;
  return same >= 4 && same >= 0.7 * longer;
}

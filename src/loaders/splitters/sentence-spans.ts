import type { Span } from "../markdown-structure.js";
import { splitSpans } from "../split-spans.js";
import { boundariesOf } from "../boundaries.js";

export interface SentenceSpan extends Span {
  /** From the first character of the window to behind its last. */
  readonly window: Span;
}

/** A shorter one, such as an abbreviation or a number of a list, says nothing by itself and is put to the next. */
const LEAST_CHARACTERS = 40;

/** Sentences in order, each with the window of sentences around it; none longer than `chunkSize`. */
export function sentenceSpans(text: string, chunkSize: number, windowSentences: number): SentenceSpan[] {
  const sentences: Span[] = [];
  let start = 0;
  for (const end of [...boundariesOf(text), text.length]) {
    if (end < text.length && text.slice(start, end).trim().length < LEAST_CHARACTERS) continue;
    const sentence = text.slice(start, end);
    for (const span of splitSpans(sentence, { chunkSize, chunkOverlap: 0 })) {
      sentences.push({ start: start + span.start, end: start + span.end });
    }
    start = end;
  }
  return sentences.map((sentence, index) => ({
    ...sentence,
    window: {
      start: sentences[Math.max(0, index - windowSentences)]!.start,
      end: sentences[Math.min(sentences.length - 1, index + windowSentences)]!.end,
    },
  }));
}

import type { DocumentInterface } from "@langchain/core/documents";
import { citationOf, type Citation, type Span } from "./citation.js";
import { markersOf } from "./citation-markers.js";
import { findVerbatim, quotationAt } from "./quotations.js";
import { rankSentences } from "./sentence-ranking.js";

const SHORTEST_QUOTE = 8;
const CLAIM_END = /[.!?。！？]["”»)]*\s|\n/g;
/** Claims further back than this belong to other markers, in UTF-16 code units. */
const LONGEST_CLAIM = 1_000;

/**
 * Turns the `[n]` markers of a model's answer into citations whose quotes really stand in the passages.
 *
 * Numbers out of range are dropped. The quote is what the model put in quotation marks before the marker if the cited
 * passage holds it (white space aside), else the sentence of that passage that fits the claim best. A place that is
 * cited twice is reported once; citations come in the order of the answer.
 */
export function verifyCitations(answer: string, context: readonly DocumentInterface[]): Citation[] {
  const citations = new Map<string, Citation>();
  let previous = 0;
  let claim = "";
  for (const { indexes, at, end } of markersOf(answer, context.length)) {
    const between = claimBefore(answer, previous, at);
    // `[1][2]`: the second marker supports the same claim as the first.
    if (/[\p{L}\p{N}]/u.test(between)) claim = between;
    previous = end;
    for (const index of indexes) {
      const document = context[index - 1]!;
      const span = quotedSpan(claim, document.pageContent) ?? fittingSpan(claim, document);
      if (!span) continue;
      const key = `${index}:${span.start}:${span.end}`;
      if (!citations.has(key)) citations.set(key, citationOf(document, index, span));
    }
  }
  return [...citations.values()];
}

/** The text since the last marker, from the sentence in which the marker stands. */
function claimBefore(answer: string, previous: number, at: number): string {
  const text = answer.slice(Math.max(previous, at - LONGEST_CLAIM), at);
  let start = 0;
  for (const end of text.matchAll(CLAIM_END)) {
    const after = end.index + end[0].length;
    if (/[\p{L}\p{N}]/u.test(text.slice(after))) start = after;
  }
  return text.slice(start);
}

function quotedSpan(claim: string, passage: string): Span | undefined {
  for (let at = 0; at < claim.length; at += 1) {
    const quotation = quotationAt(claim, at);
    if (typeof quotation !== "object") continue;
    at = quotation.end - 1;
    const found = quotation.text.length < SHORTEST_QUOTE ? undefined : findVerbatim(quotation.text, passage);
    if (found) return found;
  }
  return undefined;
}

function fittingSpan(claim: string, document: DocumentInterface): Span | undefined {
  const best = rankSentences(claim, [document])[0];
  if (best) return best;
  // Code or a table of its own, or a claim without words: the passage as a whole is what was cited.
  const text = document.pageContent;
  const start = text.length - text.trimStart().length;
  const end = text.trimEnd().length;
  return end > start ? { start, end } : undefined;
}

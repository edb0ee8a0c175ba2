import type { Span } from "./citation.js";
import { proseBlocksOf } from "./prose-blocks.js";

/** Longer stretches without an end are cut at a space, so that a quote stays readable, in UTF-16 code units. */
const LONGEST_SENTENCE = 600;

const SEGMENTER = new Intl.Segmenter("en", { granularity: "sentence" });
/** A sentence that begins with a line of a Markdown quotation begins after its marker. */
const QUOTE_MARKER = /^\s*(?:>\s+)*/;
const ABBREVIATED =
  /(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Gen|Col|Capt|Lt|Rev|Hon|No|Nos|Fig|Eq|Sec|Vol|pp?|vs|cf|ca|approx|etc|e\.g|i\.e|al|Inc|Ltd|Co|Corp|U\.S|U\.K|a\.m|p\.m)\.\s+$/;

/** Splits the prose of a chunk into sentences, in reading order, without overlap; each is trimmed and not empty. */
export function sentencesOf(chunk: string): Span[] {
  const sentences: Span[] = [];
  for (const { start, end } of proseBlocksOf(chunk)) {
    // A line break inside a paragraph ends a sentence for the segmenter; a space of the same length keeps the offsets.
    const block = chunk.slice(start, end).replace(/[\r\n\t\u2028\u2029]/g, " ");
    for (const span of spansOf(block)) sentences.push({ start: start + span.start, end: start + span.end });
  }
  return sentences;
}

function spansOf(block: string): Span[] {
  const spans: Span[] = [];
  let start = 0;
  let end = 0;
  const close = (): void => {
    for (const span of pieces(block, start, end)) spans.push(span);
    start = end;
  };
  for (const { segment } of SEGMENTER.segment(block)) {
    end += segment.length;
    if (!ABBREVIATED.test(block.slice(Math.max(start, end - 12), end))) close();
  }
  close();
  return spans;
}

function pieces(block: string, from: number, to: number): Span[] {
  const spans: Span[] = [];
  let start = from;
  while (start < to) {
    let end = to;
    if (end - start > LONGEST_SENTENCE) {
      const space = block.lastIndexOf(" ", start + LONGEST_SENTENCE);
      end = space > start ? space : start + LONGEST_SENTENCE;
      // Never between the halves of a surrogate pair.
      if (/[\uD800-\uDBFF]/.test(block[end - 1]!) && end < to) end--;
    }
    const piece = block.slice(start, end);
    const lead = QUOTE_MARKER.exec(piece)![0].length;
    const text = piece.slice(lead).trimEnd();
    if (text !== "") spans.push({ start: start + lead, end: start + lead + text.length });
    start = end;
  }
  return spans;
}

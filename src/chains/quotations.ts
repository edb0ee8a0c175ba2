import type { Span } from "./citation.js";

const LONGEST_QUOTATION = 400;
const SHORTEST_QUOTATION = 20;
const FEWEST_WORDS = 3;
const CLOSING: Readonly<Record<string, string>> = { '"': '"', "“": "”", "«": "»", "„": "“" };
/** Invisible characters: those that models do not repeat, and that hide text from people. */
const INVISIBLE = /\p{Cf}/gu;
const HAS_INVISIBLE = /\p{Cf}/u;

/** A piece of text between quotation marks. */
export interface Quotation {
  /** What stands between the marks. */
  readonly text: string;
  /** Offset just after the closing mark. */
  readonly end: number;
}

/**
 * The quotation that opens at an offset; `undefined` when none does there, `"unfinished"` while more text may close it.
 *
 * A straight mark opens behind white space or an opening bracket only, so that inches and string literals are none.
 */
export function quotationAt(text: string, at: number): Quotation | "unfinished" | undefined {
  const mark = text[at]!;
  const closing = CLOSING[mark];
  if (closing === undefined) return undefined;
  if (mark === '"' && at > 0 && !/[\s([{—–:]/.test(text[at - 1]!)) return undefined;
  const next = text[at + 1];
  if (next === undefined) return "unfinished";
  if (/\s/.test(next)) return undefined;
  const window = text.slice(at + 1, at + 1 + LONGEST_QUOTATION);
  const close = window.indexOf(closing);
  const newline = window.indexOf("\n");
  if (close >= 0 && (newline < 0 || close < newline)) {
    return { text: window.slice(0, close), end: at + 1 + close + closing.length };
  }
  return newline >= 0 || window.length === LONGEST_QUOTATION ? undefined : "unfinished";
}

/** Whether words between marks claim to be somebody's own, and are not a term or an ironic word. */
export function isQuotation(text: string): boolean {
  return text.length >= SHORTEST_QUOTATION || text.split(/\s+/).filter((word) => word !== "").length >= FEWEST_WORDS;
}

/**
 * Where a text holds a quotation: word for word, but for white space, case, invisible characters and a mark of
 * punctuation at the end. Parts around an ellipsis must all be there, in order; the span is that of the first.
 */
export function findVerbatim(quote: string, text: string): Span | undefined {
  const parts = quote
    .replace(INVISIBLE, "")
    .split(/\s*(?:\[\s*)?(?:\.{3}|…)(?:\s*\])?\s*/)
    .map((part) => part.trim().replace(/[.,;:!?]$/, ""))
    .filter((part) => part !== "");
  const hidden = HAS_INVISIBLE.test(text);
  let first: Span | undefined;
  let from = 0;
  for (const part of parts) {
    const found = patternOf(part, hidden ? "\\p{Cf}*" : "").exec(text.slice(from));
    if (!found) return undefined;
    const start = from + found.index;
    from = start + found[0].length;
    first ??= { start, end: from };
  }
  return first;
}

/** @param between what may stand between any two characters */
function patternOf(part: string, between: string): RegExp {
  const words = part.split(/\s+/).map((word) =>
    Array.from(word)
      .map((letter) => letter.replace(/[.*+?^${}()|[\]\\/]/, "\\$&"))
      .join(between),
  );
  return new RegExp(words.join(`${between}\\s+${between}`), "iu");
}

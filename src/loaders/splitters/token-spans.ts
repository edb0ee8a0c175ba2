import type { Tiktoken } from "js-tiktoken/lite";
import type { Span } from "../markdown-structure.js";
import type { SplitLimits } from "../split-spans.js";
import { wholeCharacter } from "../boundaries.js";

/** Longer words are counted in pieces, since the time for one grows with the square of its length. */
const PIECE = 40;

let loading: Promise<Tiktoken> | undefined;

/** The tokenizer of `cl100k_base`; its ranks take a second to load, which other splitters need not pay. */
export function loadTokenizer(): Promise<Tiktoken> {
  loading ??= Promise.all([import("js-tiktoken/lite"), import("js-tiktoken/ranks/cl100k_base")]).then(
    ([{ Tiktoken: Tokenizer }, { default: ranks }]) => new Tokenizer(ranks),
  );
  return loading;
}

/**
 * Spans of at most `chunkSize` tokens, cut between words, that together hold every character that is not white space. The
 * tokens of the words are added up, which is never less than the tokens of the whole.
 */
export function* tokenSpans(
  text: string,
  { chunkSize, chunkOverlap }: SplitLimits,
  tokenizer: Tiktoken,
): Generator<Span> {
  const pieces = [...piecesOf(text, tokenizer)];
  let from = 0;
  while (from < pieces.length) {
    let to = from;
    let tokens = 0;
    while (to < pieces.length && (to === from || tokens + pieces[to]!.tokens <= chunkSize)) {
      tokens += pieces[to]!.tokens;
      to += 1;
    }
    yield { start: pieces[from]!.start, end: pieces[to - 1]!.end };
    if (to === pieces.length) return;
    let next = to;
    let repeated = 0;
    while (next > from + 1 && repeated + pieces[next - 1]!.tokens <= chunkOverlap) {
      next -= 1;
      repeated += pieces[next]!.tokens;
    }
    from = next;
  }
}

/** Words, or parts of very long ones; the tokens include those of the white space in front. */
function* piecesOf(text: string, tokenizer: Tiktoken): Generator<Span & { tokens: number }> {
  let behind = 0;
  for (const match of text.matchAll(/\S+/g)) {
    const end = match.index + match[0].length;
    for (let start = match.index; start < end;) {
      const cut = end - start > PIECE ? Math.max(start + 1, wholeCharacter(text, start + PIECE)) : end;
      // White space is squeezed: a run of it is a token or two, however long.
      const tokens = tokenizer.encode(text.slice(Math.max(behind, start - 8), cut), [], []).length;
      yield { start, end: cut, tokens };
      behind = cut;
      start = cut;
    }
  }
}

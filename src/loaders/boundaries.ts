/** Places where a text may be cut, from the best to the worst. A cut lies behind the white space of its boundary. */
export type Boundary = "paragraph" | "sentence" | "line" | "word";

const PATTERNS: Readonly<Record<Boundary, RegExp>> = {
  paragraph: /\n(?:[ \t\r]*\n)+/g,
  sentence: /[.!?…]+["'”’»)\]]*\s+|[。！？]["'”’」』）]*\s*/g,
  line: /\n/g,
  word: /\s+/g,
};

/** In prose a line is often cut in the middle of a sentence; in code a line is the smallest unit that means something. */
export const PROSE: readonly Boundary[] = ["paragraph", "sentence", "line", "word"];
export const CODE: readonly Boundary[] = ["paragraph", "line", "word"];

/** The last boundary `p` with `from < p <= to` that `allowed` accepts, or `undefined`. */
export function lastBoundary(
  text: string,
  from: number,
  to: number,
  kind: Boundary,
  allowed: (position: number) => boolean,
): number | undefined {
  let last: number | undefined;
  for (const position of boundaries(text, from, to, kind)) if (allowed(position)) last = position;
  return last;
}

/** The first boundary `p` with `from <= p < to`, or `undefined`. */
export function firstBoundary(text: string, from: number, to: number, kind: Boundary): number | undefined {
  for (const position of boundaries(text, from - 1, to - 1, kind)) return position;
  return undefined;
}

/** The nearest position at or before `position` that does not cut a surrogate pair. */
export function wholeCharacter(text: string, position: number): number {
  const before = text.charCodeAt(position - 1);
  const after = text.charCodeAt(position);
  const cutsPair = before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff;
  return cutsPair ? position - 1 : position;
}

/** Every place behind a sentence or a paragraph, in order. */
export function boundariesOf(text: string): number[] {
  const found = [...boundaries(text, 0, text.length, "sentence"), ...boundaries(text, 0, text.length, "paragraph")];
  return [...new Set(found)].sort((a, b) => a - b);
}

function* boundaries(text: string, from: number, to: number, kind: Boundary): Generator<number> {
  if (to <= from) return;
  // One character of context before: a boundary may begin in front of `from` and end behind it.
  const origin = Math.max(0, from - 1);
  for (const match of text.slice(origin, to).matchAll(PATTERNS[kind])) {
    const position = origin + match.index + match[0].length;
    if (position > from) yield position;
  }
}

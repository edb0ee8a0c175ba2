import { CODE, firstBoundary, lastBoundary, PROSE, wholeCharacter, type Boundary } from "./boundaries.js";
import type { Heading, MarkdownStructure, Span } from "./markdown-structure.js";
import { firstFrom, topSections } from "./sections.js";

export interface SplitLimits {
  /** Most UTF-16 code units of a chunk, at least 2. */
  readonly chunkSize: number;
  /** Most code units that a chunk repeats from the one before it; less than `chunkSize`. */
  readonly chunkOverlap: number;
}

/** Fill a chunk must have reached before it is cut at a boundary of the kind, as a share of `chunkSize`. */
const HEADING_FILL = 0.3;
const BOUNDARY_FILL = 0.5;

/**
 * Split a text into chunks: spans that together hold every character that is not white space, sorted, each starting
 * and ending behind the one before it, none longer than `chunkSize`, none without text. White space at the edges of a
 * chunk is left out, except the indentation of its first line.
 *
 * A chunk is filled as far as the limit allows and then cut at the best boundary in its second half: a heading, a
 * paragraph, a sentence (in code: a line), a word. Time is linear in the length of the text.
 */
export function* splitSpans(
  text: string,
  limits: SplitLimits,
  options: {
    readonly structure?: MarkdownStructure | undefined;
    readonly code?: boolean;
    /** Good places to cut that begin no section, such as declarations. */
    readonly cuts?: readonly Heading[];
  } = {},
): Generator<Span> {
  const structure = options.structure ?? { headings: [], blocks: [] };
  const { chunkSize } = limits;
  const window: Window = {
    text,
    limits,
    headings: options.cuts ?? structure.headings,
    // A block that does not fit must be cut somewhere, at its lines like code.
    whole: structure.blocks.filter((block) => block.end - block.start <= chunkSize),
    long: structure.blocks.filter((block) => block.end - block.start > chunkSize),
    order: options.code === true ? CODE : PROSE,
  };
  for (const section of topSections(text, structure.headings)) yield* splitSection(window, section);
}

interface Window {
  readonly text: string;
  readonly limits: SplitLimits;
  readonly headings: readonly Heading[];
  readonly whole: readonly Span[];
  readonly long: readonly Span[];
  readonly order: readonly Boundary[];
}

function* splitSection(window: Window, section: Span): Generator<Span> {
  const { text, limits } = window;
  const sectionEnd = endOfText(text, section.start, section.end);
  let from = section.start;
  let covered = section.start;
  let coveredText = section.start;
  while (covered < sectionEnd) {
    const firstCharacter = skipSpace(text, from);
    const start = withIndentation(text, from, firstCharacter, limits.chunkSize);
    const fits = sectionEnd - start <= limits.chunkSize;
    const cut = fits ? sectionEnd : chooseCut(window, start, Math.max(covered, firstCharacter));
    if (cut <= covered) {
      // Nothing but the overlap would fit in front of the next block: start again without it.
      from = covered;
      continue;
    }
    const end = endOfText(text, start, cut);
    if (end > coveredText) yield { start, end };
    coveredText = Math.max(coveredText, end);
    covered = cut;
    from = cut < sectionEnd ? overlapStart(window, start, cut) : cut;
  }
}

/** Where to end a chunk that starts at `start` and cannot hold all that follows; a result over `covered` is progress. */
function chooseCut(window: Window, start: number, covered: number): number {
  const { text, limits, headings, whole, long } = window;
  // White space at the limit costs nothing, as chunks are trimmed, and may complete a boundary.
  const full = skipSpace(text, start + limits.chunkSize);
  const around = spanAround(whole, full);
  const torn = around !== undefined && around.start > start ? around : undefined;
  const limit = torn?.start ?? full;
  const fill = (share: number): number => Math.max(covered, start + Math.floor(limits.chunkSize * share));

  const heading = headings[firstFrom(headings, limit + 1) - 1];
  if (heading !== undefined && heading.start > fill(HEADING_FILL)) return heading.start;

  const allowed = (position: number): boolean =>
    spanAround(whole, position) === undefined && !endsWithHeading(window, start, position);
  const order = spanAround(long, limit) === undefined ? window.order : CODE;
  // A paragraph in front of a code block mostly introduces it.
  const beforeProse = (position: number): boolean => allowed(position) && !startsBlock(window, position);
  const paragraph = lastBoundary(text, fill(BOUNDARY_FILL), limit, "paragraph", beforeProse);
  if (paragraph !== undefined) return paragraph;
  for (const kind of order) {
    const cut = lastBoundary(text, fill(BOUNDARY_FILL), limit, kind, allowed);
    if (cut !== undefined) return cut;
  }
  if (torn !== undefined) return limit;
  return lastBoundary(text, covered, limit, "word", allowed) ?? wholeCharacter(text, limit);
}

/** Where the chunk after a cut begins: at most `chunkOverlap` earlier, at a sentence or word, never above a heading. */
function overlapStart(window: Window, start: number, cut: number): number {
  const { text, limits, headings, whole } = window;
  const lastHeading = headings[firstFrom(headings, cut + 1) - 1]?.start ?? 0;
  const earliest = wholeCharacter(text, Math.max(start + 1, cut - limits.chunkOverlap, lastHeading));
  if (earliest >= cut || earliest <= start) return cut;
  const from = spanAround(whole, earliest)?.end ?? earliest;
  if (from >= cut) return cut;
  const best = window.order.find((kind) => kind === "sentence" || kind === "line");
  return (best && firstBoundary(text, from, cut, best)) ?? firstBoundary(text, from, cut, "word") ?? from;
}

/** Whether a chunk cut there would end with a heading, parted from what it heads. */
function endsWithHeading(window: Window, start: number, position: number): boolean {
  const heading = window.headings[firstFrom(window.headings, position) - 1];
  return heading !== undefined && heading.start >= start && endOfText(window.text, start, position) <= heading.end;
}

function startsBlock({ whole, long }: Window, position: number): boolean {
  return [whole, long].some((blocks) => blocks[firstFrom(blocks, position)]?.start === position);
}

/** The span with `start < position < end`, if any. */
function spanAround(sorted: readonly Span[], position: number): Span | undefined {
  const span = sorted[firstFrom(sorted, position) - 1];
  return span !== undefined && position < span.end ? span : undefined;
}

function skipSpace(text: string, from: number): number {
  let position = from;
  while (position < text.length && isSpace(text, position)) position += 1;
  return position;
}

/** The start of the line when only blanks lie in between, unless they would fill the chunk. */
function withIndentation(text: string, from: number, firstCharacter: number, chunkSize: number): number {
  const furthest = Math.max(from, firstCharacter - Math.floor(chunkSize / 4));
  let start = firstCharacter;
  while (start > furthest && /[ \t]/.test(text.charAt(start - 1))) start -= 1;
  return start === 0 || text.charAt(start - 1) === "\n" ? start : firstCharacter;
}

function endOfText(text: string, from: number, end: number): number {
  let last = end;
  while (last > from && isSpace(text, last - 1)) last -= 1;
  return last;
}

function isSpace(text: string, position: number): boolean {
  return /\s/.test(text.charAt(position));
}

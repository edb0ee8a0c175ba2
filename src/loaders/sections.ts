import type { Heading, Span } from "./markdown-structure.js";

/**
 * Cut a text at the headings that chunks must not cross: those of the top level and above it.
 *
 * The top level is the shallowest one with at least two headings, so that the single `# Title` of a page does not make
 * the page one section. A heading with nothing but headings between it and the section's start cuts nothing: `# Title`
 * followed by `## Install` begins the section of `Install`.
 *
 * @returns spans that follow each other without a gap and cover the whole text.
 */
export function topSections(text: string, headings: readonly Heading[]): Span[] {
  const top = [1, 2, 3, 4, 5, 6].find((level) => headings.filter((heading) => heading.level === level).length > 1);
  if (top === undefined) return [{ start: 0, end: text.length }];
  const starts = [0];
  let bodySeen = false;
  let behindHeading = 0;
  for (const heading of headings) {
    bodySeen ||= text.slice(behindHeading, heading.start).trim() !== "";
    behindHeading = heading.end;
    if (heading.level > top || !bodySeen) continue;
    starts.push(heading.start);
    bodySeen = false;
  }
  return starts.map((start, index) => ({ start, end: starts[index + 1] ?? text.length }));
}

/**
 * The headings under which the whole of a chunk stands, outermost first.
 *
 * Headings at the very start of the chunk count as its own; a heading further down belongs only to what follows it, so
 * the path shrinks to what both parts share.
 *
 * @param headings sorted by `start`.
 */
export function headingPath(text: string, headings: readonly Heading[], chunk: Span): string[] {
  let index = firstFrom(headings, chunk.start);
  let heading = headings[index - 1];
  let body = chunk.start;
  for (; index < headings.length; index += 1) {
    const next = headings[index]!;
    if (next.start >= chunk.end || text.slice(body, next.start).trim() !== "") break;
    heading = next;
    body = next.end;
  }
  let path = chainOf(heading);
  for (; index < headings.length && headings[index]!.start < chunk.end; index += 1) {
    const other = chainOf(headings[index]);
    path = path.filter((entry, depth) => other[depth] === entry);
  }
  return path.map((entry) => entry.title).filter((title) => title !== "");
}

function chainOf(heading: Heading | undefined): Heading[] {
  const chain: Heading[] = [];
  for (let entry = heading; entry !== undefined; entry = entry.parent) chain.unshift(entry);
  return chain;
}

/** Index of the first entry with `start >= position`; `sorted.length` when there is none. */
export function firstFrom(sorted: readonly Span[], position: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]!.start < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

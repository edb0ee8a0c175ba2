import { Document } from "@langchain/core/documents";
import type { PlacedChunk } from "../../store/neighbours.js";
import type { SearchHit } from "../../store/search-hit.js";

/** White space between two chunks of one text, at most; with more between them, something has been left out. */
const MAX_GAP = 200;
/** Characters that chunks without offsets repeat of the one before; fewer may be the same by chance. */
const OVERLAP = { least: 5, most: 400 };

/** The chunks of one place after the other, without a gap, that have the chunk of a hit among them. */
export type Run = readonly PlacedChunk[];

/**
 * Makes the first hits the passages that their runs add up to, `k` at most. A hit whose chunk is in a passage already adds
 * nothing; one whose run shares other chunks with a passage makes that one longer. A passage has the place and the figures
 * of its best hit. A hit without a run stays as it is.
 *
 * @param runOf the run of a hit, given the ids of the chunks that are in passages before.
 */
export function toPassages(
  hits: readonly SearchHit[],
  k: number,
  runOf: (hit: SearchHit, taken: ReadonlySet<string>) => Run,
): SearchHit[] {
  const passages: Passage[] = [];
  const taken = new Set<string>();
  for (const hit of hits) {
    if (taken.has(hit.document.id ?? "")) continue;
    if (passages.length >= k) break;
    const run = runOf(hit, taken);
    const meeting = passages.filter(({ chunks }) => run.some((chunk) => chunks.includes(chunk)));
    const [first, ...others] = meeting;
    const chunks = new Set([...meeting.flatMap((passage) => passage.chunks), ...run]);
    const passage = { hit: first?.hit ?? hit, chunks: [...chunks].sort((x, y) => x.place - y.place) };
    if (first === undefined) passages.push(passage);
    else passages[passages.indexOf(first)] = passage;
    for (const other of others) passages.splice(passages.indexOf(other), 1);
    for (const { document } of run) taken.add(document.id!);
  }
  return passages.map(({ hit, chunks }) => (chunks.length === 0 ? hit : toPassage(hit, chunks)));
}

interface Passage {
  readonly hit: SearchHit;
  readonly chunks: readonly PlacedChunk[];
}

/** The run around the chunk with this id, as far as chunks follow each other and `most` characters last. */
export function runAround(id: string | undefined, chunks: readonly PlacedChunk[], most = Infinity): Run {
  const own = chunks.findIndex(({ document }) => document.id === id);
  if (own === -1) return [];
  let [first, last] = [own, own];
  let length = chunks[own]!.document.pageContent.length;
  const fits = (index: number, beside: number): boolean => {
    const chunk = chunks[index];
    if (chunk === undefined) return false;
    const [a, b] = index < beside ? [chunk, chunks[beside]!] : [chunks[beside]!, chunk];
    if (!follows(a, b) || length + chunk.document.pageContent.length > most) return false;
    length += chunk.document.pageContent.length;
    return true;
  };
  for (let grown = true; grown;) {
    const [before, after] = [fits(first - 1, first), fits(last + 1, last)];
    first -= before ? 1 : 0;
    last += after ? 1 : 0;
    grown = before || after;
  }
  return chunks.slice(first, last + 1);
}

/** Whether two chunks stand under the same headings. */
export function sameSection(a: Document, b: Document): boolean {
  return JSON.stringify(a.metadata["headings"]) === JSON.stringify(b.metadata["headings"]);
}

/** Whether `b` is the chunk behind `a` in one text, with nothing left out between them. */
function follows(a: PlacedChunk, b: PlacedChunk): boolean {
  if (a.sequence !== b.sequence || b.place !== a.place + 1) return false;
  const [left, right] = [offsetOf(a.document), offsetOf(b.document)];
  return left === undefined || right === undefined || right.start - left.end <= MAX_GAP;
}

function toPassage(hit: SearchHit, run: Run): SearchHit {
  const documents = run.map(({ document }) => document);
  const { id, metadata } = hit.document;
  const parts = documents.map((document) => document.id!);
  // A reranker may have shortened the text of a hit that stands alone.
  if (documents.length === 1) return { ...hit, parts };
  const offsets = documents.map(offsetOf);
  const lines = documents.map(linesOf).filter((range) => range !== undefined);
  const { headings: _, offset: __, ...rest } = metadata;
  const headings = documents.map((document) => titlesOf(document)).reduce(sharedBeginning);
  const loc = metadata["loc"] as Record<string, unknown> | undefined;
  return {
    ...hit,
    document: new Document({
      ...(id !== undefined && { id }),
      pageContent: joinTexts(documents),
      metadata: {
        ...rest,
        ...(lines.length > 0 && {
          loc: {
            ...loc,
            lines: { from: Math.min(...lines.map(({ from }) => from)), to: Math.max(...lines.map(({ to }) => to)) },
          },
        }),
        ...(offsets.every((offset) => offset !== undefined) && {
          offset: { start: offsets[0]!.start, end: Math.max(...offsets.map((offset) => offset.end)) },
        }),
        ...(headings.length > 0 && { headings }),
      },
    }),
    parts,
  };
}

/** The text that the chunks were cut from; the white space that was trimmed between two of them has its length and lines. */
function joinTexts(documents: readonly Document[]): string {
  let text = documents[0]!.pageContent;
  let end = offsetOf(documents[0]!)?.end;
  let line = linesOf(documents[0]!)?.to;
  for (const document of documents.slice(1)) {
    const next = document.pageContent;
    const offset = offsetOf(document);
    const lines = linesOf(document);
    const gap = offset === undefined || end === undefined ? undefined : offset.start - end;
    if (gap === undefined) {
      const overlap = overlapOf(text, next);
      text += overlap === 0 ? `\n${next}` : next.slice(overlap);
    } else if (gap <= 0) {
      text += next.slice(-gap);
    } else {
      const breaks = Math.min(gap, lines === undefined || line === undefined ? 0 : Math.max(0, lines.from - line));
      text += `${"\n".repeat(breaks).padEnd(gap, " ")}${next}`;
    }
    end = offset && Math.max(end ?? 0, offset.end);
    line = lines && Math.max(line ?? 0, lines.to);
  }
  return text;
}

/** Length of the longest end of `a`, of whole words, that `b` begins with. */
function overlapOf(a: string, b: string): number {
  for (let length = Math.min(OVERLAP.most, a.length, b.length); length >= OVERLAP.least; length -= 1) {
    if (a.endsWith(b.slice(0, length)) && !/[\p{L}\p{N}]/u.test(a.at(-length - 1) ?? "")) return length;
  }
  return 0;
}

/** Where the chunk was cut from its text; `undefined` where the loader did not say, or the text is no longer that. */
function offsetOf({ metadata, pageContent }: Document): { start: number; end: number } | undefined {
  const { start, end } = (metadata["offset"] ?? {}) as Record<string, unknown>;
  if (typeof start !== "number" || typeof end !== "number" || end - start !== pageContent.length) return undefined;
  return { start, end };
}

function linesOf({ metadata }: Document): { from: number; to: number } | undefined {
  const { lines } = (metadata["loc"] ?? {}) as { lines?: Record<string, unknown> };
  const { from, to } = lines ?? {};
  return typeof from === "number" && typeof to === "number" ? { from, to } : undefined;
}

function titlesOf({ metadata }: Document): unknown[] {
  const titles: unknown = metadata["headings"];
  return Array.isArray(titles) ? titles : [];
}

function sharedBeginning(a: readonly unknown[], b: readonly unknown[]): unknown[] {
  const differs = a.findIndex((title, index) => title !== b[index]);
  return differs === -1 ? [...a] : a.slice(0, differs);
}

import type { DocumentInterface } from "@langchain/core/documents";

/** A place in a retrieved chunk that supports the answer. */
export interface Citation {
  /** Number of the passage as the answer writes it (`[2]`): its position in `context`, from 1. */
  index: number;
  /** Verbatim substring of the chunk: `context[index - 1].pageContent.slice(start, end) === quote`. */
  quote: string;
  /** Offset of the quote in the chunk, in UTF-16 code units. */
  start: number;
  /** Offset just after the quote. */
  end: number;
  /** File, URL or other origin, from `metadata.source`. */
  source?: string;
  /** Page from 1, from `metadata.loc.pageNumber`. */
  page?: number;
  /** Lines of the source that the quote itself covers, from 1 and inclusive, from `metadata.loc.lines`. */
  lines?: { from: number; to: number };
  /** `Document.id` of the chunk. */
  documentId?: string;
}

/** A half-open range of UTF-16 code units in a chunk. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Builds the citation of `document.pageContent.slice(start, end)`; `index` counts passages from 1. */
export function citationOf(document: DocumentInterface, index: number, { start, end }: Span): Citation {
  const { pageContent, id } = document;
  const metadata = asRecord(document.metadata);
  const loc = asRecord(metadata["loc"]);
  const citation: Citation = { index, quote: pageContent.slice(start, end), start, end };
  if (typeof metadata["source"] === "string") citation.source = metadata["source"];
  if (typeof loc["pageNumber"] === "number") citation.page = loc["pageNumber"];
  const lines = linesOf(asRecord(loc["lines"]), pageContent, start, end);
  if (lines) citation.lines = lines;
  if (id !== undefined) citation.documentId = id;
  return citation;
}

/** Writes where a citation points to, for people: `guide.md, lines 10-14` or `paper.pdf, page 3`. */
export function formatCitation(citation: Pick<Citation, "index" | "source" | "page" | "lines">): string {
  const parts = [citation.source ?? `passage ${citation.index}`];
  if (citation.page !== undefined) parts.push(`page ${citation.page}`);
  if (citation.lines) {
    const { from, to } = citation.lines;
    parts.push(from === to ? `line ${from}` : `lines ${from}-${to}`);
  }
  return parts.join(", ");
}

function linesOf(
  lines: Record<string, unknown>,
  chunk: string,
  start: number,
  end: number,
): { from: number; to: number } | undefined {
  const { from, to } = lines;
  if (typeof from !== "number" || typeof to !== "number") return undefined;
  const first = from + countNewlines(chunk, 0, start);
  const last = first + countNewlines(chunk, start, end);
  // A chunk whose text is not its lines (joined, rewritten) cannot be counted in; its whole range is still true.
  return last <= to ? { from: first, to: last } : { from, to };
}

function countNewlines(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf("\n", from); at !== -1 && at < to; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

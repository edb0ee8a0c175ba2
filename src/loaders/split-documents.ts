import { Document } from "@langchain/core/documents";
import { ConfigurationError } from "../errors.js";
import { withChunkIds } from "./chunk-id.js";
import { formatOf } from "./formats.js";
import { scanMarkdown } from "./markdown-structure.js";
import { headingPath } from "./sections.js";
import { splitSpans, type SplitLimits } from "./split-spans.js";

export interface SplitOptions {
  /** Most characters (UTF-16 code units) of a chunk. @defaultValue 1000 */
  readonly chunkSize?: number;
  /** Most characters that a chunk repeats from the one before it. @defaultValue 100, or less for a small `chunkSize` */
  readonly chunkOverlap?: number;
}

/** The metadata that `splitDocuments` adds to that of the document. */
export interface ChunkMetadata {
  /** LangChain's convention: lines of the document's text, from 1, both inclusive, and the page of a PDF file. */
  readonly loc: { readonly lines: { readonly from: number; readonly to: number }; readonly pageNumber?: number };
  /** UTF-16 code units in the document's text: `text.slice(start, end)` is the chunk, exactly. */
  readonly offset: { readonly start: number; readonly end: number };
  /** Titles of the headings above the whole chunk, outermost first; absent where there are none. */
  readonly headings?: readonly string[];
}

const CHUNK_SIZE = 1000;
const CHUNK_OVERLAP = 100;
const NEWLINE = 10;

/**
 * Split documents into chunks that know where they come from, one document at a time and in order.
 *
 * Positions refer to the text as loaded: a page of a PDF file, the text of an HTML page, a file with its own line ends
 * (so `\r\n` counts as two characters and one line). Markdown and HTML are split at their headings, and code blocks
 * stay whole when they fit. Chunks are trimmed and never empty; their ids are those of `chunkId`.
 *
 * @example
 * ```ts
 * for await (const chunk of splitDocuments(loadDocuments("docs"), { chunkSize: 800 })) {
 *   console.log(chunk.id, chunk.metadata.source, chunk.metadata.loc.lines.from);
 * }
 * ```
 *
 * @throws ConfigurationError when `chunkSize` is no integer over 1, or `chunkOverlap` none from 0 to below `chunkSize`.
 */
export function splitDocuments(
  documents: AsyncIterable<Document> | Iterable<Document>,
  options: SplitOptions = {},
): AsyncIterable<Document> {
  return withChunkIds(chunksOf(documents, checkOptions(options)));
}

export function checkOptions({ chunkSize = CHUNK_SIZE, chunkOverlap }: SplitOptions): SplitLimits {
  if (!Number.isSafeInteger(chunkSize) || chunkSize < 2) {
    throw new ConfigurationError(`chunkSize must be an integer of at least 2 characters, not ${String(chunkSize)}.`);
  }
  const overlap = chunkOverlap ?? Math.min(CHUNK_OVERLAP, Math.floor(chunkSize / 10));
  if (!Number.isSafeInteger(overlap) || overlap < 0 || overlap >= chunkSize) {
    const message = `chunkOverlap must be an integer from 0 to below chunkSize (${chunkSize}), not ${String(overlap)}.`;
    throw new ConfigurationError(message);
  }
  return { chunkSize, chunkOverlap: overlap };
}

async function* chunksOf(
  documents: AsyncIterable<Document> | Iterable<Document>,
  limits: SplitLimits,
): AsyncIterable<Document> {
  for await (const document of documents) yield* chunksOfOne(document, limits);
}

function* chunksOfOne(document: Document, limits: SplitLimits): Generator<Document> {
  const text = document.pageContent;
  const metadata = document.metadata as Readonly<Record<string, unknown>>;
  const format = formatName(metadata);
  const structure = format === "markdown" || format === "html" ? scanMarkdown(text) : undefined;
  const loc = isRecord(metadata["loc"]) ? metadata["loc"] : {};
  let line = 1;
  let counted = 0;
  for (const { start, end } of splitSpans(text, limits, { structure, code: format === "code" })) {
    line += newlines(text, counted, start);
    counted = start;
    const headings = structure === undefined ? [] : headingPath(text, structure.headings, { start, end });
    yield new Document({
      pageContent: text.slice(start, end),
      metadata: {
        ...metadata,
        loc: { ...loc, lines: { from: line, to: line + newlines(text, start, end) } },
        offset: { start, end },
        ...(headings.length > 0 ? { headings } : {}),
      },
    });
  }
}

/** Documents of other loaders have no `format`; the name of their source tells as much. */
function formatName(metadata: Readonly<Record<string, unknown>>): unknown {
  const { format, source } = metadata;
  return format ?? (typeof source === "string" ? formatOf(source) : undefined);
}

function newlines(text: string, start: number, end: number): number {
  let count = 0;
  // Not indexOf, which would search a file without line ends to its end for every chunk.
  for (let at = start; at < end; at += 1) if (text.charCodeAt(at) === NEWLINE) count += 1;
  return count;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

import { Document } from "@langchain/core/documents";
import { withChunkIds } from "./chunk-id.js";
import { formatOf } from "./formats.js";
import { scanMarkdown, type MarkdownStructure, type Span } from "./markdown-structure.js";
import { headingPath } from "./sections.js";
import { splitSpans } from "./split-spans.js";
import { declarations } from "./splitters/declarations.js";
import { resolveSplit, type ResolvedSplit, type SplitOptions } from "./splitters/options.js";
import { sentenceSpans } from "./splitters/sentence-spans.js";
import { loadTokenizer, tokenSpans } from "./splitters/token-spans.js";

/** The metadata that `splitDocuments` adds to that of the document. */
export interface ChunkMetadata {
  /** LangChain's convention: lines of the document's text, from 1, both inclusive, and the page of a PDF file. */
  readonly loc: { readonly lines: { readonly from: number; readonly to: number }; readonly pageNumber?: number };
  /** UTF-16 code units in the document's text: `text.slice(start, end)` is the chunk, exactly. */
  readonly offset: Span;
  /** Titles of the headings above the whole chunk, outermost first; absent where there are none. */
  readonly headings?: readonly string[];
  /** Cells of the first row of the table that the chunk begins in, when that row is not in the chunk. */
  readonly tableHeader?: readonly string[];
  /** `"sentence-window"`: where the window around the sentence lies, as `offset` does. */
  readonly window?: Span;
  /** `"parent-child"`: the id that `splitDocuments` gives to the parent when it splits by `parentChunkSize` alone. */
  readonly parentId?: string;
  /** `"parent-child"`: where the parent lies, as `offset` does. */
  readonly parent?: Span;
}

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
 * @throws ConfigurationError when the options cannot work together.
 */
export function splitDocuments(
  documents: AsyncIterable<Document> | Iterable<Document>,
  options: SplitOptions = {},
): AsyncIterable<Document> {
  const split = resolveSplit(options);
  return withChunkIds(split.splitter === "parent-child" ? childrenOf(documents, split) : chunksOf(documents, split));
}

async function* chunksOf(
  documents: AsyncIterable<Document> | Iterable<Document>,
  split: ResolvedSplit,
): AsyncIterable<Document> {
  const tokenizer = split.splitter === "token" ? await loadTokenizer() : undefined;
  for await (const document of documents) {
    const text = document.pageContent;
    const shape = shapeOf(document, split);
    const spans =
      tokenizer !== undefined
        ? tokenSpans(text, split, tokenizer)
        : split.splitter === "sentence-window"
          ? sentenceSpans(text, split.chunkSize, split.windowSentences)
          : splitSpans(text, split, shape);
    yield* toChunks(document, spans, shape.structure);
  }
}

/** Parents are cut as always, without overlap; children within each of them. */
async function* childrenOf(
  documents: AsyncIterable<Document> | Iterable<Document>,
  split: ResolvedSplit,
): AsyncIterable<Document> {
  const parents = splitDocuments(documents, { chunkSize: split.parentChunkSize, chunkOverlap: 0 });
  for await (const parent of parents) {
    const { loc, offset, headings = [] } = parent.metadata as unknown as ChunkMetadata;
    const shape = shapeOf(parent, { ...split, splitter: "auto" });
    for (const child of toChunks(parent, splitSpans(parent.pageContent, split, shape), shape.structure)) {
      const own = child.metadata as unknown as ChunkMetadata;
      const path = joinPaths(headings, own.headings === headings ? [] : (own.headings ?? []));
      child.metadata = {
        ...child.metadata,
        loc: {
          ...own.loc,
          lines: { from: own.loc.lines.from + loc.lines.from - 1, to: own.loc.lines.to + loc.lines.from - 1 },
        },
        offset: { start: own.offset.start + offset.start, end: own.offset.end + offset.start },
        ...(path.length > 0 && { headings: path }),
        parentId: parent.id,
        parent: offset,
      };
      yield child;
    }
  }
}

/** The path of a child from its parent's and from the headings within the parent above it, which may repeat the last. */
function joinPaths(outer: readonly string[], inner: readonly string[]): readonly string[] {
  const shared = inner[0] === undefined ? -1 : outer.lastIndexOf(inner[0]);
  return shared === -1 ? [...outer, ...inner] : [...outer.slice(0, shared), ...inner];
}

/** What is known of a text before it is cut. */
function shapeOf(
  document: Document,
  { splitter }: ResolvedSplit,
): { structure?: MarkdownStructure; code?: boolean; cuts?: MarkdownStructure["headings"] } {
  const format = formatName(document.metadata);
  const marked =
    format === "markdown" || format === "html" || format === "docx" || format === "epub" || format === "pptx";
  if (splitter === "recursive") return {};
  if (splitter === "markdown") return { structure: scanMarkdown(document.pageContent) };
  if (splitter === "code" || (splitter === "auto" && format === "code")) {
    return { code: true, cuts: declarations(document.pageContent, String(document.metadata["source"] ?? "")) };
  }
  return marked ? { structure: scanMarkdown(document.pageContent) } : {};
}

function* toChunks(
  document: Document,
  spans: Iterable<Span & { readonly window?: Span }>,
  structure: MarkdownStructure | undefined,
): Generator<Document> {
  const text = document.pageContent;
  const metadata = document.metadata as Readonly<Record<string, unknown>>;
  const loc = isRecord(metadata["loc"]) ? metadata["loc"] : {};
  let line = 1;
  let counted = 0;
  for (const { start, end, window } of spans) {
    // Backwards over what a chunk repeats, if a splitter goes back that far.
    line += start >= counted ? newlines(text, counted, start) : -newlines(text, start, counted);
    counted = start;
    const headings = structure === undefined ? [] : headingPath(text, structure.headings, { start, end });
    const tableHeader = structure === undefined ? undefined : headerAbove(text, start);
    yield new Document({
      pageContent: text.slice(start, end),
      metadata: {
        ...metadata,
        loc: { ...loc, lines: { from: line, to: line + newlines(text, start, end) } },
        offset: { start, end },
        ...(headings.length > 0 ? { headings } : {}),
        ...(tableHeader === undefined ? {} : { tableHeader }),
        ...(window === undefined ? {} : { window }),
      },
    });
  }
}

/** Lines that are looked through for the beginning of a table. */
const TABLE_LINES = 400;
const ROW = /\S[ \t]*\|[ \t]*\S/;

/** The first row of a table, when the text at `start` is a later one. */
function headerAbove(text: string, start: number): string[] | undefined {
  let header: string | undefined;
  const lineEnd = text.indexOf("\n", start);
  if (!ROW.test(text.slice(start, lineEnd === -1 ? text.length : lineEnd))) return undefined;
  let end = text.lastIndexOf("\n", start - 1);
  for (let count = 0; end > 0 && count < TABLE_LINES; count += 1) {
    const from = text.lastIndexOf("\n", end - 1) + 1;
    const row = text.slice(from, end);
    if (!ROW.test(row)) break;
    header = row;
    end = from - 1;
  }
  return header
    ?.replace(/^\s*\||\|\s*$/g, "")
    .split("|")
    .map((cell) => cell.trim());
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

import { Document } from "@langchain/core/documents";
import { LoadError } from "../errors.js";
import { decodeText, looksBinary, type DecodedText } from "./decode-text.js";
import { markdownTitle } from "./markdown-structure.js";
import { readDocx } from "./readers/docx.js";
import { readEpub } from "./readers/epub.js";
import { readFrontMatter } from "./readers/front-matter.js";
import { readHtml } from "./readers/html.js";
import { readPdf } from "./readers/pdf.js";
import { readPptx } from "./readers/pptx.js";
import type { RawSource, ReadOptions, Reading } from "./readers/reading.js";
import { readJson, readJsonLines, readTable } from "./readers/records.js";
import { readSubtitles } from "./readers/subtitles.js";

export interface ParsedSource {
  readonly documents: Document[];
  /** What had to be assumed or left out, as sentences that name the source. */
  readonly notes: readonly string[];
}

/** Formats that are archives or binary; all others are text. */
const BINARY = { pdf: "PDF", docx: "a Word file", pptx: "a PowerPoint file", epub: "an EPUB book" } as const;

/**
 * Turns the bytes of a source into documents: one per page, slide, chapter, row or group of subtitles where there are
 * such parts, else one; none when there is nothing but white space.
 *
 * @throws LoadError when the source is damaged, encrypted, binary where text is due, a PDF without text, or would unpack
 * to more than the limit.
 */
export async function parseSource(raw: RawSource, options: ReadOptions): Promise<ParsedSource> {
  if (raw.bytes.length === 0) return { documents: [], notes: [] };
  const { parts, metadata = {}, notes = [] } = await read(raw, options);
  const documents = parts
    .filter(({ text }) => text.trim() !== "")
    .map(
      (part) =>
        new Document({
          pageContent: part.text,
          metadata: { source: raw.source, format: raw.format, ...metadata, ...part.metadata },
        }),
    );
  return { documents, notes };
}

async function read(raw: RawSource, options: ReadOptions): Promise<Reading> {
  if (raw.format in BINARY) return readBinary(raw, raw.format as keyof typeof BINARY, options);
  if (looksBinary(raw.bytes)) {
    throw new LoadError(
      `"${raw.source}" holds binary data, not text; rename it if the extension is wrong.`,
      raw.source,
    );
  }
  const charset = raw.charset ?? (raw.format === "html" ? declaredCharset(raw.bytes) : undefined);
  const decoded = decodeText(raw.bytes, charset);
  const { parts, metadata, notes = [] } = readText(raw, decoded.text, options);
  return {
    parts,
    metadata: { ...metadata, ...(decoded.encoding !== undefined && { encoding: decoded.encoding }) },
    notes: [...encodingNotes(raw.source, decoded), ...notes],
  };
}

async function readBinary(raw: RawSource, format: keyof typeof BINARY, options: ReadOptions): Promise<Reading> {
  const readers = { pdf: () => readPdfPages(raw), docx: readDocx, pptx: readPptx, epub: readEpub };
  try {
    return await readers[format](raw, options);
  } catch (error) {
    if (error instanceof LoadError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoadError(`"${raw.source}" cannot be read as ${BINARY[format]}: ${reason}`, raw.source, { cause: error });
  }
}

async function readPdfPages(raw: RawSource): Promise<Reading> {
  const { pages, totalPages, title } = await readPdf(raw.bytes);
  if (pages.length === 0) {
    throw new LoadError(`"${raw.source}" holds no text, only images perhaps; run OCR on it first.`, raw.source);
  }
  return {
    parts: pages.map(({ text, pageNumber }) => ({ text, metadata: { loc: { pageNumber } } })),
    metadata: { ...(title !== undefined && { title }), pdf: { totalPages } },
  };
}

function readText(raw: RawSource, text: string, { records }: ReadOptions): Reading {
  switch (raw.format) {
    case "markdown":
      return readMarkdown(raw, text);
    case "html":
      return readPage(raw, text);
    case "table":
      return readTable(raw, text, records);
    case "jsonl":
      return readJsonLines(raw, text, records);
    case "json":
      return readJson(raw, text, records);
    case "subtitles":
      return readSubtitles(raw, text);
    default:
      return { parts: [{ text }] };
  }
}

function readMarkdown(raw: RawSource, text: string): Reading {
  const title = markdownTitle(text);
  const titled = title === undefined ? {} : { title };
  try {
    const frontMatter = readFrontMatter(text);
    return { parts: [{ text }], metadata: { ...titled, ...(frontMatter !== undefined && { frontMatter }) } };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    return {
      parts: [{ text }],
      metadata: titled,
      notes: [`The front matter of "${raw.source}" was left out: ${reason}.`],
    };
  }
}

function readPage(raw: RawSource, html: string): Reading {
  try {
    const { text, title } = readHtml(html);
    return { parts: [{ text }], metadata: title === undefined ? {} : { title } };
  } catch (error) {
    throw new LoadError(`"${raw.source}" cannot be read as HTML; its elements may nest too deeply.`, raw.source, {
      cause: error,
    });
  }
}

/** The character set that a page names at its beginning. */
function declaredCharset(bytes: Buffer): string | undefined {
  return /<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)/i.exec(bytes.toString("latin1", 0, 2_048))?.[1];
}

function encodingNotes(source: string, { encoding, replaced }: DecodedText): string[] {
  if (replaced !== undefined) {
    return [`"${source}" is UTF-8 with ${replaced} invalid ${replaced === 1 ? "byte" : "bytes"}, read as U+FFFD.`];
  }
  if (encoding === undefined || encoding.startsWith("utf-16")) return [];
  return [`"${source}" is not valid UTF-8; it was read as ${encoding}.`];
}

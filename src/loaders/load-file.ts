import { readFile, stat } from "node:fs/promises";
import { Document } from "@langchain/core/documents";
import { LoadError } from "../errors.js";
import { decodeText, looksBinary } from "./decode-text.js";
import type { DocumentFormat } from "./formats.js";
import { markdownTitle } from "./markdown-structure.js";
import { readHtml } from "./read-html.js";
import { readPdf } from "./read-pdf.js";

export interface FileToLoad {
  /** Absolute path. */
  readonly path: string;
  /** What goes into `metadata.source` and into messages. */
  readonly source: string;
  readonly format: DocumentFormat;
  readonly maxFileBytes: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Load one file: a document per page of a PDF file, one document otherwise, none when there is nothing but white space.
 *
 * @throws LoadError when the file is too large, unreadable, damaged, binary, or a PDF without text.
 * @throws the signal's reason when it is aborted.
 */
export async function loadFile(file: FileToLoad): Promise<Document[]> {
  const bytes = await readBytes(file);
  if (file.format === "pdf") return loadPdf(file, bytes);
  if (looksBinary(bytes)) {
    throw new LoadError(
      `"${file.source}" holds binary data, not text; rename it if the extension is wrong.`,
      file.source,
    );
  }
  const { text, encoding } = decodeText(bytes);
  const { pageContent, title } = render(file, text);
  if (pageContent.trim() === "") return [];
  const metadata = {
    source: file.source,
    format: file.format,
    ...(title === undefined ? {} : { title }),
    ...(encoding === undefined ? {} : { encoding }),
  };
  return [new Document({ pageContent, metadata })];
}

function render(file: FileToLoad, text: string): { pageContent: string; title?: string | undefined } {
  if (file.format === "markdown") return { pageContent: text, title: markdownTitle(text) };
  if (file.format !== "html") return { pageContent: text };
  try {
    const page = readHtml(text);
    return { pageContent: page.text, title: page.title };
  } catch (error) {
    throw new LoadError(`"${file.source}" cannot be read as HTML; its elements may nest too deeply.`, file.source, {
      cause: error,
    });
  }
}

async function loadPdf(file: FileToLoad, bytes: Uint8Array<ArrayBuffer>): Promise<Document[]> {
  const pdf = await readPdf(bytes).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoadError(`"${file.source}" cannot be read as PDF: ${reason}`, file.source, { cause: error });
  });
  file.signal?.throwIfAborted();
  if (pdf.pages.length === 0) {
    throw new LoadError(`"${file.source}" holds no text, only images perhaps; run OCR on it first.`, file.source);
  }
  return pdf.pages.map(
    ({ text, pageNumber }) =>
      new Document({
        pageContent: text,
        metadata: {
          source: file.source,
          format: file.format,
          ...(pdf.title === undefined ? {} : { title: pdf.title }),
          pdf: { totalPages: pdf.totalPages },
          loc: { pageNumber },
        },
      }),
  );
}

async function readBytes(file: FileToLoad): Promise<Buffer<ArrayBuffer>> {
  try {
    const { size } = await stat(file.path);
    if (size > file.maxFileBytes) {
      const message = `"${file.source}" has ${size} bytes, more than maxFileBytes (${file.maxFileBytes}); raise it or split the file.`;
      throw new LoadError(message, file.source);
    }
    return await readFile(file.path, file.signal === undefined ? {} : { signal: file.signal });
  } catch (error) {
    if (error instanceof LoadError) throw error;
    file.signal?.throwIfAborted();
    throw new LoadError(`"${file.source}" cannot be read; check that it exists and its permissions.`, file.source, {
      cause: error,
    });
  }
}

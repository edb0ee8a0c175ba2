import { resolve } from "node:path";
import type { Readable } from "node:stream";
import type { Document } from "@langchain/core/documents";
import { ConfigurationError, LoadError } from "../errors.js";
import type { UrlOptions } from "./fetch-url.js";
import { findSources, type FoundSource } from "./find-sources.js";
import { DOCUMENT_FORMATS, type DocumentFormat } from "./formats.js";
import { parseSource } from "./parse-source.js";
import { readSource, type ReadLimits } from "./read-source.js";
import type { ReadOptions } from "./readers/reading.js";
import type { RecordOptions } from "./readers/records.js";

/** A source that was left out although its format is supported. */
export interface SkippedFile {
  /** As it would have stood in `metadata.source`. */
  readonly source: string;
  readonly error: LoadError;
}

/** Something about a source that was read all the same. */
export interface LoadNote {
  readonly source: string;
  /** A sentence that names the source, such as that it is not valid UTF-8. */
  readonly message: string;
}

/** What a run of `loadDocuments` did, given to `onDone`. */
export interface LoadSummary {
  /** Sources that were read, those without any text included. */
  readonly files: number;
  readonly documents: number;
  /** Sources reported to `onSkip`. */
  readonly skipped: number;
  /** Files in folders and patterns whose format is not supported: number by extension, `""` for none. */
  readonly unsupported: Readonly<Record<string, number>>;
}

export interface LoadOptions {
  /** Larger sources are not read. @defaultValue 52_428_800 (50 MiB) */
  readonly maxFileBytes?: number;
  /** What the entries of a DOCX, PPTX or EPUB file may unpack to together. @defaultValue 209_715_200 (200 MiB) */
  readonly maxUnpackedBytes?: number;
  /**
   * What happens at a source that cannot be loaded: `"fail"` throws, `"skip"` reports it to `onSkip` and goes on. A path
   * that does not exist and a pattern without matches always throw, before anything is loaded.
   * @defaultValue `"fail"` for one that was named itself, `"skip"` for a file found in a folder or by a pattern
   */
  readonly onError?: "fail" | "skip";
  /** Called for each source that is left out: damaged, unreadable, too large, a symbolic link in a folder. */
  readonly onSkip?: (skipped: SkippedFile) => void;
  /** Called for each thing that had to be assumed, such as an encoding. */
  readonly onNote?: (note: LoadNote) => void;
  /** Called once, after the last document was taken; not when the caller stops early. */
  readonly onDone?: (summary: LoadSummary) => void;
  /** How to read standard input, and files whose name does not say. @defaultValue `"text"` for standard input */
  readonly format?: DocumentFormat;
  /** How rows of CSV files and JSON records become documents. */
  readonly records?: RecordOptions;
  /** Which web addresses may be read, and for how long. */
  readonly url?: UrlOptions;
  /** What the source `-` reads. @defaultValue `process.stdin` */
  readonly stdin?: Readable;
  /** Checked before each source and during reads. A PDF file that is being parsed is finished first. */
  readonly signal?: AbortSignal;
  /** Folder that relative paths start from, and that `metadata.source` is relative to. @defaultValue the current directory */
  readonly cwd?: string;
}

const MAX_FILE_BYTES = 50 * 1024 * 1024;
const MAX_UNPACKED_BYTES = 200 * 1024 * 1024;

/**
 * Load files, folders (recursively), glob patterns, web pages (`https://...`) and standard input (`-`) as LangChain
 * documents, one source at a time: a document per page of a PDF file, per slide, chapter, table row or JSON record, one
 * per file otherwise.
 *
 * Metadata: `source` (path relative to `cwd` when below it, else absolute, always with `/`; a URL; `stdin`), `format`, and
 * what the format knows, such as `title`, `loc.pageNumber`, `frontMatter`, `row`, `fields`, `encoding` (when not UTF-8).
 * Line ends are kept as they are.
 *
 * @example
 * ```ts
 * for await (const document of loadDocuments(["README.md", "docs", "https://example.com/guide.html"])) {
 *   console.log(document.metadata.source, document.pageContent.length);
 * }
 * ```
 *
 * @throws LoadError when a path does not exist, a pattern matches nothing, a file named itself has no supported format,
 * or a source cannot be loaded and `onError` says `"fail"`.
 * @throws ConfigurationError for options that cannot work.
 * @throws the signal's reason when it is aborted.
 */
export async function* loadDocuments(source: string | string[], options: LoadOptions = {}): AsyncIterable<Document> {
  const { onError, onSkip, onNote, onDone, signal } = options;
  const { cwd, read, parse } = resolveLoading(options);
  signal?.throwIfAborted();
  const found = await findSources(typeof source === "string" ? [source] : source, cwd, options.format);
  if (found.missing[0] !== undefined) throw found.missing[0].error;
  const summary = { files: 0, documents: 0, skipped: found.links.length, unsupported: found.unsupported };
  for (const link of found.links) onSkip?.(link);
  for (const each of found.sources) {
    signal?.throwIfAborted();
    let documents: Document[];
    try {
      const raw = await readSource(each, read);
      const parsed = await parseSource(raw, parse);
      for (const message of parsed.notes) onNote?.({ source: each.name, message });
      documents = parsed.documents;
    } catch (error) {
      if (!(error instanceof LoadError) || failsAt(each, onError)) throw error;
      summary.skipped += 1;
      onSkip?.({ source: each.name, error });
      continue;
    }
    summary.files += 1;
    summary.documents += documents.length;
    yield* documents;
  }
  onDone?.(summary);
}

/** The options in the shape that reading and parsing want. @throws ConfigurationError for those that cannot work. */
export function resolveLoading(options: LoadOptions): { cwd: string; read: ReadLimits; parse: ReadOptions } {
  const { format, signal } = options;
  if (format !== undefined && !DOCUMENT_FORMATS.includes(format)) {
    throw new ConfigurationError(
      `format must be one of ${DOCUMENT_FORMATS.join(", ")}, not ${JSON.stringify(format)}.`,
    );
  }
  return {
    cwd: resolve(options.cwd ?? "."),
    read: {
      maxFileBytes: bytes("maxFileBytes", options.maxFileBytes, MAX_FILE_BYTES),
      url: options.url ?? {},
      format,
      stdin: options.stdin ?? process.stdin,
      signal,
    },
    parse: {
      maxUnpackedBytes: bytes("maxUnpackedBytes", options.maxUnpackedBytes, MAX_UNPACKED_BYTES),
      records: options.records,
    },
  };
}

function bytes(name: string, value: number | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  if (value > 0) return value;
  throw new ConfigurationError(`${name} must be a positive number of bytes, not ${String(value)}.`);
}

function failsAt(source: FoundSource, onError: LoadOptions["onError"]): boolean {
  return (onError ?? (source.explicit ? "fail" : "skip")) === "fail";
}

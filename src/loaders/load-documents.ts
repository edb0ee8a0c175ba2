import { isAbsolute, relative, resolve, sep } from "node:path";
import type { Document } from "@langchain/core/documents";
import { ConfigurationError, LoadError } from "../errors.js";
import { findFiles, type FoundFile } from "./find-files.js";
import { formatOf, SUPPORTED_EXTENSIONS } from "./formats.js";
import { loadFile } from "./load-file.js";

/** A file that was left out although its format is supported. */
export interface SkippedFile {
  /** As it would have stood in `metadata.source`. */
  readonly source: string;
  readonly error: LoadError;
}

/** What a run of `loadDocuments` did, given to `onDone`. */
export interface LoadSummary {
  /** Files that were read, those without any text included. */
  readonly files: number;
  readonly documents: number;
  /** Files reported to `onSkip`. */
  readonly skipped: number;
  /** Files in folders and patterns whose format is not supported: number by extension, `""` for none. */
  readonly unsupported: Readonly<Record<string, number>>;
}

export interface LoadOptions {
  /** Larger files are not read. @defaultValue 52_428_800 (50 MiB) */
  readonly maxFileBytes?: number;
  /**
   * What happens at a file that cannot be loaded: `"fail"` throws, `"skip"` reports it to `onSkip` and goes on. A path
   * that does not exist and a pattern without matches always throw, before anything is loaded.
   * @defaultValue `"fail"` for a file that was named itself, `"skip"` for one found in a folder or by a pattern
   */
  readonly onError?: "fail" | "skip";
  /** Called for each file that is left out because it is damaged, unreadable or too large. */
  readonly onSkip?: (skipped: SkippedFile) => void;
  /** Called once, after the last document was taken; not when the caller stops early. */
  readonly onDone?: (summary: LoadSummary) => void;
  /** Checked before each file and during reads. A PDF file that is being parsed is finished first. */
  readonly signal?: AbortSignal;
  /** Folder that relative paths start from, and that `metadata.source` is relative to. @defaultValue the current directory */
  readonly cwd?: string;
}

const MAX_FILE_BYTES = 50 * 1024 * 1024;

/**
 * Load files, folders (recursively) and glob patterns as LangChain documents, one file at a time: a document per page of
 * a PDF file, one per file otherwise.
 *
 * Metadata: `source` (path relative to `cwd` when below it, else absolute, always with `/`), `format`, and where known
 * `title`, `encoding` (when not UTF-8), `loc.pageNumber` (from 1) and `pdf.totalPages`. Line ends are kept as they are.
 *
 * @example
 * ```ts
 * for await (const document of loadDocuments(["README.md", "docs"])) {
 *   console.log(document.metadata.source, document.pageContent.length);
 * }
 * ```
 *
 * @throws LoadError when a path does not exist, a pattern matches nothing, a file named itself has no supported format,
 * or a file cannot be loaded and `onError` says `"fail"`.
 * @throws ConfigurationError when `maxFileBytes` is not a positive number.
 * @throws the signal's reason when it is aborted.
 */
export async function* loadDocuments(source: string | string[], options: LoadOptions = {}): AsyncIterable<Document> {
  const { maxFileBytes = MAX_FILE_BYTES, onError, onSkip, onDone, signal } = options;
  if (!(maxFileBytes > 0)) {
    throw new ConfigurationError(`maxFileBytes must be a positive number of bytes, not ${String(maxFileBytes)}.`);
  }
  const cwd = resolve(options.cwd ?? ".");
  signal?.throwIfAborted();
  const found = await findFiles(typeof source === "string" ? [source] : source, cwd);

  const summary = { files: 0, documents: 0, skipped: 0, unsupported: {} as Record<string, number> };
  for (const file of found) {
    signal?.throwIfAborted();
    const name = sourceName(file.path, cwd);
    const format = formatOf(file.path);
    if (format === undefined && !file.explicit) {
      const extension = extensionOf(file.path);
      summary.unsupported[extension] = (summary.unsupported[extension] ?? 0) + 1;
      continue;
    }
    let documents: Document[];
    try {
      if (format === undefined) throw unsupported(name);
      documents = await loadFile({ path: file.path, source: name, format, maxFileBytes, signal });
    } catch (error) {
      if (!(error instanceof LoadError) || failsAt(file, onError)) throw error;
      summary.skipped += 1;
      onSkip?.({ source: name, error });
      continue;
    }
    summary.files += 1;
    summary.documents += documents.length;
    yield* documents;
  }
  onDone?.(summary);
}

function failsAt(file: FoundFile, onError: LoadOptions["onError"]): boolean {
  return (onError ?? (file.explicit ? "fail" : "skip")) === "fail";
}

function unsupported(source: string): LoadError {
  const message = `"${source}" has no supported format; supported are ${SUPPORTED_EXTENSIONS.join(" ")}.`;
  return new LoadError(message, source);
}

function extensionOf(path: string): string {
  return /[^/\\](\.[^./\\]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
}

function sourceName(path: string, cwd: string): string {
  const name = relative(cwd, path);
  const outside = name === ".." || name.startsWith(`..${sep}`) || isAbsolute(name);
  return (outside ? path : name).split(sep).join("/");
}

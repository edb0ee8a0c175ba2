import {
  loadDocuments,
  splitDocuments,
  type LoadSummary,
  type SkippedFile,
  type SplitOptions,
} from "../loaders/index.js";
import type { PostgresVectorStore } from "../store/postgres-vector-store.js";
import { groupFiles, type FileChunks } from "./group-files.js";
import { replaceFiles } from "./replace-files.js";

export interface IngestOptions extends SplitOptions {
  readonly cwd: string;
  readonly signal: AbortSignal;
  /** After a file is in the store. */
  readonly onFile?: (file: FileChunks) => void;
  /** After each request of embeddings within a group of files. */
  readonly onProgress?: (embedded: number, of: number) => void;
  readonly onSkip?: (skipped: SkippedFile) => void;
}

export interface IngestResult {
  readonly files: number;
  readonly chunks: number;
  /** Chunks that were not in the store yet; the others kept their vectors. */
  readonly embedded: number;
  /** Chunks of an earlier version of these files that are gone from them. */
  readonly removed: number;
  /** Files that could not be read. */
  readonly skipped: number;
  /** Files whose format is not supported: number by extension. */
  readonly unsupported: Readonly<Record<string, number>>;
}

/**
 * Loads, splits, embeds and stores files, a group at a time. Ids follow from source and content, so that running it again
 * embeds nothing and changes nothing; chunks that a file no longer has are removed after its new ones are in. When it is
 * interrupted, every stored chunk is whole, and running it again completes the rest.
 *
 * @throws the signal's reason when it is aborted.
 */
export async function ingestFiles(
  store: PostgresVectorStore,
  paths: string[],
  options: IngestOptions,
): Promise<IngestResult> {
  let summary: LoadSummary | undefined;
  const documents = loadDocuments(paths, {
    cwd: options.cwd,
    signal: options.signal,
    ...(options.onSkip && { onSkip: options.onSkip }),
    onDone: (done) => (summary = done),
  });
  const total = { chunks: 0, embedded: 0, removed: 0 };
  for await (const files of groupFiles(splitDocuments(documents, options))) {
    const done = await replaceFiles(store, files, options);
    total.chunks += done.chunks;
    total.embedded += done.embedded;
    total.removed += done.removed;
    for (const file of files) options.onFile?.(file);
  }
  const { files = 0, skipped = 0, unsupported = {} } = summary ?? {};
  return { files, ...total, skipped, unsupported };
}

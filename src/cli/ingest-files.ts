import type { Document } from "@langchain/core/documents";
import {
  loadDocuments,
  splitDocuments,
  type LoadSummary,
  type SkippedFile,
  type SplitOptions,
} from "../loaders/index.js";
import type { PostgresVectorStore } from "../store/postgres-vector-store.js";

export interface IngestOptions extends SplitOptions {
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly onFile?: (source: string, chunks: number) => void;
  readonly onSkip?: (skipped: SkippedFile) => void;
}

export interface IngestResult {
  readonly files: number;
  readonly chunks: number;
  /** Chunks of an earlier version of these files that are gone from them. */
  readonly removed: number;
  readonly skipped: number;
}

/** Chunks embedded and written at a time. */
const BATCH = 128;

/**
 * Loads, splits, embeds and stores files, one at a time. Ids follow from source and content, so that running it again
 * changes nothing; chunks that a file no longer has are removed after its new ones are in.
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
  let chunks = 0;
  let removed = 0;
  for await (const file of bySource(splitDocuments(documents, options))) {
    options.signal.throwIfAborted();
    removed += await replaceFile(store, file.source, file.chunks);
    chunks += file.chunks.length;
    options.onFile?.(file.source, file.chunks.length);
  }
  return { files: summary?.files ?? 0, chunks, removed, skipped: summary?.skipped ?? 0 };
}

async function replaceFile(store: PostgresVectorStore, source: string, chunks: Document[]): Promise<number> {
  for (let start = 0; start < chunks.length; start += BATCH)
    await store.addDocuments(chunks.slice(start, start + BATCH));
  const current = new Set(chunks.map((chunk) => chunk.id));
  const stored = await store.get({ where: { source }, include: [] });
  const stale = stored.map((chunk) => chunk.id).filter((id) => !current.has(id));
  await store.delete({ ids: stale });
  return stale.length;
}

/** Groups chunks by their file; those of one file follow each other. */
async function* bySource(chunks: AsyncIterable<Document>): AsyncIterable<{ source: string; chunks: Document[] }> {
  let current: { source: string; chunks: Document[] } | undefined;
  for await (const chunk of chunks) {
    const source = String(chunk.metadata["source"]);
    if (current !== undefined && current.source !== source) yield current;
    if (current === undefined || current.source !== source) current = { source, chunks: [] };
    current.chunks.push(chunk);
  }
  if (current !== undefined) yield current;
}

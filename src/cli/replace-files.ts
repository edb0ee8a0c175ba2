import type { Document } from "@langchain/core/documents";
import { isDeepStrictEqual } from "node:util";
import type { PostgresVectorStore } from "../store/postgres-vector-store.js";
import type { FileChunks } from "./group-files.js";

/** Chunks embedded and written at a time. */
const BATCH = 256;

/**
 * Makes the store hold exactly these chunks of these files. Only chunks that are new are embedded; one that moved within
 * its file keeps its vector and gets its new lines. What the files no longer hold goes last, so that a search in between
 * may find a passage twice, but never misses one.
 */
export async function replaceFiles(
  store: PostgresVectorStore,
  files: readonly FileChunks[],
  options: { readonly signal: AbortSignal; readonly onProgress?: (embedded: number, of: number) => void },
): Promise<{ chunks: number; embedded: number; removed: number }> {
  const stored = await storedMetadata(store, files);
  const chunks = files.flatMap((file) => file.chunks);
  const fresh = chunks.filter((chunk) => !stored.has(chunk.id!));
  const moved = chunks.filter((chunk) => {
    const before = stored.get(chunk.id!);
    return before !== undefined && !isDeepStrictEqual(before, chunk.metadata);
  });
  await store.bulkLoad(fresh, {
    batchRows: BATCH,
    // The embedder of the command line has its own batches and retries. A file's chunks are few beside the table's.
    embed: { batchSize: BATCH, concurrency: 1, retries: 0 },
    indexes: "keep",
    vacuum: false,
    signal: options.signal,
    onProgress: ({ phase, rows }) => phase === "loading" && options.onProgress?.(rows, fresh.length),
  });
  for (const batch of batches(moved)) {
    options.signal.throwIfAborted();
    await moveChunks(store, batch);
  }
  options.signal.throwIfAborted();
  const current = new Set(chunks.map((chunk) => chunk.id));
  const stale = [...stored.keys()].filter((id) => !current.has(id));
  await store.delete({ ids: stale });
  return { chunks: chunks.length, embedded: fresh.length, removed: stale.length };
}

async function storedMetadata(
  store: PostgresVectorStore,
  files: readonly FileChunks[],
): Promise<Map<string, Record<string, unknown>>> {
  const sources = files.map((file) => file.source);
  const chunks = await store.get({ where: { source: { $in: sources } }, include: ["metadatas"] });
  return new Map(chunks.map((chunk) => [chunk.id, chunk.metadata!]));
}

/** Writes new metadata with the old vectors. */
async function moveChunks(store: PostgresVectorStore, chunks: readonly Document[]): Promise<void> {
  const found = await store.get({ ids: chunks.map((chunk) => chunk.id!), include: ["embeddings"] });
  const vectors = new Map(found.map((chunk) => [chunk.id, chunk.embedding]));
  // One without a vector, or deleted meanwhile by somebody else, is as good as new.
  const [kept, lost] = [true, false].map((has) =>
    chunks.filter((chunk) => (vectors.get(chunk.id!) !== undefined) === has),
  );
  await store.addVectors(
    kept!.map((chunk) => vectors.get(chunk.id!)!),
    kept!,
  );
  await store.addDocuments(lost!);
}

function batches<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / BATCH) }, (_, index) =>
    items.slice(index * BATCH, (index + 1) * BATCH),
  );
}

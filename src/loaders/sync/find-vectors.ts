import type { Document } from "@langchain/core/documents";
import { orAbort } from "../../db/abort.js";
import { IngestError } from "../../errors.js";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import { chunkId } from "../chunk-id.js";
import type { PreparedSource } from "./prepare.js";

type Vectors = Map<string, ArrayLike<number>>;

export interface VectorFinder {
  readonly cache: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A vector for each chunk, by its id: that of the same chunk of a source with the same bytes, such as a file before it was
 * renamed; else from the cache; else from the embedder, which sees each text once.
 */
export async function findVectors(
  store: PostgresVectorStore,
  group: readonly PreparedSource[],
  chunks: readonly Document[],
  { cache, signal }: VectorFinder,
): Promise<{ vectors: Vectors; embedded: number }> {
  if (chunks.length === 0) return { vectors: new Map(), embedded: 0 };
  const vectors = await vectorsOfTwins(store, group, chunks);
  const missing = chunks.filter((chunk) => !vectors.has(chunk.id!));
  const texts = [...new Set(missing.map((chunk) => chunk.pageContent))];
  const byText = new Map<string, ArrayLike<number>>();
  if (cache && texts.length > 0) {
    for (const [text, vector] of await store.sources.cachedVectors(texts)) byText.set(text, vector);
  }
  const unknown = texts.filter((text) => !byText.has(text));
  if (unknown.length > 0) {
    const made = await orAbort(store.embeddings.embedDocuments(unknown), signal);
    if (made.length !== unknown.length) {
      throw new IngestError(`The embedder answered ${made.length} vectors for ${unknown.length} texts.`);
    }
    const fresh = new Map(unknown.map((text, index) => [text, made[index]!]));
    for (const [text, vector] of fresh) byText.set(text, vector);
    if (cache) await store.sources.cacheVectors(fresh);
  }
  for (const chunk of missing) vectors.set(chunk.id!, byText.get(chunk.pageContent)!);
  return { vectors, embedded: unknown.length };
}

/** Ids follow from source, text and number, so the id that a chunk has under another name can be told. */
async function vectorsOfTwins(
  store: PostgresVectorStore,
  group: readonly PreparedSource[],
  chunks: readonly Document[],
): Promise<Vectors> {
  const twins = await store.sources.findByHash([...new Set(group.map(({ hash }) => hash))]);
  const wanted = new Set(chunks.map((chunk) => chunk.id!));
  const newIds = new Map<string, string>();
  for (const source of group) {
    const twin = twins.find((other) => other.hash === source.hash && other.source !== source.name);
    if (twin === undefined) continue;
    const seen = new Map<string, number>();
    for (const { id, pageContent } of source.chunks) {
      const ordinal = seen.get(pageContent) ?? 0;
      seen.set(pageContent, ordinal + 1);
      if (wanted.has(id!)) newIds.set(chunkId(twin.source, pageContent, ordinal), id!);
    }
  }
  const vectors: Vectors = new Map();
  if (newIds.size === 0) return vectors;
  for (const { id, embedding } of await store.get({ ids: [...newIds.keys()], include: ["embeddings"] })) {
    if (embedding !== undefined) vectors.set(newIds.get(id)!, embedding);
  }
  return vectors;
}

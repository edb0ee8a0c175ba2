import type { Document } from "@langchain/core/documents";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import type { FoundVectors } from "../../store/sources/find-vectors.js";
import { chunkId } from "../chunk-id.js";
import type { PreparedSource } from "./prepare.js";

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
): Promise<FoundVectors> {
  const twins = await findTwins(store, group);
  const wanted = chunks.map(({ id, pageContent }) => ({ id: id!, text: pageContent, twin: twins.get(id!) }));
  return store.sources.findVectors({ chunks: wanted, cache, signal });
}

/** Ids follow from source, text and number, so the id that a chunk has under another name can be told. */
async function findTwins(store: PostgresVectorStore, group: readonly PreparedSource[]): Promise<Map<string, string>> {
  const stored = await store.sources.findByHash([...new Set(group.map(({ hash }) => hash))]);
  const twins = new Map<string, string>();
  for (const source of group) {
    const twin = stored.find((other) => other.hash === source.hash && other.source !== source.name);
    if (twin === undefined) continue;
    const seen = new Map<string, number>();
    for (const { id, pageContent } of source.chunks) {
      const ordinal = seen.get(pageContent) ?? 0;
      seen.set(pageContent, ordinal + 1);
      twins.set(id!, chunkId(twin.source, pageContent, ordinal));
    }
  }
  return twins;
}

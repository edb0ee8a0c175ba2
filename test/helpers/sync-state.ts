import type { PostgresVectorStore } from "../../src/index.js";

/** What a store holds of its sources, without what differs from run to run: versions and times. */
export async function syncState(store: PostgresVectorStore): Promise<unknown> {
  const chunks = await store.get({ include: ["documents", "metadatas", "embeddings"] });
  const names: string[] = [];
  for await (const { source } of store.sources.list()) names.push(source);
  const sources = (await store.sources.find(names))
    .map(({ source, hash, settings, chunkIds }) => ({ source, hash, settings, chunkIds }))
    .sort((a, b) => (a.source < b.source ? -1 : 1));
  return { chunks, sources };
}

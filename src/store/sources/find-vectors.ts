import { orAbort } from "../../db/abort.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import { embeddedVector } from "../embedding-column.js";
import { planGet } from "../get.js";
import type { ScopedStore } from "../open.js";
import { foreignVectors } from "../versions/store-models.js";
import { checkVectorCount } from "../versions/vectors-for.js";
import { checkVectorCache, readVectorCache, writeVectorCache } from "./vector-cache.js";

/** A chunk that needs a vector. */
export interface WantedVector {
  readonly id: string;
  readonly text: string;
  /** A stored chunk of the same text, if there is one. */
  readonly twin: string | undefined;
}

export interface WantedVectors {
  readonly chunks: readonly WantedVector[];
  /** Whether texts are looked up in the cache and kept there. */
  readonly cache: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface FoundVectors {
  /** What all of them are of. */
  readonly modelVersion: number;
  /** By the id of the chunk. */
  readonly vectors: ReadonlyMap<string, VectorInput>;
  /** Texts that had to be embedded. */
  readonly embedded: number;
}

/** See `Sources.findVectors`. @throws IngestError when the embedder answers another number of vectors. */
export async function findVectors(store: ScopedStore, { chunks, cache, signal }: WantedVectors): Promise<FoundVectors> {
  if (cache) checkVectorCache(store);
  const vectors = await vectorsOfTwins(store, chunks);
  const missing = chunks.filter(({ id }) => !vectors.has(id));
  const texts = [...new Set(missing.map(({ text }) => text))];
  const byText = new Map<string, VectorInput>(cache && texts.length > 0 ? await readVectorCache(store, texts) : []);
  const unknown = texts.filter((text) => !byText.has(text));
  if (unknown.length > 0) {
    const made = await orAbort(embed(store, unknown), signal);
    const fresh = new Map(unknown.map((text, index) => [text, made[index]!]));
    for (const [text, vector] of fresh) byText.set(text, vector);
    if (cache) await writeVectorCache(store, fresh);
  }
  for (const { id, text } of missing) vectors.set(id, byText.get(text)!);
  return { modelVersion: store.model.version, vectors, embedded: unknown.length };
}

async function embed(store: ScopedStore, texts: readonly string[]): Promise<ArrayLike<number>[]> {
  const embedder = store.models.live.find(({ version }) => version === store.model.version)?.embedder;
  if (embedder === undefined) throw foreignVectors(store.models, store.options.layout.table);
  const made = await embedder.source.embedDocuments(texts.map((text) => embedder.textOf(text)));
  checkVectorCount(made.length, texts.length);
  return made.map((vector) => embedder.fit(vector));
}

async function vectorsOfTwins(store: ScopedStore, chunks: readonly WantedVector[]): Promise<Map<string, VectorInput>> {
  const twins = [...new Set(chunks.flatMap(({ twin }) => twin ?? []))];
  if (twins.length === 0) return new Map();
  const stored = await planGet({ ids: twins, include: ["embeddings"] }, store.options.contentCipher)(store);
  const found = new Map(stored.map((chunk) => [chunk.id, embeddedVector(chunk)]));
  return new Map(
    chunks.flatMap(({ id, twin }): [string, VectorInput][] => {
      const vector = twin === undefined ? undefined : found.get(twin);
      return vector === undefined ? [] : [[id, vector]];
    }),
  );
}

import type { ScopedStore } from "../open.js";
import { findByHash, findSources, listSources, type SourceState, type StoredSource } from "./records.js";
import { findVectors, type FoundVectors, type WantedVectors } from "./find-vectors.js";
import { checkVectorCache, clearVectorCache, readVectorCache, writeVectorCache } from "./vector-cache.js";
import { appendChunks, commitSources, removeSource, type EmbeddedChunk, type SourceCommit } from "./write.js";

type Versioned = Pick<SourceState, "source" | "version">;

/**
 * What was ingested from where, within the tenant and the store's collection. `syncDocuments` of
 * `langchain-pgvector/loaders` keeps it; read it to see what a store holds.
 */
export class Sources {
  readonly #run: <T>(work: (store: ScopedStore) => Promise<T>) => Promise<T>;

  /** @param run does the work in the scope of one call, anew when the store's models have changed meanwhile. */
  constructor(run: <T>(work: (store: ScopedStore) => Promise<T>) => Promise<T>) {
    this.#run = run;
  }

  /** All sources in the order of their names, or those whose name starts so. */
  async *list(options: { readonly prefix?: string | undefined } = {}): AsyncGenerator<SourceState> {
    yield* listSources(await this.#run((store) => Promise.resolve(store)), options.prefix);
  }

  /** Sources by name, with the ids of their chunks; those that are not there are left out. */
  async find(names: readonly string[]): Promise<StoredSource[]> {
    return this.#run((store) => findSources(store, names));
  }

  /** Sources by the hash of their bytes, in hexadecimal. */
  async findByHash(hashes: readonly string[]): Promise<{ source: string; hash: string }[]> {
    return this.#run((store) => findByHash(store, hashes));
  }

  /**
   * Writes sources and their chunks in one transaction, unless somebody has changed one of them since it was read.
   *
   * @returns the sources' new versions by name; `undefined` when nothing was written.
   */
  async commit(commit: SourceCommit): Promise<ReadonlyMap<string, string> | undefined> {
    return this.#run((store) => commitSources(store, commit));
  }

  /** Writes chunks of a source that is being written and lists them. @returns whether it still had this version. */
  async append(source: Versioned, chunks: readonly EmbeddedChunk[]): Promise<boolean> {
    return this.#run((store) => appendChunks(store, source, chunks));
  }

  /** Deletes a source with its chunks. @returns how many; `undefined` when it has another version by now. */
  async remove(source: Versioned): Promise<number | undefined> {
    return this.#run((store) => removeSource(store, source));
  }

  /** Vectors of the model version that is searched: of stored chunks, from the cache, and made of the texts left over. */
  async findVectors(wanted: WantedVectors): Promise<FoundVectors> {
    return this.#run((store) => findVectors(store, wanted));
  }

  /** Vectors that the active model has made of these texts before, as far as they were cached. */
  async cachedVectors(texts: readonly string[]): Promise<Map<string, Float32Array>> {
    return this.#run((store) => {
      checkVectorCache(store);
      return readVectorCache(store, texts);
    });
  }

  /** Caches vectors of the active model by their text. */
  async cacheVectors(vectors: ReadonlyMap<string, ArrayLike<number>>): Promise<void> {
    await this.#run((store) => {
      checkVectorCache(store);
      return writeVectorCache(store, vectors);
    });
  }

  /** Empties the tenant's cache of vectors, of all models. @returns how many there were. */
  async clearVectorCache(): Promise<number> {
    return this.#run(clearVectorCache);
  }
}

import type { ScopedStore } from "../open.js";
import { findByHash, findSources, listSources, type SourceState, type StoredSource } from "./records.js";
import { checkVectorCache, clearVectorCache, readVectorCache, writeVectorCache } from "./vector-cache.js";
import { appendChunks, commitSources, removeSource, type EmbeddedChunk, type SourceCommit } from "./write.js";

type Versioned = Pick<SourceState, "source" | "version">;

/**
 * What was ingested from where, within the tenant and the store's collection. `syncDocuments` of
 * `langchain-pgvector/loaders` keeps it; read it to see what a store holds.
 */
export class Sources {
  readonly #scoped: () => Promise<ScopedStore>;

  constructor(scoped: () => Promise<ScopedStore>) {
    this.#scoped = scoped;
  }

  /** All sources in the order of their names, or those whose name starts so. */
  async *list(options: { readonly prefix?: string | undefined } = {}): AsyncGenerator<SourceState> {
    yield* listSources(await this.#scoped(), options.prefix);
  }

  /** Sources by name, with the ids of their chunks; those that are not there are left out. */
  async find(names: readonly string[]): Promise<StoredSource[]> {
    return findSources(await this.#scoped(), names);
  }

  /** Sources by the hash of their bytes, in hexadecimal. */
  async findByHash(hashes: readonly string[]): Promise<{ source: string; hash: string }[]> {
    return findByHash(await this.#scoped(), hashes);
  }

  /**
   * Writes sources and their chunks in one transaction, unless somebody has changed one of them since it was read.
   *
   * @returns the sources' new versions by name; `undefined` when nothing was written.
   */
  async commit(commit: SourceCommit): Promise<ReadonlyMap<string, string> | undefined> {
    return commitSources(await this.#scoped(), commit);
  }

  /** Writes chunks of a source that is being written and lists them. @returns whether it still had this version. */
  async append(source: Versioned, chunks: readonly EmbeddedChunk[]): Promise<boolean> {
    return appendChunks(await this.#scoped(), source, chunks);
  }

  /** Deletes a source with its chunks. @returns how many; `undefined` when it has another version by now. */
  async remove(source: Versioned): Promise<number | undefined> {
    return removeSource(await this.#scoped(), source);
  }

  /** Vectors that the active model has made of these texts before, as far as they were cached. */
  async cachedVectors(texts: readonly string[]): Promise<Map<string, Float32Array>> {
    const store = await this.#scoped();
    checkVectorCache(store);
    return readVectorCache(store, texts);
  }

  /** Caches vectors of the active model by their text. */
  async cacheVectors(vectors: ReadonlyMap<string, ArrayLike<number>>): Promise<void> {
    const store = await this.#scoped();
    checkVectorCache(store);
    await writeVectorCache(store, vectors);
  }

  /** Empties the tenant's cache of vectors, of all models. @returns how many there were. */
  async clearVectorCache(): Promise<number> {
    return clearVectorCache(await this.#scoped());
  }
}

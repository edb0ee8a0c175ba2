import { Embeddings, type EmbeddingsInterface } from "@langchain/core/embeddings";
import { ConfigurationError } from "../errors.js";
import { ExpiringCache } from "../store/expiring-cache.js";

/** Options of {@link CachedQueryEmbeddings}. */
export interface CachedQueryEmbeddingsOptions {
  /** Most queries that are kept; the least recently used goes first. @defaultValue 1000 */
  maxEntries?: number;
  /** How long one is kept, in seconds. @defaultValue 3600 */
  ttlSeconds?: number;
}

/**
 * An embedder that keeps the vectors of recent queries in memory, so that a question that comes again, or in several steps
 * of a chain, is embedded once. Documents go to the embedder as they are. The cache belongs to this one embedder, and with
 * it to its model; queries asked at the same time share one request, and a failure is not kept.
 *
 * @example
 * ```ts
 * const embeddings = new CachedQueryEmbeddings(new OpenAIEmbeddings({ model: "text-embedding-3-small" }));
 * ```
 */
export class CachedQueryEmbeddings extends Embeddings {
  /** The embedder behind the cache; its identity is this one's. */
  readonly inner: EmbeddingsInterface;
  readonly #cache: ExpiringCache<number[]>;

  /** @throws {@link ConfigurationError} when an option is out of range */
  constructor(inner: EmbeddingsInterface, options: CachedQueryEmbeddingsOptions = {}) {
    const { maxEntries = 1_000, ttlSeconds = 3_600 } = options;
    super({});
    if (!Number.isInteger(maxEntries) || maxEntries < 1) {
      throw new ConfigurationError(`maxEntries is ${String(maxEntries)}; give a whole number of at least 1.`);
    }
    if (!(ttlSeconds > 0)) throw new ConfigurationError(`ttlSeconds is ${String(ttlSeconds)}; give a number above 0.`);
    this.inner = inner;
    this.#cache = new ExpiringCache(maxEntries, ttlSeconds * 1_000);
  }

  override embedDocuments(documents: string[]): Promise<number[][]> {
    return this.inner.embedDocuments(documents);
  }

  override async embedQuery(document: string): Promise<number[]> {
    // A copy, since callers may change what they get.
    return [...(await this.#cache.get(document, () => this.inner.embedQuery(document)))];
  }
}

import { COLLECTION_NAME, instruments } from "./instruments.js";
import type { NamedPool, PoolOwner } from "./live-pools.js";

/** What a store has asked of its embedders. */
export interface EmbeddingUse {
  requests: number;
  texts: number;
  characters: number;
  failures: number;
  /** Until the answers came. */
  seconds: number;
}

/** How often one operation was called. */
export interface CallCount {
  calls: number;
  failures: number;
  seconds: number;
}

export type EmbeddingInput = "document" | "query";
export type ChunkOutcome = "written" | "skipped" | "deleted";

/**
 * What one store, its views of tenants among it, has done in this process since it was made. Everything is counted here,
 * and by the instruments of OpenTelemetry at the same moment; nothing of it is about a tenant.
 */
export class Activity implements PoolOwner {
  readonly calls = new Map<string, CallCount>();
  readonly embedding: Record<EmbeddingInput, EmbeddingUse> = { document: noUse(), query: noUse() };
  embeddingRetries = 0;
  /** Requests of an embedder that wait now, for their place within a rate limit or to be made again. */
  embeddingWaiting = 0;
  readonly chunks: Record<ChunkOutcome, number> = { written: 0, skipped: 0, deleted: 0 };
  /** Transactions and reads that were done again. */
  retries = 0;
  readonly #of: { readonly [COLLECTION_NAME]?: string };

  /** @param store the name of its table; `undefined` for work that is none of a store. */
  constructor(
    readonly store: string | undefined = undefined,
    readonly pools: readonly NamedPool[] = [],
  ) {
    this.#of = store === undefined ? {} : { [COLLECTION_NAME]: store };
  }

  called(operation: string, seconds: number, failed: boolean): void {
    const count = this.calls.get(operation) ?? { calls: 0, failures: 0, seconds: 0 };
    count.calls += 1;
    count.seconds += seconds;
    if (failed) count.failures += 1;
    this.calls.set(operation, count);
  }

  /** Counts a call of an embedder. */
  async embed<T>(input: EmbeddingInput, texts: readonly string[], ask: () => Promise<T>): Promise<T> {
    const use = this.embedding[input];
    const characters = texts.reduce((sum, text) => sum + text.length, 0);
    const of = { ...this.#of, "langchain_pgvector.embedding.input": input };
    const { embeddingRequests, embeddingTexts, embeddingCharacters, embeddingFailures } = instruments();
    use.requests += 1;
    use.texts += texts.length;
    use.characters += characters;
    embeddingRequests.add(1, of);
    embeddingTexts.add(texts.length, of);
    embeddingCharacters.add(characters, of);
    const began = performance.now();
    try {
      return await ask();
    } catch (error) {
      use.failures += 1;
      embeddingFailures.add(1, of);
      throw error;
    } finally {
      use.seconds += (performance.now() - began) / 1_000;
    }
  }

  embeddingRetried(): void {
    this.embeddingRetries += 1;
    instruments().embeddingRetries.add(1, this.#of);
  }

  /** Counts a request as waiting until it may go on. */
  async embeddingHeld(wait: Promise<void>): Promise<void> {
    this.embeddingWaiting += 1;
    instruments().embeddingWaiting.add(1, this.#of);
    try {
      await wait;
    } finally {
      this.embeddingWaiting -= 1;
      instruments().embeddingWaiting.add(-1, this.#of);
    }
  }

  countChunks(outcome: ChunkOutcome, count: number): void {
    if (count === 0) return;
    this.chunks[outcome] += count;
    instruments().chunks.add(count, { ...this.#of, "langchain_pgvector.ingest.outcome": outcome });
  }

  retried(): void {
    this.retries += 1;
    instruments().retries.add(1, this.#of);
  }
}

function noUse(): EmbeddingUse {
  return { requests: 0, texts: 0, characters: 0, failures: 0, seconds: 0 };
}

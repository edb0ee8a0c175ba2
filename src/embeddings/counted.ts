import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { Activity } from "../telemetry/activity.js";

/** An embedder whose calls are counted among what a store does. */
export class CountedEmbeddings implements EmbeddingsInterface {
  constructor(
    private readonly inner: EmbeddingsInterface,
    private readonly activity: Activity,
  ) {}

  embedDocuments(texts: string[]): Promise<number[][]> {
    return this.activity.embed("document", texts, () => this.inner.embedDocuments(texts));
  }

  embedQuery(text: string): Promise<number[]> {
    return this.activity.embed("query", [text], () => this.inner.embedQuery(text));
  }

  /** Waits before a request that failed is made again. */
  async retry(pause: Promise<void>): Promise<void> {
    this.activity.embeddingRetried();
    await this.activity.embeddingHeld(pause);
  }

  /** Waits for a place within a rate limit. */
  async hold(place: Promise<void> | undefined): Promise<void> {
    if (place !== undefined) await this.activity.embeddingHeld(place);
  }
}

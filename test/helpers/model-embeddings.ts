import { Embeddings } from "@langchain/core/embeddings";
import { hashedVector } from "./hashed-vector.js";

/** A test embedder of a named model: each model has vectors of its own for the same text. */
export class ModelEmbeddings extends Embeddings {
  /** How many texts were embedded. */
  embedded = 0;
  readonly provider = "test";

  constructor(
    readonly model: string,
    readonly dimensions: number,
    /** May throw, wait, or give another vector. */
    private readonly around: (texts: readonly string[], embed: () => number[][]) => Promise<number[][]> = (_, embed) =>
      Promise.resolve(embed()),
  ) {
    super({});
  }

  get fingerprint(): string {
    return `test/${this.model}@${this.dimensions}`;
  }

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    this.embedded += texts.length;
    return this.around(texts, () => texts.map((text) => this.vectorOf(text)));
  }

  override async embedQuery(text: string): Promise<number[]> {
    const [vector] = await this.embedDocuments([text]);
    return vector!;
  }

  /** Words hashed with the model's name, so that no two models agree on anything. */
  vectorOf(text: string): number[] {
    return hashedVector(
      text.replace(/[\p{L}\p{N}]+/gu, (word) => `${this.model}${word}`),
      this.dimensions,
    );
  }
}

import { isSparse, type VectorInput } from "../../db/sparse-vector.js";
import type { CountedEmbeddings } from "../../embeddings/counted.js";
import type { RegisteredModel } from "../../schema/layout.js";

/** The embedder of one model version: its prefixes put in front, its vectors shortened where the version is. */
export class VersionEmbedder {
  constructor(
    /** Versions of one model share it. */
    readonly source: CountedEmbeddings,
    /** Whether it is the store's own, whose vectors callers hand in. */
    readonly main: boolean,
    private readonly version: Pick<
      RegisteredModel,
      "dimensions" | "fullDimensions" | "documentPrefix" | "queryPrefix" | "normalized"
    >,
  ) {}

  /** What has to be embedded for a document; equal for versions that can share one request. */
  textOf(content: string): string {
    return this.version.documentPrefix + content;
  }

  async embedQuery(text: string): Promise<readonly number[]> {
    return this.fit(await this.source.embedQuery(this.version.queryPrefix + text));
  }

  /** A vector of the model as one of this version. One of another length stays as it is, for the check to report. */
  fit<T extends VectorInput>(vector: T): T | number[] {
    const { dimensions, fullDimensions } = this.version;
    if (dimensions === fullDimensions || isSparse(vector) || vector?.length !== fullDimensions) return vector;
    return shorten(vector, dimensions);
  }
}

/** The beginning of a vector, brought back to unit length, as models trained for it are to be shortened. */
export function shorten(vector: ArrayLike<number>, dimensions: number): number[] {
  const head = Array.from({ length: dimensions }, (_, index) => vector[index]!);
  const length = Math.sqrt(head.reduce((sum, value) => sum + value * value, 0));
  return length === 0 ? head : head.map((value) => Math.fround(value / length));
}

import { Document } from "@langchain/core/documents";
import type { BulkLoadItem } from "../../src/index.js";
import { seededRandom } from "../../test/helpers/vectors.js";

const DISTINCT_VECTORS = 2_000;
/** About 540 characters, a short chunk. */
const TEXT = "what a chunk of a few sentences says about a topic of its tenant ".repeat(8);

export interface Chunk {
  readonly document: Document;
  readonly embedding: Float32Array;
}

/** Chunks with random vectors, made one by one, as a file would bring them. */
export class Chunks {
  readonly #vectors: readonly Float32Array[];

  constructor(readonly dimensions: number) {
    const random = seededRandom(1);
    this.#vectors = Array.from({ length: DISTINCT_VECTORS }, () =>
      Float32Array.from({ length: dimensions }, () => random() - 0.5),
    );
  }

  at(i: number): Chunk {
    const embedding = Float32Array.from(this.#vectors[i % DISTINCT_VECTORS]!);
    // Equal vectors would make an index of another shape than real ones do.
    embedding[i % this.dimensions]! += (i % 997) / 997;
    const document = new Document({
      id: `doc-${String(i).padStart(8, "0")}`,
      pageContent: `Chunk ${i}: ${TEXT}`,
      metadata: { bucket: i % 100, source: `file-${i % 17}.pdf` },
    });
    return { document, embedding };
  }

  *items(count: number, from = 0): Generator<BulkLoadItem> {
    for (let i = from; i < from + count; i += 1) yield this.at(i);
  }

  list(count: number, from = 0): { documents: Document[]; vectors: number[][] } {
    const chunks = Array.from({ length: count }, (_, i) => this.at(from + i));
    return {
      documents: chunks.map(({ document }) => document),
      vectors: chunks.map(({ embedding }) => Array.from(embedding)),
    };
  }
}

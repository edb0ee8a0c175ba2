import type { BulkLoadItem } from "../../src/index.js";

/** Documents with vectors, the same in every process. */
export function* bulkItems(rows: number, dimensions: number, from = 0): Generator<BulkLoadItem> {
  for (let i = from; i < from + rows; i += 1) {
    const embedding = Float32Array.from({ length: dimensions }, (_, at) => Math.sin(1 + i * 31 + at * 7));
    yield { document: { id: `row-${i}`, pageContent: `content of row ${i}`, metadata: { i } }, embedding };
  }
}

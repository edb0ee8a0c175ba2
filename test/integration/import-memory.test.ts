import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { importRecords } from "../../src/chroma/import/import.js";
import type { RecordSource, SourceCollection, SourceRecord } from "../../src/chroma/import/source.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";

const DIMENSIONS = 256;

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

let sources = 0;

/** Makes its records when they are asked for, so that none is held here. */
function source(count: number): RecordSource {
  const record = (number: number): SourceRecord => ({
    id: String(number),
    vector: Array.from({ length: DIMENSIONS }, (_, index) => ((number * 31 + index * 7) % 101) / 101 + 0.5),
    document: `The text of record ${number}`,
    metadata: { number },
    uri: null,
  });
  const collection: SourceCollection = {
    name: `records-${(sources += 1)}`,
    dimensions: DIMENSIONS,
    metric: "euclidean",
    provider: undefined,
    model: undefined,
    metadata: {},
    fingerprint: String(count),
    count: () => Promise.resolve(count),
    async *pages(rows) {
      for (let start = 0; start < count; start += rows) {
        yield Array.from({ length: Math.min(rows, count - start) }, (_, index) => record(start + index));
      }
    },
  };
  return { label: "made records", collections: () => Promise.resolve([collection]) };
}

test("an import takes no more memory for more records", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  /** Peak in bytes of what is reachable while so many records are copied and compared. */
  const peakOf = async (records: number): Promise<number> => {
    let peak = 0;
    let steps = 0;
    const onProgress = (): void => {
      steps += 1;
      if (steps % 4 !== 0) return;
      // Array buffers are freed on another thread, for which the second one waits.
      collect();
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      peak = Math.max(peak, heapUsed + arrayBuffers);
    };
    await importRecords(source(records), { pool: database.pool, tableName: "imported", pageRows: 250, onProgress });
    return peak;
  };
  await peakOf(2_000);
  const few = await peakOf(2_000);
  const many = await peakOf(14_000);
  // The additional vectors alone are 24 MB as numbers.
  expect(many - few).toBeLessThan(8 * 2 ** 20);
});

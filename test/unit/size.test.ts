import { describe, expect, it } from "vitest";
import { estimateSize, projectSize } from "../../src/ops/size/estimate.js";
import type { StoreSize } from "../../src/ops/size/measure.js";
import { btreeBytes, packedPages } from "../../src/ops/size/pages.js";
import { placementOf } from "../../src/ops/size/placement.js";
import { machineGib, serverSettings } from "../../src/ops/size/server-settings.js";
import { ConfigurationError } from "../../src/index.js";

const GIB = 2 ** 30;

describe("pages", () => {
  it("hold as many tuples as fit, with their line pointers", () => {
    expect(
      packedPages(
        Array.from({ length: 8 }, () => [2_032]),
        {},
      ),
    ).toBe(2);
    expect(
      packedPages(
        Array.from({ length: 4 }, () => [5_000]),
        {},
      ),
    ).toBe(4);
    expect(packedPages([], {})).toBe(0);
  });

  it("take a tuple that is larger than what the fillfactor leaves", () => {
    expect(packedPages([[8_000], [8_000]], { reserved: 819 })).toBe(2);
  });

  it("keep a group together only when one page can hold it", () => {
    expect(
      packedPages(
        [
          [4_000, 100],
          [4_000, 100],
        ],
        { together: true },
      ),
    ).toBe(2);
    expect(packedPages([[8_080, 200]], { special: 8, together: true })).toBe(2);
  });

  it("of a btree grow with the entries", () => {
    expect(btreeBytes(1_000, 60, 0.9)).toBeLessThan(btreeBytes(2_000, 60, 0.9));
  });
});

describe("the estimate", () => {
  // Bytes a vector as docs/production-guide.md has measured them.
  it.each([
    [384, 2_048],
    [768, 4_096],
    [1_024, 8_192],
    [1_536, 8_192],
    [2_000, 16_384],
  ])("of an index at %i dimensions is %i bytes a vector", (dimensions, bytes) => {
    const { indexBytes } = estimateSize({ vectors: 100_000, dimensions });
    expect(indexBytes / 100_000 / bytes).toBeCloseTo(1, 1);
  });

  it("gives the rule of thumb beside its own, and the machine that goes with it", () => {
    const estimate = estimateSize({ vectors: 1_000_000, dimensions: 1_536 });
    expect(estimate.ruleOfThumbBytes).toBe(1_000_000 * 1_536 * 4 * 2.5);
    expect(estimate.indexBytes).toBeLessThan(estimate.ruleOfThumbBytes);
    expect(machineGib(estimate.memoryBytes)).toBe(24);
  });

  it("grows with everything that it is asked about", () => {
    const base = { vectors: 100_000, dimensions: 384 };
    const small = estimateSize(base);
    expect(estimateSize({ ...base, textBytes: 4_000 }).databaseBytes).toBeGreaterThan(small.databaseBytes);
    expect(estimateSize({ ...base, m: 48 }).indexBytes).toBeGreaterThan(small.indexBytes);
    expect(estimateSize({ ...base, m: 48 }).buildMemoryBytes).toBeGreaterThan(small.buildMemoryBytes);
    expect(estimateSize({ ...base, storageType: "halfvec" }).indexBytes).toBeLessThan(small.indexBytes);
    expect(estimateSize({ ...base, qps: 5_000 }).cores).toBeGreaterThan(small.cores);
    const lexical = estimateSize({ ...base, lexical: true });
    expect(lexical.lexicalBytes).toBeGreaterThan(0);
    expect(estimateSize({ ...base, lexical: true, tenants: 200 }).lexicalBytes).toBeGreaterThan(lexical.lexicalBytes);
  });

  it("counts the values of sparse vectors that are not zero, within 15 % of what was measured", () => {
    const base = {
      vectors: 5_000,
      dimensions: 30_522,
      storageType: "sparsevec",
      textBytes: 10,
      metadataBytes: 2,
    } as const;
    const estimate = estimateSize({ ...base, nonZeros: 120, idBytes: 5 });
    expect(Math.abs(estimate.indexBytes / 5_000 / 1_368 - 1)).toBeLessThan(0.15);
    expect(Math.abs((estimate.table.heapBytes + estimate.table.toastBytes) / 5_000 / 1_476 - 1)).toBeLessThan(0.15);
    expect(estimateSize({ ...base, nonZeros: 60 }).buildSeconds).toBeLessThan(estimate.buildSeconds);
    expect(() => estimateSize({ ...base, nonZeros: 1_001 })).toThrow("nonZeros must be a whole number from 1 to 1,000");
  });

  it("has one row of 1,536 dimensions in each page when vectors stay in the row, and three of 384", () => {
    const shape = { vectors: 3_000, inlineVectors: true };
    const wide = estimateSize({ ...shape, dimensions: 1_536 }).table;
    expect(wide).toMatchObject({ heapBytes: 3_000 * 8_192, toastBytes: 0 });
    const narrow = estimateSize({ ...shape, dimensions: 384, textBytes: 500 }).table;
    expect(narrow.heapBytes / 8_192 / 1_000).toBeCloseTo(1, 2);
    expect(narrow.toastBytes).toBe(0);
    expect(estimateSize({ ...shape, dimensions: 1_536, textBytes: 9_000 }).table.toastBytes).toBeGreaterThan(0);
  });

  it("refuses what no index takes, with the cure", () => {
    expect(() => estimateSize({ vectors: 10, dimensions: 3_072, storageType: "vector" })).toThrow(/"halfvec"/);
    expect(() => estimateSize({ vectors: 10, dimensions: 5_000 })).toThrow(/shorten the vectors/);
    expect(() => estimateSize({ vectors: 0, dimensions: 8 })).toThrow(ConfigurationError);
  });

  it("of a store that is there scales what is there", () => {
    const measured: StoreSize = {
      model: { version: 1, column: "embedding", dimensions: 384, metric: "cosine", storageType: "vector" } as never,
      rows: 10_000,
      table: { heapBytes: 1e7, toastBytes: 3e7, primaryKeyBytes: 1e6 },
      indexBytes: 2e7,
      lexicalBytes: 0,
      addedRowsPerDay: 100,
      observedDays: 10,
    };
    const projected = projectSize(measured, { vectors: 30_000 });
    expect(projected.table).toEqual({ heapBytes: 3e7, toastBytes: 9e7, primaryKeyBytes: 3e6 });
    expect(projected.indexBytes).toBe(6e7);
    const withoutIndex = projectSize({ ...measured, indexBytes: 0 }, { vectors: 30_000 });
    expect(withoutIndex.indexBytes).toBe(estimateSize({ vectors: 30_000, dimensions: 384 }).indexBytes);
    const few = projectSize({ ...measured, rows: 10 }, { vectors: 30_000 });
    expect(few.table).toEqual(estimateSize({ vectors: 30_000, dimensions: 384 }).table);
  });
});

describe("where to keep them", () => {
  it.each([
    [900_000, "same instance"],
    [1_000_000, "read replica"],
    [10_000_000, "dedicated instance"],
    [100_000_000, "dedicated instance"],
    [100_000_001, "partitions or distribution"],
    [1_000_000_000, "another engine"],
  ])("%i vectors: %s", (vectors, where) => {
    expect(placementOf(vectors, 16 * GIB).where).toBe(where);
  });

  it("says when 128 GB are wanted, and names other engines", () => {
    expect(placementOf(100_000_000, 16 * GIB).why).toContain("128 GB");
    expect(placementOf(2e9, 16 * GIB).why).toContain("Milvus");
  });
});

it("settings fit the machine that they are for", () => {
  const settings = serverSettings(estimateSize({ vectors: 1_000_000, dimensions: 1_536, qps: 1_000 }));
  expect(settings).toMatchObject({ shared_buffers: "9GB", effective_cache_size: "18GB", random_page_cost: "1.1" });
  expect(Number(settings["max_parallel_workers"])).toBeGreaterThan(2);
});

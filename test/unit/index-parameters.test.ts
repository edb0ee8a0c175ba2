import { describe, expect, it } from "vitest";
import {
  areListsStale,
  chooseHnswParameters,
  chooseLists,
  defaultProbes,
  ivfflatBuildBytes,
} from "../../src/store/index-parameters.js";
import { formatIndexNote, parseIndexNote } from "../../src/store/index-note.js";
import { partIndexName } from "../../src/store/partition-index.js";
import { tenantOfPredicate } from "../../src/store/table-facts.js";

describe("parameters of an index", () => {
  const vectors = { dimensions: 1_536, storageType: "vector" } as const;
  it("of HNSW follow rows and memory", () => {
    const GIB = 2 ** 30;
    expect(chooseHnswParameters({ ...vectors, rows: 0 }, 0)).toEqual({ m: 16, efConstruction: 128 });
    expect(chooseHnswParameters({ ...vectors, rows: 100_000 }, GIB)).toEqual({ m: 16, efConstruction: 128 });
    // 7,104 bytes a row with m 16, 6,964 with m 12.
    expect(chooseHnswParameters({ ...vectors, rows: 100_000 }, 700_000_000)).toEqual({ m: 12, efConstruction: 128 });
    expect(chooseHnswParameters({ ...vectors, rows: 100_000 }, 600_000_000)).toEqual({ m: 16, efConstruction: 128 });
    expect(chooseHnswParameters({ ...vectors, rows: 1_000_000 }, 16 * GIB)).toEqual({ m: 24, efConstruction: 192 });
    expect(chooseHnswParameters({ ...vectors, rows: 1_000_000 }, GIB)).toEqual({ m: 16, efConstruction: 128 });
  });

  it("of IVFFlat follow the rows", () => {
    expect([0, 400, 5_000, 1_000_000, 4_000_000].map(chooseLists)).toEqual([1, 1, 5, 1_000, 2_000]);
    expect(chooseLists(1e12)).toBe(32_768);
    expect([1, 100, 1_000].map(defaultProbes)).toEqual([1, 10, 32]);
    expect(areListsStale(10, 20_000)).toBe(false);
    expect(areListsStale(10, 21_000)).toBe(true);
    expect(areListsStale(100, 49_000)).toBe(true);
    expect(areListsStale(100, 51_000)).toBe(false);
    expect(areListsStale(100, 500)).toBe(false);
    // 50,000 samples with a bound to each of 1,000 centres.
    expect(ivfflatBuildBytes(vectors, 1_000)).toBeGreaterThan(50_000 * (6_144 + 4_000));
  });
});

it("a note is read as it was written, and others' comments are left alone", () => {
  for (const setting of [{ efSearch: 160 }, { probes: 12 }]) {
    const note = { setting, k: 7, recall: 0.991, queries: 150 };
    expect(parseIndexNote(formatIndexNote(note))).toEqual(note);
  }
  expect(parseIndexNote("langchain-pgvector: efSearch 100, recall@10 0.990 in 20 searches")).toMatchObject({ k: 10 });
  expect(parseIndexNote(null)).toBeUndefined();
  expect(parseIndexNote("do not drop")).toBeUndefined();
});

it("the name of a part follows the name of its index, namespaces included", () => {
  expect(partIndexName("t", "t_embedding_hnsw_idx", "t_default")).toBe("t_default_embedding_hnsw_idx");
  expect(partIndexName("t", "n_t_embedding_hnsw_idx", "t_default")).toBe("t_default_n_t_embedding_hnsw_idx");
});

it("a predicate names its tenant", () => {
  expect(tenantOfPredicate(null)).toBeUndefined();
  expect(tenantOfPredicate(String.raw`(tenant_id = 'a\b''c'::text)`)).toBe(String.raw`a\b'c`);
  expect(tenantOfPredicate("((tenant_id = 'a'::text) AND (collection = 'c'::text))")).toBe("a");
  expect(tenantOfPredicate("(tenant_id <> 'b'::text)")).toBeUndefined();
});

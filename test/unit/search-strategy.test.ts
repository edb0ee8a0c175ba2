import { describe, expect, test } from "vitest";
import { ExpiringCache } from "../../src/store/expiring-cache.js";
import { chooseStrategy, MAX_EF_SEARCH, type SearchFacts, strategySettings } from "../../src/store/search-strategy.js";
import { distanceCosts } from "../../src/store/storage.js";
import { coversTenant } from "../../src/store/table-facts.js";

const facts = (given: Partial<SearchFacts>): SearchFacts => {
  const rows = given.rows ?? 1_000;
  return {
    k: 10,
    dimensions: 1_536,
    rows,
    matching: rows,
    indexEntries: 100_000,
    efSearch: 100,
    filtered: false,
    ...given,
  };
};

const sparse = distanceCosts({ storageType: "sparsevec", dimensions: 30_522 });

describe("exact or by index", () => {
  test.each([
    ["100 rows of a large table", facts({ rows: 100 }), "exact"],
    ["3,000 rows of a large table", facts({ rows: 3_000 }), "exact"],
    ["10,000 rows of a large table", facts({ rows: 10_000 }), "index"],
    ["40,000 rows of a large table", facts({ rows: 40_000 }), "index"],
    ["a hundredth of 40,000 rows", facts({ rows: 40_000, matching: 400 }), "exact"],
    ["half of 40,000 rows", facts({ rows: 40_000, matching: 20_000 }), "index"],
    ["3,000 rows with an index of their own", facts({ rows: 3_000, indexEntries: 3_000 }), "index"],
    ["10,000 rows of ten million, which a scan would rarely meet", facts({ rows: 10_000, indexEntries: 1e7 }), "exact"],
    ["3,000 rows of sparse vectors", facts({ rows: 3_000, indexEntries: 3_000, ...sparse }), "exact"],
    ["6,000 rows of sparse vectors", facts({ rows: 6_000, indexEntries: 6_000, ...sparse }), "index"],
    ["no index", facts({ rows: 1e6, indexEntries: undefined }), "exact"],
    ["no rows wanted", facts({ rows: 1e6, k: 0 }), "exact"],
  ] as const)("%s", (_, given, kind) => {
    expect(chooseStrategy(given).kind).toBe(kind);
  });

  test("takes more candidates the smaller the tenant's share is, and never fewer than asked", () => {
    const efOf = (given: Partial<SearchFacts>): number => {
      const strategy = chooseStrategy(facts(given));
      return strategy.kind === "index" ? strategy.efSearch : 0;
    };
    expect(efOf({ rows: 100_000 })).toBe(100);
    expect(efOf({ rows: 20_000 })).toBe(200);
    expect(efOf({ rows: 10_000 })).toBe(400);
    expect(efOf({ rows: 10_000, efSearch: 700 })).toBe(700);
    expect(efOf({ rows: 1e6, indexEntries: 1e9 })).toBe(MAX_EF_SEARCH);
  });

  test("fetches more rows than wanted when one pass over the index cannot meet enough candidates", () => {
    expect(chooseStrategy(facts({ rows: 10_000 }))).toMatchObject({ visits: 400, fetch: 10 });
    expect(chooseStrategy(facts({ rows: 1e6, indexEntries: 1e8 }))).toMatchObject({ visits: 4_000, fetch: 40 });
  });
});

describe("an index scan with a filter", () => {
  const filtered = (given: Partial<SearchFacts>): ReturnType<typeof chooseStrategy> =>
    chooseStrategy(facts({ rows: 10_000, matching: 5_000, indexEntries: 10_000, ...given, filtered: true }));

  test("looks once and has to meet four matching rows for each one wanted, while an exact search can make up for it", () => {
    expect(filtered({})).toEqual({
      kind: "index",
      efSearch: 120,
      visits: 120,
      fetch: 40,
      enough: 40,
      iterative: false,
    });
    expect(filtered({ k: 50 })).toMatchObject({ fetch: 200, enough: 200, iterative: false });
  });

  test("visits half as many more candidates than for a tenant of the same share", () => {
    const tenant = chooseStrategy(facts({ rows: 5_000, matching: 5_000, indexEntries: 10_000, efSearch: 1 }));
    const rows = chooseStrategy(
      facts({ rows: 5_000, matching: 5_000, indexEntries: 10_000, efSearch: 1, filtered: true }),
    );
    expect(tenant).toMatchObject({ kind: "index", visits: 80 });
    expect(rows).toMatchObject({ kind: "index", visits: 120 });
  });

  test("goes on until it has met enough where an exact search would take too long", () => {
    // About 3.7 microseconds for each row, of 200,000 that a remedy may take.
    const remedied = filtered({ rows: 50_000, matching: 45_000, indexEntries: 50_000 });
    const endless = filtered({ rows: 1e6, matching: 9e5, indexEntries: 1e6 });
    expect(remedied).toMatchObject({ kind: "index", iterative: false, enough: 40, fetch: 40 });
    expect(endless).toMatchObject({ kind: "index", iterative: true, enough: 10, fetch: 10 });
  });

  test("keeps four for each one wanted, iterating, when one pass cannot hold the candidates", () => {
    const wide = filtered({ k: 200, rows: 10_000, matching: 9_000 });
    expect(wide).toMatchObject({ kind: "index", efSearch: MAX_EF_SEARCH, fetch: 800, enough: 800, iterative: true });
  });
});

describe("settings", () => {
  const options = { iterative: true };

  test("an exact search can use no vector index", () => {
    expect(strategySettings({ kind: "exact" }, options)).toEqual({ enable_indexscan: "off" });
  });

  test("bounds an index scan whose estimate may be wrong, and leaves out what an older pgvector does not know", () => {
    const strategy = { kind: "index", efSearch: 1_000, visits: 4_000, fetch: 40, enough: 10, iterative: true } as const;
    expect(strategySettings(strategy, options)).toMatchObject({
      "hnsw.ef_search": "1000",
      "hnsw.iterative_scan": "relaxed_order",
      "hnsw.max_scan_tuples": "16000",
      "hnsw.scan_mem_multiplier": "8",
    });
    const old = Object.keys(strategySettings(strategy, { ...options, iterative: false }));
    expect(old.filter((name) => name.includes("scan"))).toEqual([]);
  });
});

test("a partial index covers the tenant that its predicate names, and no other", () => {
  expect(coversTenant(null, "a", "")).toBe(true);
  expect(coversTenant("(tenant_id = 'a'::text)", "a", "")).toBe(true);
  expect(coversTenant("(tenant_id = 'a'::text)", "b", "")).toBe(false);
  expect(coversTenant("(tenant_id = 'it''s'::text)", "it's", "")).toBe(true);
  expect(coversTenant("((tenant_id = 'a'::text) AND (collection = 'c'::text))", "a", "c")).toBe(true);
  expect(coversTenant("((tenant_id = 'a'::text) AND (collection = 'c'::text))", "a", "d")).toBe(false);
  expect(coversTenant("(tenant_id <> 'b'::text)", "a", "")).toBe(false);
});

describe("the memory of answers", () => {
  test("asks once for callers at the same time, and again after a failure", async () => {
    const cache = new ExpiringCache<number>(10, 60_000);
    let asked = 0;
    const ask = async (): Promise<number> => {
      asked += 1;
      if (asked === 1) throw new Error("no answer");
      return asked;
    };
    await expect(cache.get("a", ask)).rejects.toThrow("no answer");
    expect(await Promise.all([cache.get("a", ask), cache.get("a", ask)])).toEqual([2, 2]);
  });

  test("drops what was used longest ago", async () => {
    const cache = new ExpiringCache<string>(2, 60_000);
    const asked: string[] = [];
    const get = (key: string): Promise<string> =>
      cache.get(key, async () => {
        asked.push(key);
        return key;
      });
    for (const key of ["a", "b", "a", "c", "a", "b"]) await get(key);
    expect(asked).toEqual(["a", "b", "c", "b"]);
  });

  test("asks again when an answer has expired", async () => {
    const cache = new ExpiringCache<number>(2, 0);
    let asked = 0;
    const ask = (): Promise<number> => Promise.resolve((asked += 1));
    expect([await cache.get("a", ask), await cache.get("a", ask)]).toEqual([1, 2]);
  });
});

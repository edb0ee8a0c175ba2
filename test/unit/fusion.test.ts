import { describe, expect, it } from "vitest";
import { checkFusion, checkWeights, fuse, type FusionLegs } from "../../src/store/fusion/fusion.js";

const leg = (scores: Record<string, number>): FusionLegs["dense"] =>
  Object.entries(scores).map(([id, score], index) => ({ id, score, rank: index + 1 }));
const legs: FusionLegs = { dense: leg({ a: 0.9, b: 0.7, c: 0.5 }), lexical: leg({ b: 12, d: 4, a: 2 }) };
const even = { dense: 1, lexical: 1 };

describe("fuse", () => {
  it("scales relative scores between the last candidate and the best, and squares those by words", () => {
    const scores = fuse(legs, "relativeScore", { dense: 1, lexical: 3 });
    expect(scores.get("a")).toBeCloseTo(0.25, 12);
    expect(scores.get("b")).toBeCloseTo(0.25 * 0.5 + 0.75, 12);
    expect(scores.get("c")).toBe(0);
    expect(scores.get("d")).toBeCloseTo(0.75 * 0.2 ** 2, 12);
  });

  it("adds reciprocal ranks, as a share of being first in both", () => {
    const scores = fuse(legs, "rrf", even);
    expect(scores.get("b")).toBeCloseTo(0.5 * (61 / 62) + 0.5, 12);
    expect(fuse({ dense: leg({ a: 1 }), lexical: leg({ a: 1 }) }, "rrf", even).get("a")).toBe(1);
  });

  it.each(["relativeScore", "rrf", "distribution"] as const)(
    "keeps %s within 0 to 1, whatever a leg holds",
    (fusion) => {
      for (const dense of [leg({}), leg({ a: -3 }), leg({ a: 5, b: 5 }), leg({ a: 1e9, b: -1e9 })]) {
        for (const score of fuse({ dense, lexical: legs.lexical }, fusion, even).values()) {
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(1);
        }
      }
      expect(fuse({ dense: [], lexical: [] }, fusion, even).size).toBe(0);
    },
  );

  it("leaves a leg out whose weight is 0", () => {
    expect(fuse(legs, "relativeScore", { dense: 0, lexical: 2 }).get("b")).toBe(1);
  });

  it("refuses what it does not know", () => {
    expect(() => checkFusion("sum" as never)).toThrow(/fusion "sum"/);
    for (const weights of [{ dense: -1, lexical: 1 }, { dense: Number.NaN, lexical: 1 }, { dense: 0, lexical: 0 }, 3]) {
      expect(() => checkWeights(weights as never)).toThrow(/weights must be/);
    }
  });
});

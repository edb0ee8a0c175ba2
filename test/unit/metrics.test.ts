import { expect, it } from "vitest";
import { averagePrecision, mean, ndcg, recall, reciprocalRank } from "../../src/ops/eval/metrics.js";

const relevance = new Map([
  ["a", 3],
  ["b", 2],
  ["c", 0],
  ["d", 1],
]);

it("measures a ranking by hand-computed figures", () => {
  const ideal = 3 + 2 / Math.log2(3) + 1 / 2;
  expect(ndcg(["a", "b", "d"], relevance, 10)).toBe(1);
  expect(ndcg(["c", "a", "x", "b"], relevance, 10)).toBeCloseTo((3 / Math.log2(3) + 2 / Math.log2(5)) / ideal, 12);
  expect(ndcg(["c", "x"], relevance, 10)).toBe(0);
  expect(ndcg(["a"], new Map(), 10)).toBe(0);
  expect(recall(["c", "a", "x", "b"], relevance, 3)).toBeCloseTo(1 / 3, 12);
  expect(reciprocalRank(["c", "x", "d"], relevance, 10)).toBeCloseTo(1 / 3, 12);
  expect(reciprocalRank(["c", "x", "d"], relevance, 2)).toBe(0);
  expect(averagePrecision(["a", "c", "b"], relevance, 10)).toBeCloseTo((1 + 2 / 3) / 3, 12);
  expect(mean([1, 2, 6])).toBe(3);
  expect(() => mean([])).toThrow(/at least one/);
});

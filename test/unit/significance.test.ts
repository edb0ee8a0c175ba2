import { describe, expect, it } from "vitest";
import { bootstrap, holm, randomisationTest } from "../../src/ops/eval/significance.js";

const draws = { resamples: 20_000, seed: 3 };
const repeat = (value: number, count: number): number[] => Array.from({ length: count }, () => value);

describe("bootstrap", () => {
  it("gives the interval that theory gives for a large sample", () => {
    const { mean, low, high } = bootstrap([...repeat(0, 50), ...repeat(1, 50)], draws);
    expect(mean).toBe(0.5);
    // 1.96 standard errors of 0.05 on either side, in steps of 0.01.
    expect(low).toBeCloseTo(0.402, 1);
    expect(high).toBeCloseTo(0.598, 1);
    expect(high - low).toBeGreaterThan(0.17);
    expect(high - low).toBeLessThan(0.22);
  });

  it("is a point where all values are the same, and the same for the same seed", () => {
    expect(bootstrap(repeat(0.25, 9), draws)).toEqual({ mean: 0.25, low: 0.25, high: 0.25 });
    const values = [0.1, 0.9, 0.4, 0.7];
    expect(bootstrap(values, draws)).toEqual(bootstrap(values, draws));
    expect(bootstrap(values, draws)).not.toEqual(bootstrap(values, { ...draws, seed: 4, resamples: 100 }));
    expect(() => bootstrap([], draws)).toThrow(/at least one/);
  });
});

describe("randomisationTest", () => {
  it("gives the share of all choices of signs that are as far from zero", () => {
    // Two of the eight choices of signs for three equal differences: all up, all down.
    expect(randomisationTest([0.2, 0.2, 0.2], draws)).toBeCloseTo(2 / 8, 1);
    // For 1, 2 and 4 the sum is as large only with all signs the same.
    expect(Math.abs(randomisationTest([1, 2, 4, 0, 0], draws) - 2 / 8)).toBeLessThan(0.015);
    // |1 + 2 - 4| = 1, and no choice gives less.
    expect(randomisationTest([1, 2, -4], draws)).toBe(1);
  });

  it("is 1 without a difference, and small where every question agrees", () => {
    expect(randomisationTest([0, 0, 0], draws)).toBe(1);
    expect(randomisationTest(repeat(0.01, 40), draws)).toBeCloseTo(1 / 20_001, 6);
  });
});

it("holm multiplies each p-value by the number of those that are left, and never falls", () => {
  expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
  expect(holm([0.9, 0.6])).toEqual([1, 1]);
  expect(holm([])).toEqual([]);
});

import { Random } from "../random.js";
import { mean } from "./metrics.js";

/** A mean with the range in which it lies with the given confidence. */
export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface Resampling {
  readonly resamples: number;
  readonly seed: number;
}

/**
 * The percentile bootstrap: the mean of as many values drawn with replacement, many times over; `low` and `high` cut off
 * 2.5 % of these means on either side.
 *
 * @throws Error without values.
 * @see Sakai 2006, "Evaluating evaluation metrics based on the bootstrap", SIGIR, https://doi.org/10.1145/1148170.1148261
 */
export function bootstrap(values: readonly number[], { resamples, seed }: Resampling): Interval {
  const random = new Random(seed);
  const means = new Float64Array(resamples);
  for (let i = 0; i < resamples; i += 1) {
    let sum = 0;
    for (let j = 0; j < values.length; j += 1) sum += values[random.below(values.length)]!;
    means[i] = sum / values.length;
  }
  means.sort();
  const at = (share: number): number => means[Math.min(resamples - 1, Math.floor(share * resamples))]!;
  return { mean: mean(values), low: at(0.025), high: at(0.975) };
}

/**
 * The two-sided p-value of the paired randomisation test: how often the mean of the differences is at least as far from 0
 * as it is, when each difference gets a sign by chance, since without an effect either mode might have given either value.
 * `(hits + 1) / (resamples + 1)`, so never 0.
 *
 * @see Smucker, Allan and Carterette 2007, "A comparison of statistical significance tests for information retrieval
 * evaluation", CIKM, https://doi.org/10.1145/1321440.1321528
 */
export function randomisationTest(differences: readonly number[], { resamples, seed }: Resampling): number {
  const random = new Random(seed);
  // Only questions with a difference can change the sum.
  const moved = differences.filter((difference) => difference !== 0);
  const observed = Math.abs(moved.reduce((sum, difference) => sum + difference, 0));
  let hits = 0;
  for (let i = 0; i < resamples; i += 1) {
    let sum = 0;
    for (const difference of moved) sum += random.next() < 0.5 ? difference : -difference;
    // Sums of the same numbers in another order differ in their last digits.
    if (Math.abs(sum) >= observed - 1e-12) hits += 1;
  }
  return (hits + 1) / (resamples + 1);
}

/**
 * P-values of several comparisons, adjusted so that the chance of a false finding among all of them stays what it is for one.
 *
 * @see Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((p, index) => ({ p, index })).sort((a, b) => a.p - b.p);
  const adjusted = Array.from<number>({ length: pValues.length });
  let least = 0;
  order.forEach(({ p, index }, place) => {
    least = Math.max(least, Math.min(1, p * (pValues.length - place)));
    adjusted[index] = least;
  });
  return adjusted;
}

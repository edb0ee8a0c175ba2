/** Share of the first `k` of one ranking that are among the first `k` of the other, 0 to 1. */
export function overlapAt(a: readonly string[], b: readonly string[], k: number): number {
  const wanted = new Set(a.slice(0, k));
  const most = Math.min(k, Math.max(wanted.size, b.slice(0, k).length));
  return most === 0 ? 1 : b.slice(0, k).filter((id) => wanted.has(id)).length / most;
}

/**
 * Rank-biased overlap of two rankings, 0 to 1, extrapolated from the depth that both have: the agreement at each depth,
 * the earlier ones counting for more.
 *
 * @param p share of readers who go on to the next rank.
 * @see https://doi.org/10.1145/1852102.1852106 equation 23
 */
export function rankBiasedOverlap(a: readonly string[], b: readonly string[], p = 0.9): number {
  const depth = Math.min(a.length, b.length);
  if (depth === 0) return a.length === b.length ? 1 : 0;
  const seenA = new Set<string>();
  const seenB = new Set<string>();
  let common = 0;
  let sum = 0;
  for (let d = 1; d <= depth; d += 1) {
    const [x, y] = [a[d - 1]!, b[d - 1]!];
    if (x === y) common += 1;
    else common += (seenB.has(x) ? 1 : 0) + (seenA.has(y) ? 1 : 0);
    seenA.add(x);
    seenB.add(y);
    sum += (common / d) * p ** d;
  }
  return (common / depth) * p ** depth + ((1 - p) / p) * sum;
}

/** How relevant each document is to one question, by id; what is not listed is not relevant. */
export type Relevance = ReadonlyMap<string, number>;

/**
 * Normalised discounted cumulative gain of the first `k`, 0 to 1: the sum of `relevance / log2(rank + 1)`, divided by that
 * of the best order there is.
 *
 * @see https://trec.nist.gov/trec_eval/ measure `ndcg_cut`
 */
export function ndcg(ranking: readonly string[], relevance: Relevance, k: number): number {
  const gain = (grades: readonly number[]): number =>
    grades.slice(0, k).reduce((sum, grade, index) => sum + grade / Math.log2(index + 2), 0);
  const ideal = gain([...relevance.values()].filter((grade) => grade > 0).sort((a, b) => b - a));
  return ideal === 0 ? 0 : gain(ranking.map((id) => Math.max(0, relevance.get(id) ?? 0))) / ideal;
}

/** Share of the relevant documents that are among the first `k`, 0 to 1. */
export function recall(ranking: readonly string[], relevance: Relevance, k: number): number {
  const relevant = [...relevance].filter(([, grade]) => grade > 0);
  const first = new Set(ranking.slice(0, k));
  return relevant.length === 0 ? 0 : relevant.filter(([id]) => first.has(id)).length / relevant.length;
}

/** One divided by the rank of the first relevant document among the first `k`; 0 when there is none. */
export function reciprocalRank(ranking: readonly string[], relevance: Relevance, k: number): number {
  const index = ranking.slice(0, k).findIndex((id) => (relevance.get(id) ?? 0) > 0);
  return index === -1 ? 0 : 1 / (index + 1);
}

/** Mean of the precision at each relevant document; those beyond the first `k` count as not found. */
export function averagePrecision(ranking: readonly string[], relevance: Relevance, k: number): number {
  const relevant = [...relevance.values()].filter((grade) => grade > 0).length;
  let found = 0;
  let sum = 0;
  ranking.slice(0, k).forEach((id, index) => {
    if ((relevance.get(id) ?? 0) <= 0) return;
    found += 1;
    sum += found / (index + 1);
  });
  return relevant === 0 ? 0 : sum / relevant;
}

/** @throws Error without values. */
export function mean(values: readonly number[]): number {
  if (values.length === 0) throw new Error("A mean needs at least one value.");
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

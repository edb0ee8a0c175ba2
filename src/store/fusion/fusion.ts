import { ConfigurationError } from "../../errors.js";

/** One result of one leg of a hybrid search. */
export interface FusionCandidate {
  readonly id: string;
  /** Place in the leg's ranking, from 1. */
  readonly rank: number;
  /** Higher is better: a similarity in the dense leg, BM25 in the lexical one. */
  readonly score: number;
}

/** The rankings of a hybrid search, best first. A result may be in one of them or in both. */
export interface FusionLegs {
  readonly dense: readonly FusionCandidate[];
  readonly lexical: readonly FusionCandidate[];
}

/** What each leg counts for; only their ratio matters. */
export interface FusionWeights {
  readonly dense: number;
  readonly lexical: number;
}

/** Scores by id, higher is better, 0 to 1 if thresholds are to mean anything. Must be pure: the same for the same legs. */
export type FusionFunction = (legs: FusionLegs, weights: FusionWeights) => ReadonlyMap<string, number>;

/**
 * `relativeScore`: each leg's scores from 0 for its last candidate to 1 for its best, those of the lexical leg squared. `rrf`:
 * reciprocal ranks, k = 60. `distribution`: scores by their place within three standard deviations of their leg's mean.
 */
export type Fusion = "relativeScore" | "rrf" | "distribution" | FusionFunction;

/** The ratio with the best worst case over the reference collections; see docs/decisions/0013-lexical-index.md. */
export const DEFAULT_WEIGHTS: FusionWeights = { dense: 0.35, lexical: 0.65 };

const RRF_K = 60;

/** The candidates of both legs with one score each, 0 to 1 for the fusions of the library. */
export function fuse(legs: FusionLegs, fusion: Fusion, weights: FusionWeights): ReadonlyMap<string, number> {
  if (typeof fusion === "function") return fusion(legs, weights);
  const total = weights.dense + weights.lexical;
  const scores = new Map<string, number>();
  for (const leg of ["dense", "lexical"] as const) {
    const scale = SCALES[fusion](legs[leg], leg);
    for (const candidate of legs[leg]) {
      const part = (weights[leg] / total) * scale(candidate);
      scores.set(candidate.id, (scores.get(candidate.id) ?? 0) + part);
    }
  }
  return scores;
}

type Scale = (candidate: FusionCandidate) => number;

const SCALES: Readonly<
  Record<Exclude<Fusion, FusionFunction>, (leg: readonly FusionCandidate[], name: keyof FusionLegs) => Scale>
> = {
  relativeScore(leg, name) {
    const scores = leg.map(({ score }) => score);
    const [least, best] = [Math.min(...scores), Math.max(...scores)];
    // Most texts of the list have some words of the question by chance.
    const exponent = name === "lexical" ? 2 : 1;
    return ({ score }) => (best === least ? 1 : ((score - least) / (best - least)) ** exponent);
  },
  rrf() {
    return ({ rank }) => (RRF_K + 1) / (RRF_K + rank);
  },
  distribution(leg) {
    const mean = leg.reduce((sum, { score }) => sum + score, 0) / leg.length;
    const deviation = Math.sqrt(leg.reduce((sum, { score }) => sum + (score - mean) ** 2, 0) / leg.length);
    return ({ score }) => (deviation === 0 ? 0.5 : Math.min(1, Math.max(0, 0.5 + (score - mean) / (6 * deviation))));
  },
};

/** @throws ConfigurationError unless it is undefined, a function or the name of one. */
export function checkFusion(fusion: Fusion | undefined): Fusion | undefined {
  if (fusion === undefined || typeof fusion === "function" || Object.hasOwn(SCALES, fusion)) return fusion;
  throw new ConfigurationError(
    `fusion ${JSON.stringify(fusion)} is unknown; use ${Object.keys(SCALES)
      .map((name) => `"${name}"`)
      .join(", ")} or a function.`,
  );
}

function usable(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) >= 0;
}

/** @throws ConfigurationError unless both are numbers from 0, not both 0. */
export function checkWeights(weights: FusionWeights | undefined): FusionWeights | undefined {
  if (weights === undefined) return undefined;
  const { dense, lexical } = (weights ?? {}) as Partial<FusionWeights>;
  if (usable(dense) && usable(lexical) && dense + lexical > 0) return { dense, lexical };
  throw new ConfigurationError(
    `weights must be { dense, lexical }, two numbers from 0 and not both 0, got ${JSON.stringify(weights)}.`,
  );
}

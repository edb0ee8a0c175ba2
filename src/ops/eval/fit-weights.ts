import { Document } from "@langchain/core/documents";
import { ConfigurationError } from "../../errors.js";
import { DEFAULT_WEIGHTS, fuse, type Fusion, type FusionLegs, type FusionWeights } from "../../store/fusion/fusion.js";
import { integer } from "../../store/options.js";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import type { SearchOptions } from "../../store/search-hit.js";
import { rankingOf, type EvalOptions } from "./evaluate.js";
import type { LabelledQuestion } from "./labelled-set.js";
import { Random } from "../random.js";
import { mean, ndcg } from "./metrics.js";
import { randomisationTest } from "./significance.js";

export interface FitOptions extends Pick<EvalOptions, "k" | "idOf" | "resamples" | "seed" | "signal"> {
  /** @defaultValue `"relativeScore"` */
  fusion?: Exclude<Fusion, (...args: never) => unknown> | undefined;
  filter?: SearchOptions["filter"];
  onProgress?: (progress: { readonly done: number; readonly of: number }) => void;
}

/** nDCG over the questions that the weights were not fitted to. */
export interface FittedWeights {
  readonly weights: FusionWeights;
  readonly train: { readonly questions: number; readonly ndcg: number };
  readonly test: {
    readonly questions: number;
    readonly fitted: number;
    readonly byDefault: number;
    readonly dense: number;
    readonly lexical: number;
    /** P-value of the fitted weights against the default ones; and against the better leg. */
    readonly pDefault: number;
    readonly pLeg: number;
  };
  /** nDCG of the train half for each weight of the dense leg. */
  readonly curve: readonly { readonly dense: number; readonly ndcg: number }[];
}

const STEPS = 20;
const SAMPLES = 200;

/**
 * Finds the weights of the two legs of a hybrid search that rank best on every second question, and measures them on the
 * others. Each question is searched once: the candidates are those that a search for `k` results fuses.
 *
 * @throws ConfigurationError with fewer than four questions.
 */
export async function fitFusionWeights(
  store: Pick<PostgresVectorStore, "search" | "get">,
  questions: readonly LabelledQuestion[],
  options: FitOptions = {},
): Promise<FittedWeights> {
  const { fusion = "relativeScore", idOf = (document) => document.id, signal, onProgress } = options;
  const k = integer("k", options.k, 1, 1_000) ?? 10;
  if (questions.length < 4) {
    throw new ConfigurationError(`Fitting weights needs at least 4 questions, got ${questions.length}.`);
  }
  const judged: Judged[] = [];
  for (const { text, relevance } of questions) {
    signal?.throwIfAborted();
    judged.push({ ...(await candidatesOf(store, text, { ...options, k, idOf })), relevance });
    onProgress?.({ done: judged.length, of: questions.length });
  }
  const scores = (half: readonly Judged[], weights: FusionWeights): number[] =>
    half.map((one) => ndcg(fusedRanking(one, fusion, weights), one.relevance, k));
  const [train, test] = [0, 1].map((rest) => judged.filter((_, index) => index % 2 === rest)) as [Judged[], Judged[]];
  const grid = Array.from({ length: STEPS + 1 }, (_, step) => {
    const dense = step / STEPS;
    return { dense, scores: scores(train, { dense, lexical: 1 - dense }) };
  });
  const dense = round(steadyBest(grid, options.seed ?? 1));
  const weights = { dense, lexical: round(1 - dense) };
  const fitted = scores(test, weights);
  const byDefault = scores(test, DEFAULT_WEIGHTS);
  const byVector = scores(test, { dense: 1, lexical: 0 });
  const byWords = scores(test, { dense: 0, lexical: 1 });
  const leg = mean(byVector) > mean(byWords) ? byVector : byWords;
  const resampling = { resamples: options.resamples ?? 10_000, seed: options.seed ?? 1 };
  const against = (other: readonly number[]): number =>
    randomisationTest(
      fitted.map((value, index) => value - other[index]!),
      resampling,
    );
  return {
    weights,
    train: { questions: train.length, ndcg: mean(scores(train, weights)) },
    test: {
      questions: test.length,
      fitted: mean(fitted),
      byDefault: mean(byDefault),
      dense: mean(byVector),
      lexical: mean(byWords),
      pDefault: against(byDefault),
      pLeg: against(leg),
    },
    curve: grid.map((point) => ({ dense: point.dense, ndcg: mean(point.scores) })),
  };
}

/**
 * The mean of the best weights of many samples of the questions, drawn with replacement: the best weight of all questions
 * hangs on a few of them. See docs/benchmarks/post-processors.md.
 *
 * @see Breiman 1996, "Bagging predictors", https://doi.org/10.1007/BF00058655
 */
function steadyBest(grid: readonly { dense: number; scores: readonly number[] }[], seed: number): number {
  const random = new Random(seed);
  const questions = grid[0]!.scores.length;
  const best = Array.from({ length: SAMPLES }, () => {
    const sample = Array.from({ length: questions }, () => random.below(questions));
    const total = ({ scores }: (typeof grid)[number]): number => sample.reduce((sum, at) => sum + scores[at]!, 0);
    const totals = grid.map(total);
    return grid[totals.indexOf(Math.max(...totals))]!.dense;
  });
  return mean(best);
}

function round(share: number): number {
  return Math.round(share * 100) / 100;
}

interface Candidates {
  readonly legs: FusionLegs;
  /** The id that judgements know a candidate by, by the id of its chunk. */
  readonly known: ReadonlyMap<string, string>;
}

interface Judged extends Candidates {
  readonly relevance: LabelledQuestion["relevance"];
}

/** What a hybrid search for `k` results would fuse. A question without words has the results by vector alone. */
async function candidatesOf(
  store: Pick<PostgresVectorStore, "search" | "get">,
  text: string,
  { k, idOf, filter, signal }: { k: number; idOf: NonNullable<EvalOptions["idOf"]> } & FitOptions,
): Promise<Candidates> {
  const seen: FusionLegs[] = [];
  const hits = await store.search(text, {
    searchType: "hybrid",
    k,
    filter,
    fusion: (legs, weights) => {
      seen.push(legs);
      return fuse(legs, "relativeScore", weights);
    },
    ...(signal !== undefined && { signal }),
  });
  const dense = hits.map(({ document, score }, index) => ({ id: document.id!, rank: index + 1, score }));
  const legs = seen[0] ?? { dense, lexical: [] };
  const ids = [...new Set([...legs.dense, ...legs.lexical].map(({ id }) => id))];
  const rows = ids.length === 0 ? [] : await store.get({ ids, include: ["metadatas"] });
  const known = rows.map(({ id, metadata }) => {
    const document = new Document({ id, pageContent: "", metadata: metadata! });
    return [id, rankingOf([{ document }], idOf)[0]] as const;
  });
  return { legs, known: new Map(known.filter((entry): entry is readonly [string, string] => entry[1] !== undefined)) };
}

function fusedRanking({ legs, known }: Candidates, fusion: Fusion, weights: FusionWeights): string[] {
  const scores = [...fuse(legs, fusion, weights)].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return [...new Set(scores.map(([id]) => known.get(id)).filter((id) => id !== undefined))];
}

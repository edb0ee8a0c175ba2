import { Document } from "@langchain/core/documents";
import { ConfigurationError } from "../../errors.js";
import { DEFAULT_WEIGHTS, fuse, type Fusion, type FusionLegs, type FusionWeights } from "../../store/fusion/fusion.js";
import { integer } from "../../store/options.js";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import type { SearchOptions } from "../../store/search-hit.js";
import { rankingOf, type EvalOptions } from "./evaluate.js";
import type { LabelledQuestion } from "./labelled-set.js";
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
  const curve = Array.from({ length: STEPS + 1 }, (_, step) => {
    const dense = step / STEPS;
    return { dense, ndcg: mean(scores(train, { dense, lexical: 1 - dense })) };
  });
  const best = curve.reduce((a, b) => (b.ndcg > a.ndcg ? b : a));
  const weights = { dense: best.dense, lexical: Math.round((1 - best.dense) * STEPS) / STEPS };
  const fitted = scores(test, weights);
  const byDefault = scores(test, DEFAULT_WEIGHTS);
  const [dense, lexical] = [scores(test, { dense: 1, lexical: 0 }), scores(test, { dense: 0, lexical: 1 })];
  const leg = mean(dense) > mean(lexical) ? dense : lexical;
  const resampling = { resamples: options.resamples ?? 10_000, seed: options.seed ?? 1 };
  const against = (other: readonly number[]): number =>
    randomisationTest(
      fitted.map((value, index) => value - other[index]!),
      resampling,
    );
  return {
    weights,
    train: { questions: train.length, ndcg: best.ndcg },
    test: {
      questions: test.length,
      fitted: mean(fitted),
      byDefault: mean(byDefault),
      dense: mean(dense),
      lexical: mean(lexical),
      pDefault: against(byDefault),
      pLeg: against(leg),
    },
    curve,
  };
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

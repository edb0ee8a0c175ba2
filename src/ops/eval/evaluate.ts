import type { Document } from "@langchain/core/documents";
import { ConfigurationError } from "../../errors.js";
import { integer } from "../../store/options.js";
import type { SearchHit, SearchOptions } from "../../store/search-hit.js";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import type { LabelledQuestion } from "./labelled-set.js";
import { averagePrecision, ndcg, recall, reciprocalRank } from "./metrics.js";
import { bootstrap, holm, randomisationTest, type Interval, type Resampling } from "./significance.js";

/** A way to search that is to be measured. */
export interface EvalMode {
  readonly name: string;
  /** What `store.search` gets beside the question, `k` and the signal. */
  readonly options: SearchOptions;
}

export const METRICS = ["ndcg", "recall", "mrr", "map"] as const;
export type MetricName = (typeof METRICS)[number];

export interface EvalOptions {
  /** One or more, with different names. */
  modes: readonly EvalMode[];
  /** Results that are asked for and looked at. @defaultValue 10 */
  k?: number;
  /**
   * The id that judgements know a result by, such as that of the document that a chunk comes from. Of several results with
   * the same one, the first counts.
   * @defaultValue the id of the chunk
   */
  idOf?: (document: Document) => string | undefined;
  /** Draws for intervals and tests. @defaultValue 10000 */
  resamples?: number;
  /** The same seed gives the same intervals and p-values for the same rankings. @defaultValue 1 */
  seed?: number;
  /** Called after each question, in each mode. */
  onProgress?: (progress: { readonly mode: string; readonly done: number; readonly of: number }) => void;
  signal?: AbortSignal | undefined;
}

/** What one mode made of one question. */
export interface QuestionResult extends Readonly<Record<MetricName, number>> {
  readonly id: string;
  readonly results: number;
  readonly milliseconds: number;
}

export interface ModeReport {
  readonly name: string;
  /** Means over the questions, at `k`, with 95 % intervals. */
  readonly metrics: Readonly<Record<MetricName, Interval>>;
  /** Of a whole call, embedding the question included, in milliseconds. */
  readonly latency: { readonly p50: number; readonly p95: number };
  /** Questions without any result. */
  readonly empty: number;
  /** Questions without a word to look up, which were searched by similarity instead. */
  readonly fallback: number;
  readonly questions: readonly QuestionResult[];
}

/** How the nDCG of two modes differs over the same questions. */
export interface Comparison {
  readonly better: string;
  readonly worse: string;
  /** Mean of the differences, with a 95 % interval. */
  readonly difference: Interval;
  /** Of the paired randomisation test, two-sided. */
  readonly p: number;
  /** The same, adjusted for the number of comparisons (Holm). */
  readonly adjusted: number;
}

export interface EvalReport {
  readonly questions: number;
  readonly k: number;
  readonly resamples: number;
  readonly seed: number;
  readonly modes: readonly ModeReport[];
  /** Each pair of modes. */
  readonly comparisons: readonly Comparison[];
}

/**
 * Measures ways to search a store by questions whose relevant documents are known. Modes run one after the other, question
 * by question, so that latencies are those of a quiet client.
 *
 * @throws ConfigurationError before any I/O for modes or numbers that cannot be.
 */
export async function evaluateRetrieval(
  store: Pick<PostgresVectorStore, "search">,
  questions: readonly LabelledQuestion[],
  options: EvalOptions,
): Promise<EvalReport> {
  const { modes, signal, onProgress, idOf = (document) => document.id } = options;
  const k = integer("k", options.k, 1, 1_000) ?? 10;
  const resampling: Resampling = {
    resamples: integer("resamples", options.resamples, 100, 1_000_000) ?? 10_000,
    seed: integer("seed", options.seed, 0, Number.MAX_SAFE_INTEGER) ?? 1,
  };
  if (questions.length === 0) throw new ConfigurationError("There is no question to measure with.");
  if (modes.length === 0 || new Set(modes.map(({ name }) => name)).size < modes.length) {
    throw new ConfigurationError("Give one mode or more, each with a name of its own.");
  }
  const reports: ModeReport[] = [];
  for (const { name, options: search } of modes) {
    const results: QuestionResult[] = [];
    let fallback = 0;
    for (const question of questions) {
      signal?.throwIfAborted();
      const started = performance.now();
      const hits = await store.search(question.text, { ...search, k, ...(signal !== undefined && { signal }) });
      const milliseconds = performance.now() - started;
      if (hits[0]?.fallback !== undefined) fallback += 1;
      results.push({ ...judge(question, rankingOf(hits, idOf), k), results: hits.length, milliseconds });
      onProgress?.({ mode: name, done: results.length, of: questions.length });
    }
    reports.push(summarise(name, results, fallback, resampling));
  }
  return { questions: questions.length, k, ...resampling, modes: reports, comparisons: compare(reports, resampling) };
}

/** Ids of a ranking, each once. */
export function rankingOf(
  hits: readonly Pick<SearchHit, "document">[],
  idOf: NonNullable<EvalOptions["idOf"]>,
): string[] {
  return [...new Set(hits.map(({ document }) => idOf(document)).filter((id) => id !== undefined))];
}

function judge(
  { id, relevance }: LabelledQuestion,
  ranking: readonly string[],
  k: number,
): Pick<QuestionResult, "id" | MetricName> {
  return {
    id,
    ndcg: ndcg(ranking, relevance, k),
    recall: recall(ranking, relevance, k),
    mrr: reciprocalRank(ranking, relevance, k),
    map: averagePrecision(ranking, relevance, k),
  };
}

function summarise(name: string, questions: QuestionResult[], fallback: number, resampling: Resampling): ModeReport {
  const times = questions.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(share * times.length))]!;
  const interval = (metric: MetricName): Interval =>
    bootstrap(
      questions.map((question) => question[metric]),
      resampling,
    );
  return {
    name,
    metrics: { ndcg: interval("ndcg"), recall: interval("recall"), mrr: interval("mrr"), map: interval("map") },
    latency: { p50: at(0.5), p95: at(0.95) },
    empty: questions.filter(({ results }) => results === 0).length,
    fallback,
    questions,
  };
}

function compare(modes: readonly ModeReport[], resampling: Resampling): Comparison[] {
  const pairs = modes.flatMap((a, index) => modes.slice(index + 1).map((b) => [a, b] as const));
  const compared = pairs.map(([a, b]) => {
    const [better, worse] = a.metrics.ndcg.mean >= b.metrics.ndcg.mean ? [a, b] : [b, a];
    const differences = better.questions.map(({ ndcg: value }, index) => value - worse.questions[index]!.ndcg);
    return {
      better: better.name,
      worse: worse.name,
      difference: bootstrap(differences, resampling),
      p: randomisationTest(differences, resampling),
    };
  });
  const adjusted = holm(compared.map(({ p }) => p));
  return compared.map((comparison, index) => ({ ...comparison, adjusted: adjusted[index]! }));
}

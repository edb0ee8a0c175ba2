import { mapBatches } from "../../embeddings/batches.js";
import { ConfigurationError } from "../../errors.js";
import { answerF1, holdsAnswer, isExactMatch } from "./answer-metrics.js";
import { mean } from "./metrics.js";

/** A question with what is known about its answer. */
export interface AnswerQuestion {
  readonly id: string;
  readonly question: string;
  /** Gold answers, any of which is right; empty or absent when the documents do not hold one. */
  readonly answers?: readonly string[] | undefined;
  /** Ids or sources of the documents that hold the answer, when they are known. */
  readonly documents?: readonly string[] | undefined;
}

/** What is asked; `createRagChain(...).invoke` returns this. */
export interface GivenAnswer {
  readonly answer: string;
  readonly abstained: boolean;
  readonly citations: readonly {
    readonly quote: string;
    readonly documentId?: string | undefined;
    readonly source?: string | undefined;
  }[];
}

/** How good an answer is by some other measure, 0 to 1. */
export type AnswerJudge = (
  question: string,
  answer: string,
  golds: readonly string[],
  signal?: AbortSignal,
) => Promise<number>;

export interface EvaluateAnswersOptions {
  /** Questions asked at the same time. @defaultValue 4 */
  readonly concurrency?: number | undefined;
  /** Judges every answer to an answerable question that is no abstention. */
  readonly judge?: AnswerJudge | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each question with how many are done. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Means over the questions, 0 to 1; absent where no question has what the figure needs. */
export interface AnswerReport {
  readonly questions: number;
  readonly answerable: number;
  /** Share of answerable questions that were answered. */
  readonly answered?: number;
  /** Share of unanswerable questions that were not. */
  readonly abstained?: number;
  /** Over all answerable questions; an abstention counts as wrong. */
  readonly exactMatch?: number;
  readonly f1?: number;
  /** Share of answerable questions whose answer has a gold answer in it. */
  readonly holdsAnswer?: number;
  /** Share of answerable questions whose first citation has a gold answer in its quote. */
  readonly firstQuoteHoldsAnswer?: number;
  /** Share of citations that point to a document that holds the answer, over questions that name theirs. */
  readonly citationPrecision?: number;
  /** Mean of the judge's verdicts. */
  readonly judged?: number;
}

interface Row {
  readonly question: AnswerQuestion;
  readonly given: GivenAnswer;
  readonly verdict: number | undefined;
}

/**
 * Asks every question and compares the answers with the gold ones.
 *
 * @throws ConfigurationError without questions
 * @throws what `ask` throws: a report with holes would be none
 */
export async function evaluateAnswers(
  questions: readonly AnswerQuestion[],
  ask: (question: string, signal?: AbortSignal) => Promise<GivenAnswer>,
  options: EvaluateAnswersOptions = {},
): Promise<AnswerReport> {
  if (questions.length === 0) throw new ConfigurationError("There are no questions to evaluate.");
  const { concurrency = 4, judge, signal, onProgress } = options;
  let done = 0;
  const rows = await mapBatches(questions, 1, concurrency, async ([question]): Promise<Row[]> => {
    signal?.throwIfAborted();
    const given = await ask(question!.question, signal);
    const golds = question!.answers ?? [];
    const judged = judge !== undefined && golds.length > 0 && !given.abstained;
    const verdict = judged ? await judge(question!.question, given.answer, golds, signal) : undefined;
    onProgress?.((done += 1));
    return [{ question: question!, given, verdict }];
  });
  return reportOf(rows);
}

function reportOf(rows: readonly Row[]): AnswerReport {
  const answerable = rows.filter(({ question }) => (question.answers ?? []).length > 0);
  const others = rows.filter(({ question }) => (question.answers ?? []).length === 0);
  const share = (of: readonly Row[], value: (row: Row) => number | boolean): number | undefined =>
    of.length === 0 ? undefined : mean(of.map((row) => Number(value(row))));
  const right = (measure: (answer: string, golds: readonly string[]) => number | boolean) => (row: Row) =>
    row.given.abstained ? 0 : measure(row.given.answer, row.question.answers!);
  const citations = rows.flatMap(({ question: { documents }, given }) =>
    documents === undefined
      ? []
      : given.citations.map(({ documentId, source }) =>
          Number([documentId, source].some((place) => place !== undefined && documents.includes(place))),
        ),
  );
  const verdicts = rows.map(({ verdict }) => verdict).filter((verdict) => verdict !== undefined);
  const figures = {
    answered: share(answerable, ({ given }) => !given.abstained),
    abstained: share(others, ({ given }) => given.abstained),
    exactMatch: share(answerable, right(isExactMatch)),
    f1: share(answerable, right(answerF1)),
    holdsAnswer: share(answerable, right(holdsAnswer)),
    firstQuoteHoldsAnswer: share(answerable, ({ given, question }) =>
      holdsAnswer(given.citations[0]?.quote ?? "", question.answers!),
    ),
    citationPrecision: citations.length === 0 ? undefined : mean(citations),
    judged: verdicts.length === 0 ? undefined : mean(verdicts),
  };
  const known = Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
  return { questions: rows.length, answerable: answerable.length, ...known };
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createRagChain } from "../src/chains/index.js";
import { OfflineEmbeddings, PostgresVectorStore, type SearchType } from "../src/index.js";
import { evaluateAnswers, type AnswerQuestion } from "../src/ops/eval/evaluate-answers.js";
import { mean, ndcg, recall } from "../src/ops/eval/metrics.js";
import {
  atLeast,
  type Bar,
  type BenchOptions,
  type BenchResult,
  describeMachine,
  openBenchDatabase,
  progress,
  table,
} from "./harness.js";
import { readSet, setFolder, type LabelledSet } from "./hybrid/sets.js";

const MODES = ["similarity", "lexical", "hybrid"] as const satisfies readonly SearchType[];
/** Those whose ranking is measured beside the sets of the answers. */
const RANKED = ["xquad-en", "pgdocs15", "scifact", "cranfield", "cisi", "adi"];

/** The offline pipeline end to end: retrieval, answers with quotes, and when it says that it does not know. */
export async function run({ quick, dimensions = 384 }: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase();
  try {
    const pool = database.newPool({ max: 4 }) as never;
    const xquad = readSet("xquad-en");
    const manual = readSet("pgdocs15");
    if (xquad === undefined || manual === undefined) throw new Error("xquad-en or pgdocs15 is not there.");
    const bars: Bar[] = [];
    const ranking: Record<string, string | number>[] = [];
    const stores = new Map<string, PostgresVectorStore>();
    for (const name of quick ? RANKED.slice(0, 2) : RANKED) {
      const set = readSet(name);
      if (set === undefined) progress(`${name} is not there`);
      else {
        const store = await load(pool, set, dimensions);
        stores.set(name, store);
        ranking.push(...(await rank(set, store, quick)));
      }
    }
    table(`Ranking, offline embedder of ${dimensions} dimensions beside BM25`, ranking);
    const figure = (set: string, mode: string, name: string): number =>
      ranking.find((row) => row["set"] === set && row["mode"] === mode)![name] as number;
    bars.push(
      atLeast("xquad-en, hybrid: gold paragraph among the top 5", figure("xquad-en", "hybrid", "recall@5"), 0.97),
      atLeast("pgdocs15, hybrid: nDCG@10", figure("pgdocs15", "hybrid", "nDCG@10"), 0.58),
    );

    const questions = answersOf(xquad, quick ? 10 : 1);
    const unanswerable = questions.map(({ id, question }) => ({ id, question }));
    const answers: Record<string, string | number>[] = [];
    for (const mode of MODES) {
      const ask = askIn(stores.get("xquad-en")!, mode);
      const report = await evaluateAnswers(questions, ask);
      const stranger = await evaluateAnswers(unanswerable, askIn(stores.get("pgdocs15")!, mode));
      progress(`${mode}: ${questions.length} questions answered`);
      answers.push({
        mode,
        answered: report.answered!,
        "abstains elsewhere": stranger.abstained!,
        "first sentence": report.firstQuoteHoldsAnswer!,
        "any sentence": report.holdsAnswer!,
        "exact match": report.exactMatch!,
        F1: report.f1!,
        "citation precision": report.citationPrecision!,
      });
      if (mode !== "hybrid") continue;
      bars.push(
        atLeast("xquad-en: the first sentence holds the gold answer", report.firstQuoteHoldsAnswer!, 0.6),
        atLeast("xquad-en: answerable questions answered", report.answered!, 0.9),
        atLeast("xquad-en asked about pgdocs15: abstains", stranger.abstained!, 0.8),
      );
    }
    table(`Answers to ${questions.length} questions of xquad-en, no model`, answers);
    return { machine: await describeMachine(database), figures: { ranking, answers }, bars };
  } finally {
    await database.close();
  }
}

async function load(pool: never, set: LabelledSet, dimensions: number): Promise<PostgresVectorStore> {
  const store = await PostgresVectorStore.initialize(new OfflineEmbeddings({ dimensions }), {
    pool,
    tableName: `answers_${set.name.replaceAll("-", "_")}`,
    lexical: true,
  });
  await store.bulkLoad(set.documents.map(({ id, text }) => ({ id, pageContent: text, metadata: { source: id } })));
  await store.lexical.compact();
  progress(`${set.name}: ${set.documents.length} documents`);
  return store;
}

async function rank(
  set: LabelledSet,
  store: PostgresVectorStore,
  quick: boolean,
): Promise<Record<string, string | number>[]> {
  const questions = quick ? set.questions.filter((_, index) => index % 5 === 0) : set.questions;
  const rows = [];
  for (const mode of MODES) {
    const rankings: string[][] = [];
    for (const { text } of questions) {
      rankings.push((await store.search(text, { searchType: mode, k: 100 })).map(({ document }) => document.id!));
    }
    const over = (measure: typeof ndcg, k: number): number =>
      mean(questions.map(({ relevance }, index) => measure(rankings[index]!, relevance, k)));
    rows.push({
      set: set.name,
      mode,
      "nDCG@10": over(ndcg, 10),
      "recall@5": over(recall, 5),
      "recall@100": over(recall, 100),
    });
  }
  return rows;
}

function askIn(store: PostgresVectorStore, searchType: SearchType) {
  const chain = createRagChain({ store, searchType });
  return (input: string) => chain.invoke({ input });
}

/** Every `step`-th question with its gold answer. */
function answersOf(set: LabelledSet, step: number): AnswerQuestion[] {
  const lines = readFileSync(join(setFolder(set.name), "answers.jsonl"), "utf8")
    .trim()
    .split("\n");
  const golds = new Map(
    lines.map((line) => {
      const { _id, doc, answer } = JSON.parse(line) as { _id: string; doc: string; answer: string };
      return [_id, { doc, answer }];
    }),
  );
  return set.questions
    .filter((_, index) => index % step === 0)
    .map(({ id, text }) => {
      const { doc, answer } = golds.get(id)!;
      return { id, question: text, answers: [answer], documents: [doc] };
    });
}

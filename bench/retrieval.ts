import type { Pool } from "pg";
import { PostgresVectorStore } from "../src/index.js";
import { fitFusionWeights } from "../src/ops/eval/fit-weights.js";
import { mean, ndcg, recall } from "../src/ops/eval/metrics.js";
import type { SearchHit } from "../src/store/search-hit.js";
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
import { readSet, VECTOR_DIMENSIONS, type LabelledSet } from "./hybrid/sets.js";
import { misspell } from "./retrieval/typos.js";

/** nDCG@10 of the better of two parameter settings of the reference BM25 (Lucene's formula). */
const REFERENCE: Readonly<Record<string, number>> = {
  scifact: 0.697,
  cranfield: 0.5104,
  cisi: 0.381,
  adi: 0.4814,
  pgdocs15: 0.6157,
};
/** Columns that not every row has. */
const EMPTY_ROW = { set: "", lexical: "-", recall100: "-", empty: "-", dense: "-", hybrid: "-", fitted: "-" };

/** One question's results, best first, by each leg and by both. */
interface Judged {
  readonly rankings: Readonly<Record<"dense" | "lexical" | "hybrid", readonly string[]>>;
  readonly relevance: ReadonlyMap<string, number>;
}

/** Ranking quality of both legs and of their fusion over collections with judgements. */
export async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase();
  const rows: Record<string, string | number>[] = [];
  const bars: Bar[] = [];
  try {
    let aboveBoth = 0;
    for (const name of quick ? ["cranfield", "adi"] : Object.keys(REFERENCE)) {
      const set = readSet(name);
      if (set === undefined) {
        progress(`${name} is not there`);
        continue;
      }
      const pool = database.newPool({ max: 2 });
      const store = await open(set, pool, "english");
      const judged = await search(store, set);
      const lexical = quality(judged, "lexical");
      const empty = judged.filter(({ rankings }) => rankings.lexical.length === 0).length;
      const row = {
        set: name,
        lexical,
        recall100: mean(judged.map(({ rankings, relevance }) => recall(rankings.lexical, relevance, 100))),
        empty,
      };
      bars.push(atLeast(`${name}: lexical nDCG@10 against the reference`, lexical, REFERENCE[name]! - 0.01));
      if (name !== "pgdocs15")
        bars.push({ name: `${name}: questions without a result`, want: "0", got: String(empty), ok: empty === 0 });
      if (name === "scifact") {
        const mistyped = quality(await search(store, misspell(set)), "lexical");
        rows.push({ set: "scifact, a typo in each rarest word", lexical: mistyped });
        bars.push(atLeast("scifact: nDCG@10 with a typo in each rarest word", mistyped, 0.9 * lexical));
      }
      if (!set.dense) {
        rows.push(row);
        continue;
      }
      const dense = quality(judged, "dense");
      const hybrid = quality(judged, "hybrid");
      bars.push(atLeast(`${name}: default weights`, hybrid, Math.max(lexical, dense) - 0.05));
      const halves = [];
      for (const [half, questions] of [set.questions, [...set.questions.slice(1), set.questions[0]!]].entries()) {
        // The weights are fitted to every second question and measured on the others; then the other way round.
        const { weights, test } = await fitFusionWeights(store, questions);
        const better = Math.max(test.dense, test.lexical);
        if (half === 0 && test.fitted > better) aboveBoth += 1;
        halves.push(
          `${test.fitted.toFixed(4)} at ${weights.dense} (${test.lexical.toFixed(4)}, ${test.dense.toFixed(4)})`,
        );
        const which = half === 0 ? "test half" : "the halves changed over";
        bars.push(atLeast(`${name}: fitted weights, ${which}`, test.fitted, better - 0.005));
      }
      rows.push({ ...row, dense, hybrid, fitted: halves.join("; ") });
    }
    if (!quick) bars.push(atLeast("sets where fitted weights beat both legs", aboveBoth, 2));
    const german = quick ? undefined : readSet("xquad-de");
    if (german !== undefined) {
      const [stemmed, simple] = [
        quality(await search(await open(german, database.newPool({ max: 2 }), "german"), german), "lexical"),
        quality(await search(await open(german, database.newPool({ max: 2 }), "simple"), german), "lexical"),
      ];
      rows.push({ set: "xquad-de, german", lexical: stemmed }, { set: "xquad-de, simple", lexical: simple });
      bars.push({
        name: "xquad-de: german against simple",
        want: `> ${simple.toFixed(4)}`,
        got: stemmed.toFixed(4),
        ok: stemmed > simple,
      });
    }
    table(
      "nDCG@10",
      rows.map((row) => ({ ...EMPTY_ROW, ...row })),
    );
    return { machine: await describeMachine(database), figures: { sets: rows }, bars };
  } finally {
    await database.close();
  }
}

/** A store that has all documents of a set. */
async function open(set: LabelledSet, pool: Pool, language: string): Promise<PostgresVectorStore> {
  const asked = [...set.questions, ...misspell(set).questions];
  const vectors = new Map(asked.map(({ text, vector }) => [text, [...vector]]));
  const embeddings = {
    embedQuery: (text: string) => Promise.resolve(vectors.get(text)!),
    embedDocuments: () => Promise.resolve([]),
  };
  const store = await PostgresVectorStore.initialize(embeddings, {
    pool,
    tableName: `retrieval_${set.name}_${language}`.replaceAll("-", "_"),
    dimensions: VECTOR_DIMENSIONS,
    lexical: { language },
  });
  const documents = set.documents.map(({ id, text }) => ({ id, pageContent: text, metadata: {} }));
  for (let at = 0; at < documents.length; at += 1_000) {
    await store.addVectors(
      set.documents.slice(at, at + 1_000).map(({ vector }) => [...vector]),
      documents.slice(at, at + 1_000),
    );
  }
  await store.lexical.compact();
  return store;
}

/** Both legs and a hybrid search with the default weights for every question. */
async function search(store: PostgresVectorStore, set: LabelledSet): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const { text, vector, relevance } of set.questions) {
    const words = await store.search(text, { searchType: "lexical", k: 100 });
    const rankings = {
      lexical: ids(words.filter((hit) => hit.lexical !== undefined)),
      dense: ids(await store.search(vector, { k: 100 })),
      hybrid: ids(await store.search(text, { searchType: "hybrid", k: 10 })),
    };
    judged.push({ rankings, relevance });
  }
  progress(`${set.name}: ${judged.length} questions`);
  return judged;
}

const ids = (hits: readonly SearchHit[]): string[] => hits.map(({ document }) => document.id!);

/** nDCG@10. */
function quality(judged: readonly Judged[], by: keyof Judged["rankings"]): number {
  return mean(judged.map(({ rankings, relevance }) => ndcg(rankings[by], relevance, 10)));
}

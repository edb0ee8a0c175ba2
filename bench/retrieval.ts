import type { Pool } from "pg";
import { PostgresVectorStore } from "../src/index.js";
import { fitFusionWeights } from "../src/ops/eval/fit-weights.js";
import { mean, ndcg, recall } from "../src/ops/eval/metrics.js";
import { DEFAULT_WEIGHTS, fuse, type FusionLegs, type FusionWeights } from "../src/store/fusion/fusion.js";
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

interface Judged {
  readonly legs: FusionLegs;
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
      const lexical = lexicalQuality(judged);
      const empty = judged.filter(({ legs }) => legs.lexical.length === 0).length;
      const row = {
        set: name,
        lexical,
        recall100: mean(judged.map(({ legs, relevance }) => recall(ids(legs.lexical), relevance, 100))),
        empty,
      };
      bars.push(atLeast(`${name}: lexical nDCG@10 against the reference`, lexical, REFERENCE[name]! - 0.01));
      if (name !== "pgdocs15")
        bars.push({ name: `${name}: questions without a result`, want: "0", got: String(empty), ok: empty === 0 });
      if (name === "scifact") {
        const mistyped = lexicalQuality(await search(store, misspell(set)));
        rows.push({ set: "scifact, a typo in each rarest word", lexical: mistyped });
        bars.push(atLeast("scifact: nDCG@10 with a typo in each rarest word", mistyped, 0.9 * lexical));
      }
      if (!set.dense) {
        rows.push(row);
        continue;
      }
      const dense = mean(judged.map(({ legs, relevance }) => ndcg(ids(legs.dense), relevance, 10)));
      const hybrid = quality(judged, DEFAULT_WEIGHTS);
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
        lexicalQuality(await search(await open(german, database.newPool({ max: 2 }), "german"), german)),
        lexicalQuality(await search(await open(german, database.newPool({ max: 2 }), "simple"), german)),
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
  const vectors = new Map(set.questions.map(({ text, vector }) => [text, [...vector]]));
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

/** Both legs for every question. */
async function search(store: PostgresVectorStore, set: LabelledSet): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const { text, vector, relevance } of set.questions) {
    const words = (await store.search(text, { searchType: "lexical", k: 100 })).filter(
      (hit) => hit.lexical !== undefined,
    );
    const near = await store.search(vector, { k: 100 });
    judged.push({
      relevance,
      legs: {
        dense: candidates(near, (hit) => hit.similarity!),
        lexical: candidates(words, (hit) => hit.lexical!.bm25),
      },
    });
  }
  progress(`${set.name}: ${judged.length} questions`);
  return judged;
}

const candidates = (hits: readonly SearchHit[], score: (hit: SearchHit) => number): FusionLegs["dense"] =>
  hits.map((hit, index) => ({ id: hit.document.id!, rank: index + 1, score: score(hit) }));

function lexicalQuality(judged: readonly Judged[]): number {
  return mean(judged.map(({ legs, relevance }) => ndcg(ids(legs.lexical), relevance, 10)));
}

const ids = (leg: FusionLegs["dense"]): string[] => leg.map(({ id }) => id);

function quality(judged: readonly Judged[], weights: FusionWeights): number {
  return mean(
    judged.map(({ legs, relevance }) => {
      const scores = [...fuse(legs, "relativeScore", weights)].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
      return ndcg(
        scores.map(([id]) => id),
        relevance,
        10,
      );
    }),
  );
}

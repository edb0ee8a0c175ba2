import { Document } from "@langchain/core/documents";
import { splitDocuments, type ChunkMetadata, type SplitOptions } from "../src/loaders/index.js";
import { readCorpora, type Corpus, type Span } from "./chunking/data.js";
import { bm25, dense, type Ranker } from "./chunking/rank.js";
import { table, type Bar, type Benchmark } from "./harness.js";

/** Tokens a reader is given for each question; as many for every splitter, so that large chunks gain nothing by size. */
const BUDGET_TOKENS = 1_000;
const MANY = 5;

const SPLITTERS: readonly (readonly [name: string, options: SplitOptions])[] = [
  ["auto 1000/100 (default)", {}],
  ["auto 600/60", { chunkSize: 600 }],
  ["auto 1500/150", { chunkSize: 1500, chunkOverlap: 150 }],
  ["recursive 1000/100", { splitter: "recursive" }],
  ["recursive 400/40", { splitter: "recursive", chunkSize: 400 }],
  ["markdown 1000/100", { splitter: "markdown" }],
  ["code 1000/100", { splitter: "code" }],
  ["token 256/25", { splitter: "token" }],
  ["token 128/12", { splitter: "token", chunkSize: 128 }],
  ["sentence-window 3", { splitter: "sentence-window" }],
  ["parent-child 2000 > 400", { splitter: "parent-child" }],
  ["parent-child 1000 > 250", { splitter: "parent-child", parentChunkSize: 1000, chunkSize: 250 }],
];

interface Figures {
  chunks: number;
  recall: number;
  precision: number;
  complete: number;
  recallOfMany: number;
  precisionOfMany: number;
}

interface Prepared {
  readonly texts: readonly string[];
  /** What a reader is given for a chunk: its window or its parent where there is one. */
  readonly passages: readonly Span[];
}

/** Recall and precision of the gold spans, in tokens, for each splitter and two ways to rank chunks. */
export const run: Benchmark = async ({ quick }) => {
  const corpora = await readCorpora();
  const figures: Record<string, { bm25: Figures; dense: Figures }> = {};
  const rows: Record<string, string | number>[] = [];
  for (const [name, options] of quick ? SPLITTERS.slice(0, 1) : SPLITTERS) {
    const sums = { bm25: zero(), dense: zero() };
    let questions = 0;
    for (const corpus of corpora) {
      const prepared = await prepare(corpus, options);
      const tokens = tokenEnds(corpus.text);
      for (const [way, rank] of [
        ["bm25", bm25(prepared.texts)],
        ["dense", await dense(prepared.texts)],
      ] as const) {
        sums[way].chunks += prepared.texts.length;
        await addUp(sums[way], corpus, prepared, rank, tokens);
      }
      questions += corpus.questions.length;
    }
    const mean = (sum: Figures): Figures =>
      Object.fromEntries(
        Object.entries(sum).map(([key, value]) => [key, key === "chunks" ? value : round(value / questions)]),
      ) as unknown as Figures;
    const result = { bm25: mean(sums.bm25), dense: mean(sums.dense) };
    figures[name] = result;
    rows.push({
      splitter: name,
      chunks: result.bm25.chunks,
      ...columns("BM25", result.bm25),
      ...columns("dense", result.dense),
    });
  }
  table(`Gold spans among ${BUDGET_TOKENS} tokens, and among the best ${MANY} passages`, rows);
  return { machine: { node: process.version }, figures, bars: quick ? [] : [best("bm25"), best("dense")] };

  /** The default has to answer as many questions completely as any other, from the same number of tokens. */
  function best(way: "bm25" | "dense"): Bar {
    const [own, ...others] = Object.values(figures).map((figure) => figure[way].complete);
    const most = Math.max(...others);
    return { name: `questions answered completely, ${way}`, want: `>= ${most}`, got: String(own), ok: own! >= most };
  }
};

function columns(way: string, figures: Figures): Record<string, number> {
  const { recall, precision, complete, recallOfMany, precisionOfMany } = figures;
  return {
    [`${way} recall`]: recall,
    [`${way} precision`]: precision,
    [`${way} complete`]: complete,
    [`${way} recall@${MANY}`]: recallOfMany,
    [`${way} precision@${MANY}`]: precisionOfMany,
  };
}

async function prepare({ name, text }: Corpus, options: SplitOptions): Promise<Prepared> {
  const texts: string[] = [];
  const passages: Span[] = [];
  const source = new Document({ pageContent: text, metadata: { source: `${name}.md`, format: "markdown" } });
  for await (const chunk of splitDocuments([source], options)) {
    const { offset, window, parent } = chunk.metadata as unknown as ChunkMetadata;
    texts.push(chunk.pageContent);
    passages.push(parent ?? window ?? offset);
  }
  return { texts, passages };
}

async function addUp(
  sum: Figures,
  { questions }: Corpus,
  { passages }: Prepared,
  rank: Ranker,
  tokens: Uint32Array,
): Promise<void> {
  const tokenSpan = ({ start, end }: Span): Span => ({ start: tokenAt(tokens, start), end: tokenAt(tokens, end) });
  for (const question of questions) {
    const gold = new Set(question.gold.flatMap((span) => range(tokenSpan(span))));
    const budget = new Set<number>();
    const many = new Set<number>();
    const seen = new Set<number>();
    for (const index of await rank(question.text)) {
      const passage = tokenSpan(passages[index]!);
      if (seen.has(passage.start)) continue;
      seen.add(passage.start);
      if (seen.size <= MANY) for (const token of range(passage)) many.add(token);
      for (const token of range(passage)) if (budget.size < BUDGET_TOKENS) budget.add(token);
      if (seen.size >= MANY && budget.size >= BUDGET_TOKENS) break;
    }
    const hit = (found: ReadonlySet<number>): number => [...gold].filter((token) => found.has(token)).length;
    sum.recall += hit(budget) / gold.size;
    sum.precision += hit(budget) / budget.size;
    sum.complete += hit(budget) === gold.size ? 1 : 0;
    sum.recallOfMany += hit(many) / gold.size;
    sum.precisionOfMany += hit(many) / many.size;
  }
}

/** Ends of the words and marks of a text, a measure near to the tokens of models. */
function tokenEnds(text: string): Uint32Array {
  return Uint32Array.from(text.matchAll(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu), (match) => match.index + match[0].length);
}

/** How many tokens end at or before a position. */
function tokenAt(ends: Uint32Array, position: number): number {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ends[middle]! <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

function range({ start, end }: Span): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}

function zero(): Figures {
  return { chunks: 0, recall: 0, precision: 0, complete: 0, recallOfMany: 0, precisionOfMany: 0 };
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRagChain } from "../../src/chains/index.js";
import { OfflineEmbeddings, PostgresVectorStore } from "../../src/index.js";
import { evaluateAnswers, type AnswerQuestion } from "../../src/ops/eval/evaluate-answers.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { sharedData } from "../helpers/shared-data.js";

interface Line {
  readonly _id: string;
  readonly title: string;
  readonly text: string;
  readonly doc: string;
  readonly answer: string;
}

/** Every so many questions: `npm run bench -- answers` asks all of them. */
const STEP = 10;
const SECTIONS_STEP = 24;
const [xquad, manual] = [sharedData("xquad-en"), sharedData("pgdocs15")];
const present = xquad !== undefined && manual !== undefined;
const read = (folder: string, file: string): Line[] =>
  readFileSync(join(folder, file), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

describe.skipIf(!present)(present ? "offline answers" : "offline answers (needs ../shared/data)", () => {
  let database: TestDatabase;
  let questions: AnswerQuestion[];
  const open = async (tableName: string, lines: readonly Line[]): Promise<PostgresVectorStore> => {
    const options = { pool: database.pool, tableName, lexical: true, ...testSchema() };
    const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), options);
    await store.addDocuments(
      lines.map(({ _id, title, text }) => ({
        id: _id,
        pageContent: `${title}\n${text}`.slice(0, 3_000),
        metadata: {},
      })),
    );
    return store;
  };

  beforeAll(async () => {
    database = await openTestDatabase();
    const golds = new Map(read(xquad!, "answers.jsonl").map((line) => [line._id, line]));
    questions = read(xquad!, "queries.jsonl")
      .filter((_, index) => index % STEP === 0)
      .map(({ _id, text }) => {
        const { doc, answer } = golds.get(_id)!;
        return { id: _id, question: text, answers: [answer], documents: [doc] };
      });
  });
  afterAll(() => database.close());

  it("find the paragraph, quote the sentence, and answer when they can", async () => {
    const store = await open("xquad", read(xquad!, "corpus.jsonl"));
    const chain = createRagChain({ store, searchType: "hybrid" });
    let found = 0;
    const report = await evaluateAnswers(questions, async (input) => {
      const output = await chain.invoke({ input });
      const gold = questions.find(({ question }) => question === input)!.documents![0];
      if (output.context.some(({ id }) => id === gold)) found += 1;
      return output;
    });
    expect(found / questions.length).toBeGreaterThanOrEqual(0.97);
    expect(report.firstQuoteHoldsAnswer).toBeGreaterThanOrEqual(0.6);
    expect(report.answered).toBeGreaterThanOrEqual(0.9);
    expect(report.holdsAnswer).toBeGreaterThanOrEqual(report.firstQuoteHoldsAnswer!);
    expect(report.citationPrecision).toBeGreaterThanOrEqual(0.8);
  });

  it("say that they do not know when the documents are about something else", async () => {
    const sections = read(manual!, "corpus.jsonl").filter((_, index) => index % SECTIONS_STEP === 0);
    const store = await open("manual", sections);
    const chain = createRagChain({ store, searchType: "hybrid" });
    const unanswerable = questions.map(({ id, question }) => ({ id, question }));
    const report = await evaluateAnswers(unanswerable, (input) => chain.invoke({ input }));
    expect(report).toMatchObject({ answerable: 0, questions: questions.length });
    expect(report.abstained).toBeGreaterThanOrEqual(0.8);
  });
});

import { FakeListChatModel } from "@langchain/core/utils/testing";
import { describe, expect, it } from "vitest";
import { ConfigurationError, ModelProviderError } from "../../src/errors.js";
import { answerF1, holdsAnswer, isExactMatch, normalizedAnswer } from "../../src/ops/eval/answer-metrics.js";
import { judgeBy } from "../../src/ops/eval/answer-judge.js";
import { evaluateAnswers, type GivenAnswer } from "../../src/ops/eval/evaluate-answers.js";

describe("comparing answers", () => {
  it("looks past case, punctuation, articles, markers and white space", () => {
    expect(normalizedAnswer(' The "Golden  Gate", a bridge. [1][2] [3, 4]')).toBe("golden gate bridge");
    expect(isExactMatch("the Panthers!", ["Broncos", "Panthers"])).toBe(true);
    expect(isExactMatch("Panthers team", ["Panthers"])).toBe(false);
    expect(holdsAnswer("They gave up just 308 points [1].", ["308"])).toBe(true);
    expect(holdsAnswer("They gave up 3080 points.", ["308"])).toBe(false);
  });

  it("measures the words in common", () => {
    expect(answerF1("a b", ["b"])).toBe(1);
    expect(answerF1("the red fox", ["red dog"])).toBeCloseTo(0.5);
    expect(answerF1("red red", ["red"])).toBeCloseTo(2 / 3);
    expect(answerF1("x", ["y", "x z"])).toBeCloseTo(2 / 3);
    expect(answerF1("", [""])).toBe(1);
    expect(answerF1("x", [""])).toBe(0);
  });
});

const given = (answer: string, abstained = false, ...citations: GivenAnswer["citations"][number][]): GivenAnswer => ({
  answer,
  abstained,
  citations,
});

describe("evaluateAnswers", () => {
  const questions = [
    { id: "1", question: "right?", answers: ["yes"], documents: ["d1"] },
    { id: "2", question: "wrong?", answers: ["yes"], documents: ["d1"] },
    { id: "3", question: "silent?", answers: ["yes"] },
    { id: "4", question: "unanswerable?" },
    { id: "5", question: "unanswerable, but answered?", answers: [] },
  ];
  const answers: Record<string, GivenAnswer> = {
    "right?": given("Yes. [1]", false, { quote: "yes", documentId: "d1" }, { quote: "no", source: "d2" }),
    "wrong?": given("no", false, { quote: "no", source: "d1" }),
    "silent?": given("I don't know, yes", true),
    "unanswerable?": given("I don't know", true),
    "unanswerable, but answered?": given("yes"),
  };

  it("reports each figure over the questions that have it", async () => {
    const seen: number[] = [];
    const judge = judgeBy(new FakeListChatModel({ responses: ["Grade: 8", "0"] }));
    const report = await evaluateAnswers(questions, (question) => Promise.resolve(answers[question]!), {
      concurrency: 1,
      judge,
      onProgress: (done) => seen.push(done),
    });
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(report.questions).toBe(5);
    expect(report.answerable).toBe(3);
    expect(report.answered).toBeCloseTo(2 / 3);
    expect(report.abstained).toBeCloseTo(1 / 2);
    expect(report.exactMatch).toBeCloseTo(1 / 3);
    expect(report.f1).toBeCloseTo(1 / 3);
    expect(report.holdsAnswer).toBeCloseTo(1 / 3);
    expect(report.firstQuoteHoldsAnswer).toBeCloseTo(1 / 3);
    expect(report.citationPrecision).toBeCloseTo(2 / 3);
    expect(report.judged).toBeCloseTo(0.4);
  });

  it("leaves out what no question has, and stops at what fails", async () => {
    const report = await evaluateAnswers([questions[3]!], () => Promise.resolve(given("x")));
    expect(report).toEqual({ questions: 1, answerable: 0, abstained: 0 });
    await expect(evaluateAnswers([], () => Promise.resolve(given("x")))).rejects.toThrow(ConfigurationError);
    await expect(evaluateAnswers(questions, () => Promise.reject(new Error("down")))).rejects.toThrow("down");
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(evaluateAnswers(questions, () => Promise.resolve(given("x")), { signal })).rejects.toThrow("enough");
  });

  it("refuses a grade that is none", async () => {
    for (const reply of ["great", "11"]) {
      const judge = judgeBy(new FakeListChatModel({ responses: [reply] }));
      await expect(judge("q", "a", ["g"])).rejects.toThrow(ModelProviderError);
    }
  });
});

import type { DocumentInterface } from "@langchain/core/documents";
import type { LanguageModelLike } from "@langchain/core/language_models/base";
import type { BasePromptTemplate } from "@langchain/core/prompts";
import type { RunnableConfig } from "@langchain/core/runnables";
import { AnswerFilter } from "./answer-filter.js";
import { coverageOf, type AbstentionOptions } from "./evidence.js";
import { ExtractiveAnswerer } from "./extractive-answerer.js";
import { DONT_KNOW, formatPassages } from "./prompt.js";
import type { RagChainInput, RagChainOutput } from "./rag-chain.js";
import { verifyCitations } from "./verify-citations.js";

/** A question with the passages to answer it from. */
export type Evidence = RagChainInput & { context: DocumentInterface[] };

/** Answers piece by piece; the last piece says what the answer rests on. */
export type Answerer = (evidence: Evidence, config: Partial<RunnableConfig>) => AsyncGenerator<Partial<RagChainOutput>>;

/** Quotes sentences of the passages; needs no model. */
export function quotingAnswerer({ minEvidence, evidence: measure }: AbstentionOptions = {}): Answerer {
  const answerer = new ExtractiveAnswerer(
    minEvidence === undefined ? {} : { minCoverage: measure === undefined ? minEvidence : 0 },
  );
  return async function* (evidence, config) {
    if (await isWeak(evidence, measure === undefined ? 0 : minEvidence, measure)) return yield* weak(evidence);
    for await (const { citations, abstained, ...chunk } of await answerer.stream(evidence, config)) {
      yield citations === undefined ? chunk : { citations, abstained, unverified: [] };
    }
  };
}

/** Has a model write the answer, and checks it on the way. */
export function modelAnswerer(
  model: LanguageModelLike,
  prompt: BasePromptTemplate,
  { minEvidence, evidence: measure }: AbstentionOptions,
): Answerer {
  const writer = prompt.pipe(model);
  return async function* (evidence, config) {
    const { input, chat_history = [], context } = evidence;
    // Without evidence a model can only make things up.
    if (context.length === 0) return yield* weak(evidence);
    if (await isWeak(evidence, minEvidence, measure)) return yield* weak(evidence);
    const filter = new AnswerFilter(context, [input, ...chat_history.map(({ text }) => text)]);
    let answer = "";
    const variables = { input, chat_history, context: formatPassages(context) };
    for await (const token of await writer.stream(variables, config)) {
      const text = filter.push(typeof token === "string" ? token : token.text);
      answer += text;
      if (text !== "") yield { answer: text };
    }
    const rest = filter.flush();
    if (rest !== "") yield { answer: rest };
    answer += rest;
    yield {
      citations: verifyCitations(answer, context),
      abstained: DONT_KNOW.test(answer),
      unverified: [...filter.removed],
    };
  };
}

async function isWeak(
  { input, context }: Evidence,
  minEvidence: number | undefined,
  measure: AbstentionOptions["evidence"],
): Promise<boolean> {
  if (minEvidence === undefined || minEvidence === 0) return false;
  return (await (measure ?? coverageOf)(input, context)) < minEvidence;
}

function* weak({ context }: Evidence): Generator<Partial<RagChainOutput>> {
  const reason =
    context.length === 0
      ? "no passage was found for this question."
      : `none of the ${context.length} passages found speaks of what the question asks.`;
  yield { answer: `I don't know: ${reason}` };
  yield { citations: [], abstained: true, unverified: [] };
}

import type { LanguageModelLike } from "@langchain/core/language_models/base";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { RunnableLambda, RunnableSequence, type Runnable } from "@langchain/core/runnables";
import { ConfigurationError } from "../errors.js";

/** Turns a question into the texts that are searched for; the rankings found are fused. */
export type QueryExpansion = Runnable<string, string[]>;

/** Options of {@link multiQuery} and {@link decompose}. */
export interface ExpansionOptions {
  /** Chat model that writes the texts. */
  model: LanguageModelLike;
  /**
   * Most texts besides the question itself, 1 to 10.
   *
   * @defaultValue 3
   */
  count?: number;
}

const MOST_TEXTS = 10;
const LIST_MARK = /^\s*(?:[-*•]\s*|\(?\d{1,2}[.):]\s*)?["“]?|["”]\s*$/g;

/**
 * Searches for the question and for other ways to ask it: one more model call, and as many searches as texts.
 *
 * @throws {@link ConfigurationError} when `count` is out of range
 */
export function multiQuery({ model, count = 3 }: ExpansionOptions): QueryExpansion {
  return expansion(
    "multi_query",
    model,
    `Write ${checkCount(count)} other ways to ask the question below, with other words for the same things, for a search ` +
      "in documents. One a line, nothing else. Do not answer it.",
    count,
  );
}

/**
 * Searches for the question and for the simpler questions it consists of, for questions that compare or combine.
 *
 * @throws {@link ConfigurationError} when `count` is out of range
 */
export function decompose({ model, count = 3 }: ExpansionOptions): QueryExpansion {
  return expansion(
    "decompose_question",
    model,
    `Break the question below down into at most ${checkCount(count)} simpler questions, each of which can be looked up on ` +
      "its own. One a line, nothing else. When it is simple already, repeat it. Do not answer it.",
    count,
  );
}

/**
 * Searches for the question and for a passage that might answer it, which the model makes up (HyDE): for questions whose
 * words differ from those of the documents. The passage is searched for and never shown.
 *
 * @see https://arxiv.org/abs/2212.10496
 */
export function hyde({ model }: { model: LanguageModelLike }): QueryExpansion {
  const write =
    "Write the short passage of a reference document that would answer the question below, in its language. " +
    "The passage alone, without a heading; when unsure, write what is likely.";
  return expansion("hypothetical_passage", model, write, 1, (text) => [text]);
}

function checkCount(count: number): number {
  if (Number.isInteger(count) && count >= 1 && count <= MOST_TEXTS) return count;
  throw new ConfigurationError(`count is ${String(count)}; give a whole number from 1 to ${MOST_TEXTS}.`);
}

function expansion(
  runName: string,
  model: LanguageModelLike,
  instruction: string,
  count: number,
  textsOf: (reply: string) => string[] = linesOf,
): QueryExpansion {
  const write = RunnableSequence.from<{ input: string }, string>([
    ChatPromptTemplate.fromMessages([
      ["system", instruction],
      ["human", "{input}"],
    ]),
    model,
    new StringOutputParser(),
  ]);
  return RunnableLambda.from(async (input: string, config) => {
    const texts = textsOf(await write.invoke({ input }, config)).map((text) => text.trim());
    // A model that says nothing useful must not cost the search.
    return [...new Set([input, ...texts.filter((text) => text !== "").slice(0, count)])];
  }).withConfig({ runName }) as QueryExpansion;
}

function linesOf(reply: string): string[] {
  return reply.split("\n").map((line) => line.replace(LIST_MARK, ""));
}

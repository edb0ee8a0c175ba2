import type { DocumentInterface } from "@langchain/core/documents";
import type { LanguageModelLike } from "@langchain/core/language_models/base";
import type { BaseMessage, UsageMetadata } from "@langchain/core/messages";
import type { BasePromptTemplate } from "@langchain/core/prompts";
import type { Runnable } from "@langchain/core/runnables";
import { modelAnswerer, quotingAnswerer } from "./answerers.js";
import type { Citation } from "./citation.js";
import { checkContextOptions, fitContext, type ContextOptions } from "./context-window.js";
import { checkMinEvidence, type AbstentionOptions } from "./evidence.js";
import { defaultPrompt } from "./prompt.js";
import { requireQuestion } from "./question.js";
import { RagRunnable, type AnswerSteps } from "./rag-runnable.js";
import { retrievalOf, type RetrievalOptions } from "./retrieval.js";

/** A question, with the conversation it belongs to if there is one. */
export interface RagChainInput {
  input: string;
  chat_history?: BaseMessage[];
}

/** An answer with what it rests on. */
export interface RagChainOutput {
  /** Text with `[n]` after each claim, or a sentence that begins with "I don't know". */
  answer: string;
  /** The passages that the answer was made from, in the order of their numbers. */
  context: DocumentInterface[];
  /** Verified: every quote is a verbatim part of its passage. Empty when there is no answer. */
  citations: Citation[];
  /** Whether the answer is that the passages do not hold it. */
  abstained: boolean;
  /** What the model put between quotation marks although no passage holds it; taken out of `answer`. */
  unverified: string[];
  /** Tokens of all model calls of the run; absent when there was none, or the provider does not say. */
  usage?: UsageMetadata;
}

/** Options of {@link createRagChain}. */
export type RagChainOptions = RetrievalOptions &
  AbstentionOptions & {
    /** Chat model that writes the answer; without one, sentences of the passages are quoted ({@link ExtractiveAnswerer}). */
    model?: LanguageModelLike;
    /**
     * Prompt with the variables `context` (the numbered passages), `input` and `chat_history`.
     *
     * @defaultValue {@link defaultPrompt}
     */
    prompt?: BasePromptTemplate;
    /** How many of the passages the model is shown, and in which order. */
    context?: ContextOptions;
  };

/**
 * Builds a chain that answers questions from a store and cites where each answer comes from.
 *
 * `stream()` yields `{ context }` first, then `{ answer }` piece by piece as the model writes, then the rest in one chunk;
 * the pieces add up to what `invoke()` returns. With nothing retrieved, no model is called. The config's `signal` cancels
 * the search in the database and the model's request.
 *
 * @throws {@link ConfigurationError} without exactly one of `store` and `retriever`, or for options that cannot work; on
 * invoking, for an empty question
 * @example
 * ```ts
 * const chain = createRagChain({ store, searchType: "hybrid", model: new ChatOpenAI({ model: "gpt-4o-mini" }) });
 * const { answer, citations } = await chain.invoke({ input: "When should I rebuild an index?" });
 * ```
 */
export function createRagChain(options: RagChainOptions): Runnable<RagChainInput, RagChainOutput> {
  return new RagRunnable("rag_chain", ragSteps(options));
}

/** The steps of {@link createRagChain}: retrieve, fit the context, answer. */
export function ragSteps(options: RagChainOptions): AnswerSteps {
  const { model, prompt, context = {} } = options;
  const retrieve = retrievalOf(options);
  checkContextOptions(context);
  checkMinEvidence(options.minEvidence);
  const window: ContextOptions = model === undefined ? context : { order: "edges", ...context };
  const answerer =
    model === undefined ? quotingAnswerer(options) : modelAnswerer(model, prompt ?? defaultPrompt(), options);
  return async function* (input, config) {
    const question = requireQuestion(input.input);
    const passages = await fitContext(await retrieve(question, config), window);
    yield { context: passages };
    yield* answerer({ ...input, context: passages }, config);
  };
}

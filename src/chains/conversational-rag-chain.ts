import { AIMessage, HumanMessage, type BaseMessage } from "@langchain/core/messages";
import type { Runnable, RunnableConfig } from "@langchain/core/runnables";
import { ConfigurationError } from "../errors.js";
import { requireQuestion } from "./question.js";
import { ragSteps, type RagChainInput, type RagChainOptions, type RagChainOutput } from "./rag-chain.js";
import { RagRunnable, type AnswerSteps } from "./rag-runnable.js";
import { rewrittenBy, withPreviousQuestion } from "./stand-alone-question.js";

/** Where the messages of a conversation are kept, such as `store.chatHistory(id)`. */
export interface ChatHistory {
  getMessages(): Promise<BaseMessage[]>;
  addMessages(messages: BaseMessage[]): Promise<void>;
}

/** Options of {@link createConversationalRagChain}. */
export type ConversationalRagChainOptions = RagChainOptions & {
  /**
   * The history of the conversation named by `configurable.sessionId` of a call's config. Question and answer are added
   * to it once the answer is complete.
   *
   * @defaultValue none: the conversation is the input's `chat_history`
   */
  history?: (sessionId: string, config: Partial<RunnableConfig>) => ChatHistory;
  /**
   * Most messages of the conversation that models are shown, the latest ones.
   *
   * @defaultValue 20
   */
  maxMessages?: number;
};

/**
 * Builds a {@link createRagChain} for conversations: a follow-up such as "And its default?" is made to stand alone
 * before passages are retrieved, by one more model call. Without a model, a question that points back is searched for
 * together with the previous one.
 *
 * Without a conversation it is the plain chain. Input, output and streaming are those of {@link createRagChain}.
 *
 * @throws {@link ConfigurationError} as {@link createRagChain}; on a call, without a session when `history` is given
 * @example
 * ```ts
 * const chain = createConversationalRagChain({ store, model, history: (sessionId) => store.chatHistory(sessionId) });
 * await chain.invoke({ input: "And its default?" }, { configurable: { sessionId: "ann-1" } });
 * ```
 */
export function createConversationalRagChain(
  options: ConversationalRagChainOptions,
): Runnable<RagChainInput, RagChainOutput> {
  const { history, maxMessages = 20, model } = options;
  if (!Number.isInteger(maxMessages) || maxMessages < 1) {
    throw new ConfigurationError(`maxMessages is ${String(maxMessages)}; give a whole number of at least 1.`);
  }
  const standAlone = model ? rewrittenBy(model) : withPreviousQuestion;
  const answer = ragSteps(options);
  const converse: AnswerSteps = async function* (input, config) {
    const question = requireQuestion(input.input);
    const kept = history?.(sessionOf(input, config), config);
    const messages = kept === undefined ? (input.chat_history ?? []) : await kept.getMessages();
    const chat_history = messages.slice(-maxMessages);
    const alone = chat_history.length === 0 ? question : await standAlone({ input: question, chat_history }, config);
    let said = "";
    for await (const chunk of answer({ input: alone, chat_history }, config)) {
      said += chunk.answer ?? "";
      yield chunk;
    }
    await kept?.addMessages([new HumanMessage(question), new AIMessage(said)]);
  };
  return new RagRunnable("conversational_rag_chain", converse);
}

function sessionOf(input: RagChainInput, { configurable }: Partial<RunnableConfig>): string {
  if (input.chat_history !== undefined) {
    throw new ConfigurationError("The chain has a `history` of its own; leave `chat_history` out of the input.");
  }
  const sessionId: unknown = configurable?.["sessionId"];
  if (typeof sessionId === "string" && sessionId !== "") return sessionId;
  throw new ConfigurationError(
    "This call names no conversation: pass invoke(input, { configurable: { sessionId: ... } }).",
  );
}

import type { LanguageModelLike } from "@langchain/core/language_models/base";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate, MessagesPlaceholder } from "@langchain/core/prompts";
import { RunnableLambda, RunnableSequence, type Runnable, type RunnableConfig } from "@langchain/core/runnables";
import { requireQuestion } from "./question.js";
import { createRagChain, type RagChainInput, type RagChainOptions, type RagChainOutput } from "./rag-chain.js";

const REWRITE = ChatPromptTemplate.fromMessages([
  [
    "system",
    "Rewrite the last question so that it can be understood without the conversation. Keep its language. " +
      "Do not answer it. Reply with the question alone.",
  ],
  new MessagesPlaceholder("chat_history"),
  ["human", "{input}"],
]);

/**
 * Builds a {@link createRagChain} for conversations: a follow-up such as "And its default?" is made to stand alone
 * before passages are retrieved, by one more model call. Without a model, the previous question is searched along.
 *
 * Without `chat_history` it is the plain chain. Input, output and streaming are those of {@link createRagChain}.
 *
 * @throws {@link ConfigurationError} as {@link createRagChain}
 */
export function createConversationalRagChain(options: RagChainOptions): Runnable<RagChainInput, RagChainOutput> {
  const standAlone = options.model ? rewrittenBy(options.model) : withPreviousQuestion;
  return RunnableSequence.from<RagChainInput, RagChainOutput>([
    RunnableLambda.from(async (input: RagChainInput, config: RunnableConfig) => {
      const question = requireQuestion(input.input);
      if (!input.chat_history?.length) return input;
      return { ...input, input: await standAlone({ ...input, input: question }, config) };
    }).withConfig({ runName: "stand_alone_question" }),
    createRagChain(options),
  ]);
}

type Rewriter = (input: RagChainInput, config: RunnableConfig) => Promise<string>;

function rewrittenBy(model: LanguageModelLike): Rewriter {
  const chain = REWRITE.pipe(model).pipe(new StringOutputParser());
  return async ({ input, chat_history }, config) => {
    const rewritten = await chain.invoke({ input, chat_history }, config);
    return rewritten.trim() === "" ? input : rewritten.trim();
  };
}

const withPreviousQuestion: Rewriter = ({ input, chat_history = [] }) => {
  const previous = chat_history.findLast((message) => message.getType() === "human");
  const text = typeof previous?.content === "string" ? previous.content : "";
  return Promise.resolve(`${input} ${text}`.trim());
};

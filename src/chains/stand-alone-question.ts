import type { LanguageModelLike } from "@langchain/core/language_models/base";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate, MessagesPlaceholder } from "@langchain/core/prompts";
import type { RunnableConfig } from "@langchain/core/runnables";
import { wordsOf } from "../embeddings/words.js";
import type { RagChainInput } from "./rag-chain.js";

/** Makes the question of a conversation understandable without it. */
export type StandAlone = (input: RagChainInput, config: Partial<RunnableConfig>) => Promise<string>;

const REWRITE = ChatPromptTemplate.fromMessages([
  [
    "system",
    "Rewrite the last question so that it can be understood without the conversation. Keep its language. " +
      "Do not answer it. Reply with the question alone.",
  ],
  new MessagesPlaceholder("chat_history"),
  ["human", "{input}"],
]);

/** Has a model rewrite the question, in one more call. */
export function rewrittenBy(model: LanguageModelLike): StandAlone {
  const chain = REWRITE.pipe(model).pipe(new StringOutputParser()).withConfig({ runName: "stand_alone_question" });
  return async ({ input, chat_history }, config) => {
    const rewritten = (await chain.invoke({ input, chat_history }, config)).trim();
    return rewritten === "" ? input : rewritten;
  };
}

/** English words that point back to something said before, and beginnings that continue it. */
const POINTS_BACK =
  /\b(?:it|its|they|them|their|that|those|these|this|he|she|his|her|one|ones|there|then|same)\b|^\s*(?:and|but|so|or|also|what about|how about)\b/i;

/** Puts the previous question behind one that points back to it, or that has a single word to search for. */
export const withPreviousQuestion: StandAlone = ({ input, chat_history = [] }) => {
  const content = wordsOf(input).filter(({ stop, compound }) => !stop && !compound);
  const previous = chat_history.findLast((message) => message.getType() === "human")?.text ?? "";
  const followsUp = POINTS_BACK.test(input) || content.length < 2;
  return Promise.resolve(followsUp ? `${input} ${previous}`.trim() : input);
};

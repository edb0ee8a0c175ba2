import type { Command } from "commander";
import { createRagChain } from "../chains/index.js";
import { ConfigurationError } from "../errors.js";
import type { Filter } from "../store/filter/index.js";
import type { SearchType } from "../store/options.js";
import { abortable } from "./abortable.js";
import { openChatModel } from "./chat-model.js";
import type { CliContext } from "./context.js";
import {
  addAnswerFlags,
  addEmbeddingFlags,
  addFilterFlag,
  addJsonFlag,
  addModeFlag,
  addTargetFlags,
  addTenancyFlags,
  type AnswerFlags,
  type PatienceFlags,
} from "./flags.js";
import { resolveChatModel, type ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { printAnswer, printJsonAnswer } from "./print-answer.js";
import { withTarget, type TargetFlags, type TenancyFlags } from "./target.js";

interface AskFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags, AnswerFlags {
  readonly filter?: Filter;
  readonly mode?: SearchType;
  readonly json?: boolean;
}

export function addAsk(program: Command, context: CliContext): void {
  const command = program
    .command("ask")
    .description("answer a question from the store, with citations")
    .argument("<question...>", "the question; - reads one from each line of stdin");
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addFilterFlag(addModeFlag(addAnswerFlags(command)))))))
    .addHelpText(
      "after",
      `
Without a chat model, sentences of the chunks are quoted as they stand; with OPENAI_API_KEY set, gpt-4o-mini answers.
Either way each citation names file and lines or page, and its quote stands in the stored chunk word for word.

Examples:
  langchain-pgvector ask "Why is my HNSW index not used?"
  langchain-pgvector ask "How do I vacuum?" --filter '{"source": {"$like": "docs/%"}}' --json
  langchain-pgvector ask "How do I vacuum?" --chat-model ollama:llama3.2
  langchain-pgvector ask - --json < questions.txt > answers.jsonl`,
    )
    .action((words: string[], flags: AskFlags) => ask(context, words.join(" "), flags));
}

async function ask(context: CliContext, question: string, flags: AskFlags): Promise<void> {
  if (question.trim() === "") throw new ConfigurationError('The question is empty; write it like: ask "What is HNSW?"');
  const questions = question === "-" ? linesOfInput(context) : [question];
  const chat = resolveChatModel(flags, context.env);
  await withTarget(context, flags, "open", async (target) => {
    const store = await openCliStore(context, target, flags, { create: false, chat });
    const { model, explain } = await openChatModel(chat, flags);
    const chain = createRagChain({
      retriever: store.asRetriever({ k: flags.k, filter: flags.filter, ...(flags.mode && { searchType: flags.mode }) }),
      ...(model && { model }),
    });
    const print = flags.json === true ? printJsonAnswer : printAnswer;
    for await (const line of questions) {
      if (line.trim() === "") continue;
      await abortable(context.signal, () => print(context, chain, line)).catch(explain);
    }
  });
}

function linesOfInput(context: CliContext): AsyncIterable<string> {
  if (context.lines !== undefined) return context.lines();
  throw new ConfigurationError(
    "- reads questions from stdin, and stdin is a terminal: pipe them in, or write the question.",
  );
}

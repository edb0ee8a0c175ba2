import type { Command } from "commander";
import type { Runnable } from "@langchain/core/runnables";
import {
  createRagChain,
  formatCitation,
  type Citation,
  type RagChainInput,
  type RagChainOutput,
} from "../chains/index.js";
import { ConfigurationError } from "../errors.js";
import type { Filter } from "../store/filter/index.js";
import type { SearchType } from "../store/options.js";
import { abortable } from "./abortable.js";
import { chatModelError, createChatModel, type ChatModelSpec } from "./chat-model.js";
import type { CliContext } from "./context.js";
import {
  addEmbeddingFlags,
  addFilterFlag,
  addJsonFlag,
  addModeFlag,
  addTargetFlags,
  addTenancyFlags,
  atLeast,
  type PatienceFlags,
  withPatience,
} from "./flags.js";
import { resolveChatModel, type ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { withTarget, type TargetFlags, type TenancyFlags } from "./target.js";

interface AskFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly k: number;
  readonly filter?: Filter;
  readonly mode?: SearchType;
  readonly json?: boolean;
}

export function addAsk(program: Command, context: CliContext): void {
  const command = program
    .command("ask")
    .description("answer a question from the store, with citations")
    .argument("<question...>", "the question")
    .option("-k <number>", "how many chunks to answer from", atLeast(1), 5)
    .option("--chat-model <model>", "provider:model, such as openai:gpt-4o-mini; none quotes the chunks");
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addFilterFlag(addModeFlag(command))))))
    .addHelpText(
      "after",
      `
Without a chat model, sentences of the chunks are quoted as they stand; with OPENAI_API_KEY set, gpt-4o-mini answers.
Either way each citation names file and lines or page, and its quote stands in the stored chunk word for word.

Examples:
  langchain-pgvector ask "Why is my HNSW index not used?"
  langchain-pgvector ask "How do I vacuum?" --filter '{"source": {"$like": "docs/%"}}' --json
  langchain-pgvector ask "How do I vacuum?" --chat-model ollama:llama3.2`,
    )
    .action((words: string[], flags: AskFlags) => ask(context, words.join(" "), flags));
}

async function ask(context: CliContext, question: string, flags: AskFlags): Promise<void> {
  if (question.trim() === "") throw new ConfigurationError('The question is empty; write it like: ask "What is HNSW?"');
  const chat = resolveChatModel(flags, context.env);
  await withTarget(context, flags, "open", async (target) => {
    const store = await openCliStore(context, target, flags, { create: false, chat });
    const model = chat === undefined ? undefined : await createChatModel(withPatience(chat, flags));
    const chain = createRagChain({
      retriever: store.asRetriever({ k: flags.k, filter: flags.filter, ...(flags.mode && { searchType: flags.mode }) }),
      ...(model && { model }),
    });
    const print = flags.json === true ? printJson : printStream;
    await abortable(context.signal, () => print(context, chain, question)).catch((error: unknown) =>
      explain(error, chat),
    );
  });
}

type RagChain = Runnable<RagChainInput, RagChainOutput>;

async function printJson(context: CliContext, chain: RagChain, input: string): Promise<void> {
  const { answer, citations } = await chain.invoke({ input }, { signal: context.signal });
  context.out(JSON.stringify({ question: input, answer, citations }));
}

/** Prints the answer as it comes, then what it rests on. */
async function printStream(context: CliContext, chain: RagChain, input: string): Promise<void> {
  let citations: Citation[] = [];
  let started = false;
  try {
    for await (const chunk of await chain.stream({ input }, { signal: context.signal })) {
      if (chunk.answer) {
        started = true;
        context.write(chunk.answer);
      }
      if (chunk.citations) citations = chunk.citations;
    }
  } finally {
    // An answer that breaks off must not run into the prompt.
    if (started) context.write("\n");
  }
  if (citations.length > 0) context.out("");
  for (const line of citationLines(citations)) context.out(line);
}

/** One line for each citation: number, place, and the quote as it stands in the chunk but on one line. */
export function citationLines(citations: readonly Citation[]): string[] {
  return citations.map((citation) => {
    const quote = citation.quote.replace(/\s+/g, " ");
    return `[${citation.index}] ${formatCitation(citation)}: "${quote}"`;
  });
}

/** Errors of the library say enough, the chat model's client needs a translation. */
function explain(error: unknown, chat: ChatModelSpec | undefined): never {
  throw chat === undefined ? error : chatModelError(error, chat);
}

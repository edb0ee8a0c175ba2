import type { Command } from "commander";
import type { Runnable } from "@langchain/core/runnables";
import {
  createRagChain,
  formatCitation,
  type Citation,
  type RagChainInput,
  type RagChainOutput,
} from "../chains/index.js";
import { chatModelError, createChatModel } from "./chat-model.js";
import type { CliContext } from "./context.js";
import { addEmbeddingFlags, addJsonFlag, addTargetFlags, atLeast, jsonObject } from "./flags.js";
import { resolveChatModel, type ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { openTarget, type TargetFlags } from "./target.js";

interface AskFlags extends TargetFlags, ModelFlags {
  readonly k: number;
  readonly filter?: Record<string, never>;
  readonly json?: boolean;
}

export function addAsk(program: Command, context: CliContext): void {
  const command = program
    .command("ask")
    .description("answer a question from the store, with citations")
    .argument("<question>", "the question")
    .option("-k <number>", "how many chunks to answer from", atLeast(1), 4)
    .option("--filter <json>", "metadata filter", jsonObject)
    .option("--chat-model <model>", "provider:model, such as openai:gpt-4o-mini; none quotes the chunks");
  addJsonFlag(addEmbeddingFlags(addTargetFlags(command)))
    .addHelpText(
      "after",
      `
Without a chat model, sentences of the chunks are quoted as they stand.

Examples:
  langchain-pgvector ask "Why is my HNSW index not used?"
  langchain-pgvector ask "How do I vacuum?" --chat-model ollama:llama3.2`,
    )
    .action((question: string, flags: AskFlags) => ask(context, question, flags));
}

async function ask(context: CliContext, question: string, flags: AskFlags): Promise<void> {
  const chat = resolveChatModel(flags, context.env);
  const target = await openTarget(context, flags, "allowed");
  try {
    const store = await openCliStore(context, target, flags, false, chat);
    const model = chat === undefined ? undefined : await createChatModel(chat);
    const chain = createRagChain({
      retriever: store.asRetriever({ k: flags.k, filter: flags.filter }),
      ...(model && { model }),
    });
    try {
      await answer(context, chain, question, flags.json === true);
    } catch (error) {
      throw chat === undefined ? error : chatModelError(error, chat);
    }
  } finally {
    await target.close();
  }
}

/** Prints the answer as it comes, then what it rests on. */
async function answer(
  context: CliContext,
  chain: Runnable<RagChainInput, RagChainOutput>,
  question: string,
  json: boolean,
): Promise<void> {
  const input = { input: question };
  if (json) {
    const { answer: text, citations } = await chain.invoke(input, { signal: context.signal });
    context.out(JSON.stringify({ answer: text, citations }));
    return;
  }
  let citations: Citation[] = [];
  for await (const chunk of await chain.stream(input, { signal: context.signal })) {
    if (chunk.answer) context.write(chunk.answer);
    if (chunk.citations) citations = chunk.citations;
  }
  context.out("");
  for (const line of citationLines(citations)) context.out(line);
}

/** One line for each citation: number, place, and the quote as it stands in the chunk. */
export function citationLines(citations: readonly Citation[]): string[] {
  return citations.map((citation) => {
    const quote = citation.quote.replace(/\s+/g, " ");
    return `[${citation.index}] ${formatCitation(citation)}: "${quote}"`;
  });
}

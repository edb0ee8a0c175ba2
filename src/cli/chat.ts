import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { createConversationalRagChain, type RagChainOutput } from "../chains/index.js";
import type { Filter } from "../store/filter/index.js";
import type { SearchType } from "../store/options.js";
import type { PostgresVectorStore } from "../store/postgres-vector-store.js";
import { abortable } from "./abortable.js";
import { openChatModel } from "./chat-model.js";
import type { CliContext } from "./context.js";
import { explainTable, hitText } from "./explain-hit.js";
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
import { citationLines, printAnswer, printJsonAnswer, type RagChain } from "./print-answer.js";
import { withTarget, type TargetFlags, type TenancyFlags } from "./target.js";

interface ChatFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags, AnswerFlags {
  readonly session?: string;
  readonly filter?: Filter;
  readonly mode?: SearchType;
  readonly json?: boolean;
}

const HELP = `/sources  what the last answer rests on, passage by passage
/why      how each passage was found: its place by vector and by words, and the words that matched
/history  the conversation so far
/clear    forget the conversation
/exit     leave (also Ctrl-D)`;

export function addChat(program: Command, context: CliContext): void {
  const command = program
    .command("chat")
    .description("ask in a conversation: follow-up questions, /sources, /why")
    .option("--session <id>", "conversation to go on with (default: a new one)");
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addFilterFlag(addModeFlag(addAnswerFlags(command)))))))
    .addHelpText(
      "after",
      `
The conversation is kept in the database, under the tenant, and goes on with --session. From a pipe, every line is a
question; with --json every answer is one line of JSON.

${HELP}

Examples:
  langchain-pgvector chat
  langchain-pgvector chat --session vacuum --mode hybrid
  printf 'What is HNSW?\\nAnd its recall?\\n' | langchain-pgvector chat --json`,
    )
    .action((flags: ChatFlags) => chat(context, flags));
}

async function chat(context: CliContext, flags: ChatFlags): Promise<void> {
  const spec = resolveChatModel(flags, context.env);
  await withTarget(context, flags, "open", async (target) => {
    const store = await openCliStore(context, target, flags, { create: false, chat: spec });
    const { model, explain } = await openChatModel(spec, flags);
    const session = flags.session ?? randomUUID();
    const talk = new Conversation(
      context,
      store,
      session,
      flags,
      createConversationalRagChain({
        retriever: store.asRetriever(searchOf(flags)),
        history: (sessionId) => store.chatHistory(sessionId),
        ...(model && { model }),
      }),
    );
    context.err(`conversation: ${session}${flags.session === undefined ? " (go on with it: --session)" : ""}`);
    if (context.prompt !== undefined) context.err("/help lists the commands.");
    for await (const line of inputOf(context)) {
      const said = line.trim();
      if (said === "/exit" || said === "/quit") return;
      if (said !== "") await abortable(context.signal, () => talk.say(said)).catch(explain);
    }
  });
}

type Search = Parameters<PostgresVectorStore["search"]>[1] & { k: number };

function searchOf({ k, filter, mode }: ChatFlags): Search {
  return { k, filter, ...(mode && { searchType: mode }) };
}

/** What the user types, or the lines of a pipe. */
async function* inputOf(context: CliContext): AsyncGenerator<string> {
  if (context.prompt === undefined) {
    if (context.lines !== undefined) yield* context.lines();
    return;
  }
  for (;;) {
    const line = await context.prompt("> ").catch((error: unknown) => {
      context.signal.throwIfAborted();
      // Ctrl-D ends the input.
      if ((error as Error).name === "AbortError") return undefined;
      throw error;
    });
    if (line === undefined) return;
    yield line;
  }
}

class Conversation {
  #last: { readonly searched: string; readonly output: RagChainOutput } | undefined;

  constructor(
    private readonly context: CliContext,
    private readonly store: PostgresVectorStore,
    private readonly session: string,
    private readonly flags: ChatFlags,
    private readonly chain: RagChain,
  ) {}

  /** Answers a question, or does what a command says. */
  async say(line: string): Promise<void> {
    if (!line.startsWith("/")) return this.#answer(line);
    switch (line) {
      case "/sources":
        return this.#sources();
      case "/why":
        return this.#why();
      case "/history":
        return this.#history();
      case "/clear":
        this.#last = undefined;
        await this.store.chatHistory(this.session).clear();
        return this.context.err("The conversation is forgotten.");
      case "/help":
        return this.context.err(HELP);
      default:
        return this.context.err(`There is no ${line.split(/\s/)[0]}.\n${HELP}`);
    }
  }

  async #answer(question: string): Promise<void> {
    let searched = question;
    const handleRetrieverStart = (_: unknown, query: string): void => void (searched = query);
    const print = this.flags.json === true ? printJsonAnswer : printAnswer;
    const configurable = { sessionId: this.session };
    const callbacks = [{ handleRetrieverStart, awaitHandlers: true }];
    const output = await print(this.context, this.chain, question, { configurable, callbacks });
    this.#last = { searched, output };
  }

  #sources(): void {
    const { context, citations } = this.#last?.output ?? { context: [], citations: [] };
    if (context.length === 0) return this.context.out("No passage was found yet.");
    context.forEach((document, index) => {
      const used = citations.filter((citation) => citation.index === index + 1);
      this.context.out(
        used.length > 0 ? citationLines(used).join("\n") : `[${index + 1}] ${sourceOf(document.metadata)}: not used`,
      );
    });
  }

  async #why(): Promise<void> {
    if (this.#last === undefined) return this.context.out("Nothing was asked yet.");
    const { searched } = this.#last;
    const hits = await this.store.search(searched, { ...searchOf(this.flags), signal: this.context.signal });
    this.context.out(`searched for: ${searched}`);
    this.context.out(hits.length === 0 ? "nothing found" : [explainTable(hits), ...hits.map(hitText)].join("\n\n"));
  }

  async #history(): Promise<void> {
    for (const message of await this.store.chatHistory(this.session).getMessages()) {
      this.context.out(`${message.getType() === "human" ? "you" : "answer"}: ${message.text}`);
    }
  }
}

function sourceOf(metadata: Record<string, unknown>): string {
  return typeof metadata["source"] === "string" ? metadata["source"] : "without a source";
}

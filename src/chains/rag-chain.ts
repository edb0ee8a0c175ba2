import type { DocumentInterface } from "@langchain/core/documents";
import type { LanguageModelLike } from "@langchain/core/language_models/base";
import type { BaseMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import type { BasePromptTemplate } from "@langchain/core/prompts";
import type { BaseRetrieverInterface } from "@langchain/core/retrievers";
import { patchConfig, Runnable, type RunnableConfig } from "@langchain/core/runnables";
import type { Citation } from "./citation.js";
import { MarkerFilter } from "./citation-markers.js";
import { ExtractiveAnswerer } from "./extractive-answerer.js";
import { defaultPrompt, formatPassages } from "./prompt.js";
import { requireQuestion } from "./question.js";
import { retrieverOf, type RetrievalSource } from "./retrieval-source.js";
import { verifyCitations } from "./verify-citations.js";

/** A question, with the conversation it belongs to if there is one. */
export interface RagChainInput {
  input: string;
  chat_history?: BaseMessage[];
}

/** An answer with what it rests on. */
export interface RagChainOutput {
  /** Text with `[n]` after each claim, or a sentence that begins with "I don't know". */
  answer: string;
  /** The passages retrieved, in the order of their numbers. */
  context: DocumentInterface[];
  /** Verified: every quote is a verbatim part of its passage. Empty when there is no answer. */
  citations: Citation[];
}

/** Options of {@link createRagChain}. */
export type RagChainOptions = RetrievalSource & {
  /** Chat model that writes the answer; without one, sentences of the passages are quoted ({@link ExtractiveAnswerer}). */
  model?: LanguageModelLike;
  /**
   * Prompt with the variables `context` (the numbered passages), `input` and `chat_history`.
   *
   * @defaultValue {@link defaultPrompt}
   */
  prompt?: BasePromptTemplate;
};

/**
 * Builds a chain that answers questions from a store and cites where each answer comes from.
 *
 * `stream()` yields `{ context }` first, then `{ answer }` piece by piece, then `{ citations }`; the pieces add up to
 * what `invoke()` returns. With nothing retrieved, no model is called.
 *
 * @throws {@link ConfigurationError} without exactly one of `store` and `retriever`; on invoking, for an empty question
 * @example
 * ```ts
 * const chain = createRagChain({ store, searchType: "hybrid", model: new ChatOpenAI({ model: "gpt-4o-mini" }) });
 * const { answer, citations } = await chain.invoke({ input: "When should I rebuild an index?" });
 * ```
 */
export function createRagChain(options: RagChainOptions): Runnable<RagChainInput, RagChainOutput> {
  const retriever = retrieverOf(options);
  const { model, prompt } = options;
  return new RagChain(retriever, model ? modelAnswerer(model, prompt ?? defaultPrompt()) : quotingAnswerer());
}

type Evidence = RagChainInput & { context: DocumentInterface[] };
type Answerer = (evidence: Evidence, config: Partial<RunnableConfig>) => AsyncGenerator<Partial<RagChainOutput>>;

class RagChain extends Runnable<RagChainInput, RagChainOutput> {
  lc_namespace = ["langchain_pgvector", "chains"];

  constructor(
    private readonly retriever: BaseRetrieverInterface,
    private readonly answerer: Answerer,
  ) {
    super();
  }

  static override lc_name(): string {
    return "RagChain";
  }

  override async invoke(input: RagChainInput, config?: Partial<RunnableConfig>): Promise<RagChainOutput> {
    const output: RagChainOutput = { answer: "", context: [], citations: [] };
    for await (const { answer = "", ...rest } of this._streamIterator(input, config)) {
      Object.assign(output, rest, { answer: output.answer + answer });
    }
    return output;
  }

  override async *_streamIterator(
    input: RagChainInput,
    config?: Partial<RunnableConfig>,
  ): AsyncGenerator<RagChainOutput> {
    async function* once(): AsyncGenerator<RagChainInput> {
      yield input;
    }
    yield* this._transformStreamWithConfig<RagChainInput, RagChainOutput>(
      once(),
      (inputs, runManager, options) =>
        this.#answer(
          inputs,
          patchConfig(options, { callbacks: runManager?.getChild() }),
        ) as AsyncGenerator<RagChainOutput>,
      { runName: "rag_chain", ...config },
    );
  }

  async *#answer(
    inputs: AsyncGenerator<RagChainInput>,
    config: Partial<RunnableConfig>,
  ): AsyncGenerator<Partial<RagChainOutput>> {
    for await (const input of inputs) {
      const question = requireQuestion(input.input);
      const context = await this.retriever.invoke(question, config);
      yield { context };
      yield* this.answerer({ ...input, context }, config);
    }
  }
}

function quotingAnswerer(): Answerer {
  const answerer = new ExtractiveAnswerer();
  return async function* ({ input, context }, config) {
    for await (const { abstained: _, ...chunk } of await answerer.stream({ input, context }, config)) yield chunk;
  };
}

function modelAnswerer(model: LanguageModelLike, prompt: BasePromptTemplate): Answerer {
  const quoting = quotingAnswerer();
  const writer = prompt.pipe(model).pipe(new StringOutputParser());
  return async function* (evidence, config) {
    const { input, chat_history = [], context } = evidence;
    // Without evidence a model can only make things up; the quoting answerer says that nothing was found.
    if (context.length === 0) return yield* quoting(evidence, config);
    const filter = new MarkerFilter(context.length);
    let answer = "";
    const variables = { input, chat_history, context: formatPassages(context) };
    for await (const token of await writer.stream(variables, config)) {
      const text = filter.push(token);
      answer += text;
      if (text !== "") yield { answer: text };
    }
    const rest = filter.flush();
    if (rest !== "") yield { answer: rest };
    yield { citations: verifyCitations(answer + rest, context) };
  };
}

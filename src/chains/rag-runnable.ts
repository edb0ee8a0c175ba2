import { CallbackManager } from "@langchain/core/callbacks/manager";
import { patchConfig, Runnable, type RunnableConfig } from "@langchain/core/runnables";
import type { IterableReadableStream } from "@langchain/core/utils/stream";
import type { RagChainInput, RagChainOutput } from "./rag-chain.js";
import { TokenUsage } from "./token-usage.js";

/** Answers piece by piece; the pieces add up to the output, and the one with the citations is the last. */
export type AnswerSteps = (
  input: RagChainInput,
  config: Partial<RunnableConfig>,
) => AsyncGenerator<Partial<RagChainOutput>>;

/** Steps as a LangChain Runnable: one run for the callbacks, whose pieces are streamed and whose tokens are counted. */
export class RagRunnable extends Runnable<RagChainInput, RagChainOutput> {
  lc_namespace = ["langchain_pgvector", "chains"];

  constructor(
    private readonly runName: string,
    private readonly steps: AnswerSteps,
  ) {
    super();
  }

  static override lc_name(): string {
    return "RagRunnable";
  }

  override async invoke(input: RagChainInput, config?: Partial<RunnableConfig>): Promise<RagChainOutput> {
    const output: RagChainOutput = { answer: "", context: [], citations: [], abstained: false, unverified: [] };
    for await (const { answer = "", ...rest } of this._streamIterator(input, config)) {
      Object.assign(output, rest, { answer: output.answer + answer });
    }
    return output;
  }

  /** As LangChain's, and who stops reading stops the model: its next token would be waited for otherwise. */
  override async stream(
    input: RagChainInput,
    options?: Partial<RunnableConfig>,
  ): Promise<IterableReadableStream<RagChainOutput>> {
    const stop = new AbortController();
    const given = options?.signal;
    const signal = given === undefined ? stop.signal : AbortSignal.any([given, stop.signal]);
    const stream = await super.stream(input, { ...options, signal });
    const end = stream.return.bind(stream);
    const cancel = stream.cancel.bind(stream);
    const abort = (): void => stop.abort(new Error("The answer is not read any further."));
    return Object.assign(stream, {
      return: () => (abort(), end()),
      cancel: (reason?: unknown) => (abort(), cancel(reason)),
    });
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
      (inputs, runManager, options) => {
        const usage = new TokenUsage();
        const callbacks = runManager?.getChild() ?? new CallbackManager();
        callbacks.addHandler(usage);
        return this.#answer(inputs, patchConfig(options, { callbacks }), usage) as AsyncGenerator<RagChainOutput>;
      },
      { runName: this.runName, ...config },
    );
  }

  async *#answer(
    inputs: AsyncGenerator<RagChainInput>,
    config: Partial<RunnableConfig>,
    usage: TokenUsage,
  ): AsyncGenerator<Partial<RagChainOutput>> {
    for await (const input of inputs) {
      for await (const chunk of this.steps(input, config)) {
        const { total } = usage;
        yield chunk.citations === undefined || total === undefined ? chunk : { ...chunk, usage: total };
      }
    }
  }
}

import { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import type { BaseLanguageModelInput, LanguageModelLike } from "@langchain/core/language_models/base";
import type { LLMResult } from "@langchain/core/outputs";
import { RunnableLambda, type Runnable } from "@langchain/core/runnables";
import { RateLimit } from "../embeddings/rate-limit.js";
import { BudgetExceededError, ConfigurationError } from "../errors.js";
import { estimateTokens } from "./context-window.js";
import { usageOf } from "./token-usage.js";

/** Options of {@link ModelLimits}. */
export interface ModelLimitsOptions {
  /** Tokens, read and written, after which no call begins any more. A call that has begun is let to its end. */
  maxTokens?: number;
  /** Most calls. */
  maxCalls?: number;
  /** Calls that may begin within any minute; further ones wait for their turn. */
  callsPerMinute?: number;
}

/** What has been used of {@link ModelLimits}. */
export interface ModelUse {
  calls: number;
  /** As the provider reports them; estimated for calls of which it says nothing. */
  tokens: number;
}

/**
 * A budget and a rate for chat models, of any provider, that share it.
 *
 * @example
 * ```ts
 * const limits = new ModelLimits({ maxTokens: 200_000, callsPerMinute: 60 });
 * const chain = createRagChain({ store, model: limits.limit(new ChatOpenAI({ model: "gpt-4o-mini" })) });
 * ```
 */
export class ModelLimits {
  readonly #options: ModelLimitsOptions;
  readonly #rate: RateLimit | undefined;
  readonly #used: ModelUse = { calls: 0, tokens: 0 };

  /** @throws {@link ConfigurationError} for a limit that is no positive whole number */
  constructor(options: ModelLimitsOptions) {
    for (const [name, value] of Object.entries(options) as [string, number | undefined][]) {
      if (value === undefined || (Number.isInteger(value) && value >= 1)) continue;
      throw new ConfigurationError(`${name} is ${String(value)}; give a whole number of at least 1.`);
    }
    this.#options = options;
    this.#rate = options.callsPerMinute === undefined ? undefined : new RateLimit(options.callsPerMinute, 60_000);
  }

  get used(): Readonly<ModelUse> {
    return { ...this.#used };
  }

  /**
   * The model within these limits; it streams as the model does.
   *
   * @throws {@link BudgetExceededError} on a call when the budget is used up, before any request
   */
  limit<T extends LanguageModelLike>(model: T): Runnable<BaseLanguageModelInput, Awaited<ReturnType<T["invoke"]>>> {
    return RunnableLambda.from<BaseLanguageModelInput, Awaited<ReturnType<T["invoke"]>>>(async (input, { signal }) => {
      this.#take();
      await this.#rate?.take(signal);
      const counted = model as unknown as Runnable<BaseLanguageModelInput, Awaited<ReturnType<T["invoke"]>>>;
      return counted.withConfig({ callbacks: [new Meter(this.#used, input)] });
    }).withConfig({ runName: "model_within_limits" });
  }

  #take(): void {
    const { maxTokens = Infinity, maxCalls = Infinity } = this.#options;
    if (this.#used.tokens >= maxTokens || this.#used.calls >= maxCalls) {
      const { calls, tokens } = this.#used;
      throw new BudgetExceededError(
        `The budget of the chat model is used up: ${calls} calls, ${tokens} tokens. Nothing was sent. Raise maxTokens or ` +
          "maxCalls, or begin with new ModelLimits.",
        calls,
        tokens,
      );
    }
    this.#used.calls += 1;
  }
}

/** Adds what one call used. */
class Meter extends BaseCallbackHandler {
  name = "langchain_pgvector_meter";
  // The next call must know.
  override awaitHandlers = true;

  constructor(
    private readonly used: ModelUse,
    private readonly input: BaseLanguageModelInput,
  ) {
    super();
  }

  override handleLLMEnd(output: LLMResult): void {
    const written = output.generations.flat().map(({ text }) => text);
    const usage = usageOf(output)?.total_tokens;
    this.used.tokens += usage ?? estimateTokens(textOf(this.input)) + estimateTokens(written.join("\n"));
  }
}

function textOf(input: BaseLanguageModelInput): string {
  if (typeof input === "string") return input;
  const messages = Array.isArray(input) ? input : input.toChatMessages();
  return messages
    .map((message) => (typeof message === "object" && "text" in message ? message.text : JSON.stringify(message)))
    .join("\n");
}

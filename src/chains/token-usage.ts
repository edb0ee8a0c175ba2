import { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import { mergeUsageMetadata, type UsageMetadata } from "@langchain/core/messages";
import type { LLMResult } from "@langchain/core/outputs";

/** Adds up the tokens of every model call of a run, those of its inner steps included. */
export class TokenUsage extends BaseCallbackHandler {
  name = "langchain_pgvector_token_usage";
  // The sum is read as soon as the run ends.
  override awaitHandlers = true;
  #total: UsageMetadata | undefined;

  /** `undefined` while no model has said what it used. */
  get total(): UsageMetadata | undefined {
    return this.#total;
  }

  override handleLLMEnd(output: LLMResult): void {
    const used = usageOf(output);
    if (used !== undefined) this.#total = this.#total === undefined ? used : mergeUsageMetadata(this.#total, used);
  }
}

/** The tokens of one model call, when the provider says. */
export function usageOf({ generations, llmOutput }: LLMResult): UsageMetadata | undefined {
  for (const generation of generations.flat()) {
    const { message } = generation as { message?: { usage_metadata?: UsageMetadata } };
    if (message?.usage_metadata !== undefined) return message.usage_metadata;
  }
  const { promptTokens = 0, completionTokens = 0 } = (llmOutput?.["tokenUsage"] ?? {}) as Record<string, number>;
  if (promptTokens + completionTokens === 0) return undefined;
  return { input_tokens: promptTokens, output_tokens: completionTokens, total_tokens: promptTokens + completionTokens };
}

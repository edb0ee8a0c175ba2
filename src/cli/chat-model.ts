import type { LanguageModelLike } from "@langchain/core/language_models/base";
import type { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { modelProviderError } from "../embeddings/provider-error.js";
import { parseServerUrl } from "../embeddings/server-url.js";
import { DEFAULT_MAX_RETRIES, OLLAMA_URL } from "../embeddings/spec.js";
import { createTransport } from "../embeddings/transport.js";
import { ModelLimits } from "../chains/model-limits.js";
import { ConfigurationError } from "../errors.js";
import { withPatience, type PatienceFlags } from "./flags.js";

/** A chat model of any provider that LangChain's `initChatModel` knows. */
export interface ChatModelSpec {
  /** Such as `openai`, `ollama`, `anthropic`, `google-genai`. */
  readonly provider: string;
  readonly model: string;
  readonly baseUrl?: string;
  /** Left out, the provider's client looks in its own environment variable. */
  readonly apiKey?: string;
  /** How long a request may take until the answer begins. @defaultValue 60,000 for openai */
  readonly timeoutMs?: number;
  /** @defaultValue 5 */
  readonly maxRetries?: number;
}

/**
 * Makes a chat model. LangChain and the provider's package are loaded here and not before: they take a second.
 *
 * @throws ConfigurationError when the provider is unknown, its package is not installed, or its client refuses the spec.
 */
export async function createChatModel(spec: ChatModelSpec): Promise<BaseChatModel> {
  const { initChatModel, MODEL_PROVIDER_CONFIG } = await import("langchain/chat_models/universal");
  const known: Record<string, { package: string }> = MODEL_PROVIDER_CONFIG;
  const config = Object.hasOwn(known, spec.provider) ? known[spec.provider] : undefined;
  if (!config) {
    throw new ConfigurationError(
      `There is no chat model provider "${spec.provider}". Known are: ${Object.keys(known).toSorted().join(", ")}.`,
    );
  }
  const parameters = clientParameters(spec);
  try {
    return await initChatModel(spec.model, { modelProvider: spec.provider, ...parameters });
  } catch (error) {
    if (await isMissing(config.package)) {
      throw new ConfigurationError(
        `The chat model ${spec.provider}:${spec.model} needs a package that is not installed. Run: npm install ${config.package}`,
        { cause: error },
      );
    }
    const { message } = chatModelError(error, spec);
    throw new ConfigurationError(`The chat model could not be made: ${message}`, { cause: error });
  }
}

/** The model of a verb that answers, within its budget, and what turns its failures into messages for people. */
export async function openChatModel(
  chat: ChatModelSpec | undefined,
  flags: PatienceFlags & { readonly tokenBudget?: number },
): Promise<{ model: LanguageModelLike | undefined; explain: (error: unknown) => never }> {
  const explain = (error: unknown): never => {
    // Errors of the library say enough, the client's need a translation.
    throw chat === undefined ? error : chatModelError(error, chat);
  };
  if (chat === undefined) return { model: undefined, explain };
  const model = await createChatModel(withPatience(chat, flags));
  const { tokenBudget: maxTokens } = flags;
  return { model: maxTokens === undefined ? model : new ModelLimits({ maxTokens }).limit(model), explain };
}

/**
 * What a failed call of the chat model means, in one line without the key; print this rather than the client's error.
 */
export function chatModelError(error: unknown, spec: ChatModelSpec): Error {
  const baseUrl = spec.baseUrl === undefined ? undefined : parseServerUrl(spec.baseUrl).url;
  const label = { provider: spec.provider, model: spec.model, ...(baseUrl === undefined ? {} : { baseUrl }) };
  return modelProviderError(error, label, secretsOf(spec));
}

/** Fields for the provider's client; those two that the transport serves get it, the others the common names. */
function clientParameters(spec: ChatModelSpec): Record<string, unknown> {
  const maxRetries = spec.maxRetries ?? DEFAULT_MAX_RETRIES;
  if (spec.provider === "openai") {
    const server = spec.baseUrl === undefined ? undefined : parseServerUrl(spec.baseUrl);
    const { authorization } = server ?? {};
    const transport = createTransport({ secrets: secretsOf(spec), errorShape: "openai", authorization });
    // A local server wants no key, but the client does; and without one it would send the environment's.
    const apiKey = spec.apiKey ?? (server ? "none" : undefined);
    return {
      ...(apiKey === undefined ? {} : { apiKey }),
      timeout: spec.timeoutMs ?? 60_000,
      maxRetries,
      onFailedAttempt: transport.onFailedAttempt,
      configuration: { fetch: transport.fetch, ...(server ? { baseURL: server.url } : {}) },
    };
  }
  if (spec.provider === "ollama") {
    const server = parseServerUrl(spec.baseUrl ?? OLLAMA_URL);
    const { authorization, secrets } = server;
    const transport = createTransport({ secrets, errorShape: "ollama", authorization });
    return { baseUrl: server.url, fetch: transport.fetch };
  }
  return {
    maxRetries,
    ...(spec.apiKey === undefined ? {} : { apiKey: spec.apiKey }),
    ...(spec.baseUrl === undefined ? {} : { baseUrl: spec.baseUrl }),
    ...(spec.timeoutMs === undefined ? {} : { timeout: spec.timeoutMs }),
  };
}

function secretsOf(spec: ChatModelSpec): string[] {
  const ofUrl = spec.baseUrl === undefined ? [] : parseServerUrl(spec.baseUrl).secrets;
  return spec.apiKey === undefined ? [...ofUrl] : [...ofUrl, spec.apiKey];
}

async function isMissing(name: string): Promise<boolean> {
  try {
    await import(name);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
  }
}

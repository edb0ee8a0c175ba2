import type { EmbeddingsSpec } from "../embeddings/spec.js";
import { ConfigurationError } from "../errors.js";
import type { ChatModelSpec } from "./chat-model.js";
import { ollamaUrl } from "./ollama-host.js";

const MODEL_VARIABLE = "LANGCHAIN_PGVECTOR_EMBEDDING_MODEL";

/** The flags about models that the verbs share, as commander names them. */
export interface ModelFlags {
  /** `--embeddings <offline|openai|ollama|provider:model>` */
  readonly embeddings?: string;
  /** `--chat-model <provider:model>`, or `none` for extracts without a model. */
  readonly chatModel?: string;
  /** `--base-url <url>` */
  readonly baseUrl?: string;
  /** `--api-key <key>`; the environment is the better place, as other users of the machine see a process's flags. */
  readonly apiKey?: string;
}

/** `process.env`, or a part of it in tests. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface ResolvedEmbeddings {
  readonly spec: EmbeddingsSpec;
  /** What decided, so that the environment can give way to the store's own model and a flag need not. */
  readonly source: "flag" | "environment" | "default";
}

/** The chat model taken when there is a key or a base URL for OpenAI and no `--chat-model`. */
export const DEFAULT_CHAT_MODEL = "gpt-4o-mini";

/**
 * The embedder that flags and environment ask for: `--embeddings`, then `LANGCHAIN_PGVECTOR_EMBEDDING_MODEL`, then OpenAI
 * with `--base-url`, `--api-key`, `OPENAI_API_KEY` or `OPENAI_BASE_URL`, then the offline one.
 * `OLLAMA_BASE_URL` and `OLLAMA_HOST` say where Ollama is, not that it is wanted: many machines have them set.
 *
 * @throws ConfigurationError when the provider is unknown or a key is missing.
 */
export function resolveEmbeddings(flags: ModelFlags, environment: Environment): ResolvedEmbeddings {
  const env = withoutEmpty(environment);
  const named = env[MODEL_VARIABLE];
  if (flags.embeddings !== undefined) {
    return { spec: embeddingsSpec(flags.embeddings, "--embeddings", flags, env), source: "flag" };
  }
  if (named !== undefined) return { spec: embeddingsSpec(named, MODEL_VARIABLE, flags, env), source: "environment" };
  if (reachesOpenAI(flags, env)) return { spec: embeddingsSpec("openai", "--base-url", flags, env), source: "flag" };
  if (hasOpenAI(env)) return { spec: embeddingsSpec("openai", "OPENAI_API_KEY", flags, env), source: "environment" };
  return { spec: { provider: "offline" }, source: "default" };
}

/**
 * The chat model that flags and environment ask for, or `undefined` for none, when answers are extracts.
 * With a key or a base URL for OpenAI it is `gpt-4o-mini`; any other only when it is named.
 *
 * @throws ConfigurationError when `--chat-model` does not name a provider and a model.
 */
export function resolveChatModel(flags: ModelFlags, environment: Environment): ChatModelSpec | undefined {
  const env = withoutEmpty(environment);
  if (flags.chatModel === "none") return undefined;
  if (flags.chatModel === undefined) {
    const wanted = hasOpenAI(env) || reachesOpenAI(flags, env);
    return wanted ? { provider: "openai", model: DEFAULT_CHAT_MODEL, ...accessTo("openai", flags, env) } : undefined;
  }
  const [provider, model] = splitAtColon(flags.chatModel);
  if (provider === "" || model === undefined) {
    throw new ConfigurationError(
      `--chat-model "${flags.chatModel}" does not name a provider and a model. ` +
        `Write it like openai:${DEFAULT_CHAT_MODEL}, ollama:llama3.2 or anthropic:<model>, or none for extracts.`,
    );
  }
  const access = accessTo(provider, flags, env);
  if (provider === "openai") requireOpenAIAccess("--chat-model", access);
  return { provider, model, ...access };
}

function embeddingsSpec(text: string, origin: string, flags: ModelFlags, env: Environment): EmbeddingsSpec {
  const [provider, model] = splitAtColon(text);
  switch (provider) {
    case "offline":
      return { provider };
    case "openai": {
      const access = accessTo(provider, flags, env);
      requireOpenAIAccess(origin, access);
      return defined({ provider, model, ...access });
    }
    case "ollama":
      return defined({ provider, model, baseUrl: accessTo(provider, flags, env).baseUrl });
    default:
      throw new ConfigurationError(
        `${origin} "${text}" names no embedder. Use offline, openai, ollama, openai:<model> or ollama:<model>. ` +
          `In code, any LangChain embedder can be given to PostgresVectorStore.`,
      );
  }
}

interface Access {
  readonly apiKey?: string;
  readonly baseUrl?: string;
}

function accessTo(provider: string, flags: ModelFlags, env: Environment): Access {
  const owner = ownerOfFlags(flags, env);
  const baseUrl = provider === owner ? flags.baseUrl : undefined;
  // Ollama takes no key, so that one given beside it is the chat model's.
  const apiKey = provider === owner || owner === "ollama" ? flags.apiKey : undefined;
  if (provider === "openai") {
    return defined({ apiKey: apiKey ?? env["OPENAI_API_KEY"], baseUrl: baseUrl ?? env["OPENAI_BASE_URL"] });
  }
  if (provider === "ollama") return defined({ baseUrl: baseUrl ?? ollamaUrl(env) });
  return defined({ apiKey, baseUrl });
}

/** The provider that `--base-url` and `--api-key` are about: OpenAI unless only others are named, the embedder's first. */
function ownerOfFlags(flags: ModelFlags, env: Environment): string {
  const named = [flags.embeddings ?? env[MODEL_VARIABLE], flags.chatModel]
    .map((text) => (text === undefined ? "none" : splitAtColon(text)[0]))
    .filter((provider) => provider !== "none" && provider !== "offline");
  return named.includes("openai") ? "openai" : (named[0] ?? "openai");
}

function reachesOpenAI(flags: ModelFlags, env: Environment): boolean {
  return (flags.baseUrl ?? flags.apiKey) !== undefined && ownerOfFlags(flags, env) === "openai";
}

function requireOpenAIAccess(origin: string, access: Access): void {
  if (access.apiKey !== undefined || access.baseUrl !== undefined) return;
  throw new ConfigurationError(
    `${origin} asks for OpenAI, which needs a key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a local server.`,
  );
}

function hasOpenAI(env: Environment): boolean {
  return env["OPENAI_API_KEY"] !== undefined || env["OPENAI_BASE_URL"] !== undefined;
}

/** Splits at the first colon only: Ollama's models have one of their own (`ollama:llama3.2:3b`). */
function splitAtColon(text: string): [provider: string, model: string | undefined] {
  const at = text.indexOf(":");
  return at < 0 ? [text.trim(), undefined] : [text.slice(0, at).trim(), text.slice(at + 1).trim() || undefined];
}

/** Shells and compose files leave variables set to nothing; that means not set. */
function withoutEmpty(environment: Environment): Environment {
  return Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value.trim() !== ""),
  );
}

function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}

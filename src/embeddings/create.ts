import type { Embeddings } from "@langchain/core/embeddings";
import { ConfigurationError } from "../errors.js";
import { CheckedEmbeddings } from "./checked.js";
import { modelProviderError } from "./provider-error.js";
import { parseServerUrl } from "./server-url.js";
import { createTransport } from "./transport.js";
import {
  DEFAULT_MAX_RETRIES,
  EMBEDDINGS_DEFAULTS,
  OLLAMA_URL,
  OPENAI_URL,
  type EmbeddingsSpec,
  type OllamaEmbeddingsSpec,
  type OpenAIEmbeddingsSpec,
} from "./spec.js";

/**
 * Makes an embedder from a plain description. The spec is all that counts: the environment is not read, so that a base
 * URL or a key set for another program cannot redirect the texts. The client's package is loaded when it is needed.
 *
 * Network providers come back as `CheckedEmbeddings`: every reply is checked, failed requests are repeated when that may
 * help, and what is thrown names the provider, the model and the cure (`ModelProviderError`) without the key.
 *
 * @throws ConfigurationError when the spec cannot work: no key for OpenAI itself, an impossible number or URL.
 */
export async function createEmbeddings(spec: EmbeddingsSpec): Promise<Embeddings> {
  checkNumbers(spec);
  switch (spec.provider) {
    case "offline": {
      const { OfflineEmbeddings } = await import("./offline.js");
      return new OfflineEmbeddings(spec.dimensions === undefined ? {} : { dimensions: spec.dimensions });
    }
    case "openai":
      return await createOpenAI(spec);
    case "ollama":
      return await createOllama(spec);
    default:
      throw new ConfigurationError(
        `There is no embeddings provider "${String((spec as { provider?: unknown }).provider)}". ` +
          `Use offline, openai (any compatible server with baseUrl) or ollama, or pass your own LangChain embedder.`,
      );
  }
}

async function createOpenAI(spec: OpenAIEmbeddingsSpec): Promise<Embeddings> {
  if (spec.apiKey === undefined && spec.baseUrl === undefined) {
    throw new ConfigurationError(
      "OpenAI needs an API key: give apiKey, or baseUrl for a local server, or use the offline provider.",
    );
  }
  const { CarefulOpenAIEmbeddings } = await import("./openai.js");
  const { model, timeoutMs, batchSize, maxRetries, maxConcurrency } = resolve(spec);
  const server = parseServerUrl(spec.baseUrl ?? OPENAI_URL);
  const secrets = [...server.secrets, ...(spec.apiKey === undefined ? [] : [spec.apiKey])];
  const transport = createTransport({ secrets, errorShape: "openai", authorization: server.authorization });
  const embeddings = new CarefulOpenAIEmbeddings({
    model,
    dimensions: spec.dimensions,
    timeout: timeoutMs,
    maxRetries,
    maxConcurrency,
    batchSize,
    onFailedAttempt: transport.onFailedAttempt,
    // Base64 is a quarter of the size, but not every compatible server knows it.
    encodingFormat: spec.baseUrl === undefined ? "base64" : "float",
    // Without a key the client would take one from the environment and send it to this server.
    apiKey: spec.apiKey ?? "none",
    configuration: { baseURL: server.url, fetch: transport.fetch },
  });
  return checked(embeddings, spec, server.url, secrets);
}

async function createOllama(spec: OllamaEmbeddingsSpec): Promise<Embeddings> {
  const { OllamaEmbeddings } = await import("@langchain/ollama");
  const { model, timeoutMs, maxRetries, maxConcurrency } = resolve(spec);
  const server = parseServerUrl(spec.baseUrl ?? OLLAMA_URL);
  const transport = createTransport({
    secrets: server.secrets,
    errorShape: "ollama",
    authorization: server.authorization,
    timeoutMs,
  });
  const embeddings = new OllamaEmbeddings({
    model,
    dimensions: spec.dimensions,
    baseUrl: server.url,
    maxRetries,
    maxConcurrency,
    onFailedAttempt: transport.onFailedAttempt,
    fetch: transport.fetch,
  });
  return checked(embeddings, spec, server.url, server.secrets);
}

type RemoteSpec = OpenAIEmbeddingsSpec | OllamaEmbeddingsSpec;

function resolve(spec: RemoteSpec) {
  const defaults = EMBEDDINGS_DEFAULTS[spec.provider];
  return {
    model: spec.model ?? defaults.model,
    timeoutMs: spec.timeoutMs ?? defaults.timeoutMs,
    batchSize: spec.batchSize ?? defaults.batchSize,
    maxRetries: spec.maxRetries ?? DEFAULT_MAX_RETRIES,
    maxConcurrency: spec.maxConcurrency ?? defaults.maxConcurrency,
  };
}

function checked(inner: Embeddings, spec: RemoteSpec, baseUrl: string, secrets: readonly string[]): CheckedEmbeddings {
  const { model, batchSize, maxConcurrency } = resolve(spec);
  const label = { provider: spec.provider, model, ...(spec.baseUrl === undefined ? {} : { baseUrl }) };
  return new CheckedEmbeddings(inner, {
    label,
    dimensions: spec.dimensions,
    batchSize,
    maxConcurrency,
    explain: (error) => modelProviderError(error, label, secrets),
  });
}

function checkNumbers(spec: EmbeddingsSpec): void {
  const least: Record<string, number> = { dimensions: 1, timeoutMs: 1, maxRetries: 0, batchSize: 1, maxConcurrency: 1 };
  for (const [name, value] of Object.entries(spec)) {
    const minimum = least[name];
    if (minimum === undefined || value === undefined) continue;
    if (!Number.isInteger(value) || value < minimum) {
      throw new ConfigurationError(`${name} is ${String(value)}: give a whole number of at least ${minimum}.`);
    }
  }
}

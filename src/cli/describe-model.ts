import { EMBEDDINGS_DEFAULTS, type EmbeddingsSpec } from "../embeddings/spec.js";
import { nameModel } from "../embeddings/model-label.js";
import type { ChatModelSpec } from "./chat-model.js";
import { redactUrl } from "./redact.js";

/**
 * One line about an embedder or a chat model, such as `openai text-embedding-3-small at http://127.0.0.1:1234/v1`.
 * Holds no key, and no password of a URL.
 */
export function describeModel(spec: EmbeddingsSpec | ChatModelSpec): string {
  if (!("model" in spec) && spec.provider === "offline") return "offline (matches words, not meaning)";
  const { provider, model, baseUrl } = spec as ChatModelSpec;
  const fallback =
    provider in EMBEDDINGS_DEFAULTS ? EMBEDDINGS_DEFAULTS[provider as "openai" | "ollama"].model : undefined;
  return nameModel({
    provider,
    model: model ?? fallback,
    ...(baseUrl === undefined ? {} : { baseUrl: redactUrl(baseUrl) }),
  });
}

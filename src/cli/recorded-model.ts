import { ConfigurationError } from "../errors.js";

/** `provider:model`, or the name of a model whose provider the command line does not know. */
export function recordedModel(text: string): { embeddingProvider?: string; embeddingModel?: string } {
  if (text === "offline") return { embeddingProvider: text };
  const [, provider, model] = /^(openai|ollama):(.+)$/.exec(text) ?? [];
  if (provider !== undefined && model !== undefined) {
    return { embeddingProvider: provider, embeddingModel: model.replace(/:latest$/, "") };
  }
  if (/^(openai|ollama):?$/.test(text) || text.trim() === "") {
    throw new ConfigurationError(`--embeddings "${text}" names no model; write it like openai:text-embedding-3-small.`);
  }
  return { embeddingModel: text };
}

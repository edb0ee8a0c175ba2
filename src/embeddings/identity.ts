import type { EmbeddingsInterface } from "@langchain/core/embeddings";

/** What an embedder says about itself; a field is absent when it does not say. */
export interface EmbedderIdentity {
  /** Such as `openai`, `ollama` or `offline`; absent for other classes of embedders. */
  readonly provider?: string;
  readonly model?: string;
  readonly dimensions?: number;
}

const MODEL_FIELDS = ["model", "modelName", "modelId"];
const DIMENSION_FIELDS = ["dimensions", "outputDimensionality", "vectorSize"];
/** Where wrappers keep the embedder they wrap, `CacheBackedEmbeddings` the first of them. */
const WRAPPED_FIELDS = ["underlyingEmbeddings", "embeddings", "embedder", "inner"];
const DEEPEST_WRAPPING = 5;

/**
 * Reads the model name and the number of dimensions from any LangChain embedder, through wrappers such as
 * `CacheBackedEmbeddings`. Nothing is called and nothing is guessed: two embedders that do not say are not the same one.
 *
 * `:latest` is dropped from the name, because Ollama takes both spellings for one model.
 */
export function identityOf(embeddings: EmbeddingsInterface): EmbedderIdentity {
  const identity: { provider?: string; model?: string; dimensions?: number } = {};
  let embedder: unknown = embeddings;
  for (let depth = 0; depth < DEEPEST_WRAPPING && isRecord(embedder); depth++) {
    identity.provider ??= providerOf(embedder);
    identity.model ??= modelOf(embedder);
    identity.dimensions ??= DIMENSION_FIELDS.map((field) => fieldOf(embedder, field)).find(isCount);
    embedder = WRAPPED_FIELDS.map((field) => fieldOf(embedder, field)).find(isRecord);
  }
  if (identity.provider === undefined) delete identity.provider;
  if (identity.model === undefined) delete identity.model;
  if (identity.dimensions === undefined) delete identity.dimensions;
  return identity;
}

/** Classes of embedders whose provider the command line can reach by itself. */
const PROVIDER_CLASSES: Readonly<Record<string, string>> = {
  OfflineEmbeddings: "offline",
  OpenAIEmbeddings: "openai",
  CarefulOpenAIEmbeddings: "openai",
  OllamaEmbeddings: "ollama",
};

function providerOf(embedder: Record<string, unknown>): string | undefined {
  const named = fieldOf(embedder, "provider");
  return isName(named) ? named : PROVIDER_CLASSES[embedder.constructor.name];
}

function modelOf(embedder: Record<string, unknown>): string | undefined {
  const model = MODEL_FIELDS.map((field) => fieldOf(embedder, field)).find(isName);
  // Azure's client reports this model for whatever the deployment serves, unless it was given another name.
  const deployment = fieldOf(embedder, "azureOpenAIApiDeploymentName");
  const name = isName(deployment) && model === "text-embedding-ada-002" ? deployment : model;
  return name?.trim().replace(/:latest$/, "");
}

function fieldOf(embedder: unknown, field: string): unknown {
  return isRecord(embedder) ? embedder[field] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}

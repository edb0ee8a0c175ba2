import type { EmbeddingsSpec } from "../embeddings/spec.js";
import { ConfigurationError } from "../errors.js";
import type { ModelVersion } from "../schema/layout.js";
import { describeModel } from "./describe-model.js";
import { resolveEmbeddings, type Environment, type ModelFlags } from "./model-options.js";

export interface ChosenEmbedder {
  readonly spec: EmbeddingsSpec;
  /** What the user should know about the choice, when the environment would have chosen another. */
  readonly note?: string;
}

/** OpenAI's models that shorten their vectors on request, and their own number of dimensions. */
const SHORTENING: Readonly<Record<string, number>> = {
  "text-embedding-3-small": 1536,
  "text-embedding-3-large": 3072,
};

/**
 * The embedder of a store: for a new one what flags and environment ask for, for an existing one the model that filled
 * it, reached with the keys and addresses at hand. No I/O.
 *
 * @param active the store's active model; `undefined` when there is no store yet.
 * @throws ConfigurationError when a flag asks for another model than the store's, when its key is missing, or when
 *   nobody knows which embedder filled the store.
 */
export function chooseEmbedder(
  active: ModelVersion | undefined,
  flags: ModelFlags,
  env: Environment,
  dimensions?: number,
): ChosenEmbedder {
  if (active === undefined) return { spec: withDimensions(resolveEmbeddings(flags, env).spec, dimensions) };
  const { provider } = active;
  if (provider === undefined) return { spec: unrecorded(active, flags, env) };
  const spec = withDimensions(storedSpec(active, provider, flags, env), active.dimensions);
  if (flags.embeddings !== undefined) checkFlag(active, flags, env);
  return { spec, ...noteOn(active, flags, env) };
}

function storedSpec(active: ModelVersion, provider: string, flags: ModelFlags, env: Environment): EmbeddingsSpec {
  if (provider === "offline") return { provider, dimensions: active.dimensions };
  const embeddings = active.model === undefined ? provider : `${provider}:${active.model}`;
  try {
    return resolveEmbeddings({ ...flags, embeddings }, env).spec;
  } catch (error) {
    const cure =
      provider === "openai"
        ? "To search it, set OPENAI_API_KEY, or OPENAI_BASE_URL for a local server."
        : "The command line cannot reach it; search this store from code, with that embedder.";
    throw new ConfigurationError(`The store was filled by ${nameOf(active)}. ${cure}`, { cause: error });
  }
}

/** Stores filled from code by an embedder that does not say what it is, and tables adopted without a name. */
function unrecorded(active: ModelVersion, flags: ModelFlags, env: Environment): EmbeddingsSpec {
  const { spec, source } = resolveEmbeddings(flags, env);
  if (source !== "default") return withDimensions(spec, active.dimensions);
  const model = active.model === undefined ? "" : ` (${active.model})`;
  throw new ConfigurationError(
    `It is not recorded which embedder${model} filled this store, with ${active.dimensions} dimensions. ` +
      "Name it: --embeddings openai:<model> or --embeddings ollama:<model>.",
  );
}

function checkFlag(active: ModelVersion, flags: ModelFlags, env: Environment): void {
  if (isModelOf(active, resolveEmbeddings(flags, env).spec)) return;
  throw new ConfigurationError(
    `The store was filled by ${nameOf(active)}, and vectors of two models cannot be compared. ` +
      "Leave --embeddings out, use another --table for the other model, or change the model of this one with: langchain-pgvector models add",
  );
}

/** A key that came later must not break a store, but the user may wonder why it is not used. */
function noteOn(active: ModelVersion, flags: ModelFlags, env: Environment): { note?: string } {
  if (flags.embeddings !== undefined) return {};
  try {
    const { spec, source } = resolveEmbeddings(flags, env);
    if (source === "default" || isModelOf(active, spec)) return {};
    return {
      note:
        `note: this store keeps the embedder that filled it; to change to ${describeModel(spec)}, without an interruption: ` +
        `langchain-pgvector models add --embeddings ${flagOf(spec)}`,
    };
  } catch {
    // What the environment asks for cannot work, and need not.
    return {};
  }
}

/** What names an embedder behind `--embeddings`. */
function flagOf(spec: EmbeddingsSpec): string {
  return "model" in spec && spec.model !== undefined ? `${spec.provider}:${spec.model}` : spec.provider;
}

/** Asks for vectors of that length where the embedder can make them. */
function withDimensions(spec: EmbeddingsSpec, dimensions: number | undefined): EmbeddingsSpec {
  if (dimensions === undefined) return spec;
  if (spec.provider === "offline") return { ...spec, dimensions };
  const own = spec.provider === "openai" ? SHORTENING[spec.model ?? "text-embedding-3-small"] : undefined;
  return own === undefined || own <= dimensions ? spec : { ...spec, dimensions };
}

/** Whether a wish is for the store's model; Ollama takes `:latest` for the name without it, which is the one recorded. */
function isModelOf(active: ModelVersion, wanted: EmbeddingsSpec): boolean {
  const named = "model" in wanted ? wanted.model?.replace(/:latest$/, "") : undefined;
  return wanted.provider === active.provider && (named === undefined || (active.model ?? named) === named);
}

function nameOf(active: ModelVersion): string {
  return [active.provider, active.model].filter(Boolean).join(" ");
}

import { Database } from "../db/database.js";
import { createEmbeddings } from "../embeddings/create.js";
import type { EmbeddingsSpec } from "../embeddings/spec.js";
import { ConfigurationError } from "../errors.js";
import { inspectSchema } from "../schema/inspect.js";
import type { ModelVersion } from "../schema/layout.js";
import { resolveOptions, type PostgresVectorStoreArgs } from "../store/options.js";
import { PostgresVectorStore } from "../store/postgres-vector-store.js";
import type { ChatModelSpec } from "./chat-model.js";
import type { CliContext } from "./context.js";
import { describeModel } from "./describe-model.js";
import { resolveEmbeddings, type ModelFlags, type ResolvedEmbeddings } from "./model-options.js";
import type { Target, TargetFlags } from "./target.js";

/** The store of a verb, its embedder chosen by what the store holds, else by flags and environment. */
export async function openCliStore(
  context: CliContext,
  target: Target,
  flags: TargetFlags & ModelFlags,
  create: boolean,
  chat?: ChatModelSpec,
): Promise<PostgresVectorStore> {
  const args = storeArgs(target, flags, context);
  const active = await activeModel(target, args);
  const wanted = resolveEmbeddings(flags, context.env);
  const spec = active === undefined ? wanted.spec : specFor(active, wanted, flags);
  announce(context, target, spec, chat);
  if (active !== undefined && wanted.source === "environment" && describeModel(wanted.spec) !== describeModel(spec)) {
    context.err(`note: the store keeps its model; ${describeModel(wanted.spec)} needs a table of its own (--table)`);
  }
  const embeddings = await createEmbeddings(spec);
  return create
    ? PostgresVectorStore.initialize(embeddings, args)
    : PostgresVectorStore.fromExistingIndex(embeddings, args);
}

export function storeArgs(target: Target, flags: TargetFlags, context: CliContext): PostgresVectorStoreArgs {
  return {
    pool: target.pool,
    ...(flags.table !== undefined && { tableName: flags.table }),
    ...(flags.schema !== undefined && { schemaName: flags.schema }),
    ...(flags.collection !== undefined && { collectionName: flags.collection }),
    logger: { debug: () => undefined, info: () => undefined, warn: (message) => context.err(message) },
  };
}

/** The first line on stderr: where this goes, and which models see it. */
export function announce(context: CliContext, target: Target, spec: EmbeddingsSpec, chat?: ChatModelSpec): void {
  const answers = chat === undefined ? "" : ` · chat model: ${describeModel(chat)}`;
  context.err(`database: ${target.label} · tenant: default · embedder: ${describeModel(spec)}${answers}`);
}

/** The model whose vectors the table holds; `undefined` when there is no table yet. */
async function activeModel(target: Target, args: PostgresVectorStoreArgs): Promise<ModelVersion | undefined> {
  const { layout } = resolveOptions(args);
  const state = await new Database(target.pool).connection((session) => inspectSchema(session, layout));
  return state.activeModel;
}

/** How to reach the embedder that filled the store: its own provider and model, keys and address from outside. */
function specFor(active: ModelVersion, wanted: ResolvedEmbeddings, flags: ModelFlags): EmbeddingsSpec {
  const { provider, model } = active;
  if (provider === "offline") {
    if (flags.embeddings !== undefined && wanted.spec.provider !== "offline") throw otherModel(active, wanted);
    return { provider, dimensions: active.dimensions };
  }
  if (provider === undefined || wanted.spec.provider === provider) {
    const named = "model" in wanted.spec ? wanted.spec.model : undefined;
    if (named !== undefined && model !== undefined && named !== model) throw otherModel(active, wanted);
    return wanted.spec.provider === "offline" || model === undefined ? wanted.spec : { ...wanted.spec, model };
  }
  throw otherModel(active, wanted);
}

function otherModel(active: ModelVersion, wanted: ResolvedEmbeddings): ConfigurationError {
  const store = [active.provider, active.model].filter(Boolean).join(" ") || "an unknown model";
  return new ConfigurationError(
    `The store was filled by ${store}, the embedder at hand is ${describeModel(wanted.spec)}. ` +
      (active.provider === "openai" ? "Set OPENAI_API_KEY or --base-url, " : `Give --embeddings ${active.provider}, `) +
      "or use another --table for the other model.",
  );
}

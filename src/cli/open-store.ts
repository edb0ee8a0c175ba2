import { Database } from "../db/database.js";
import { createEmbeddings } from "../embeddings/create.js";
import { ConfigurationError, SchemaVersionError } from "../errors.js";
import { inspectSchema, type SchemaState } from "../schema/inspect.js";
import { resolveOptions, type PostgresVectorStoreArgs } from "../store/options.js";
import { PostgresVectorStore } from "../store/postgres-vector-store.js";
import { announce } from "./announce.js";
import type { ChatModelSpec } from "./chat-model.js";
import { chooseEmbedder } from "./choose-embedder.js";
import type { CliContext } from "./context.js";
import { withPatience, type LexicalFlags, type PatienceFlags } from "./flags.js";
import { resolveEmbeddings, type ModelFlags } from "./model-options.js";
import type { Target, TargetFlags, TenancyFlags } from "./target.js";

export interface OpenCliStoreOptions {
  /** Whether a missing table is made. */
  readonly create: boolean;
  /** A file of ready vectors: a new table is made for them, and only the user knows which model they are of. */
  readonly vectors?: { readonly from: string; readonly dimensions: number | undefined; readonly sparse: boolean };
  /** The chat model that will answer, for the first line. */
  readonly chat?: ChatModelSpec | undefined;
}

/**
 * The store of a verb, with the embedder that {@link chooseEmbedder} finds. Prints the first line on stderr.
 *
 * @throws SchemaVersionError when there is no such table and it is not to be made.
 */
export async function openCliStore(
  context: CliContext,
  target: Target,
  flags: TargetFlags & TenancyFlags & ModelFlags & PatienceFlags & LexicalFlags,
  { create, chat, vectors }: OpenCliStoreOptions,
): Promise<PostgresVectorStore> {
  const args = storeArgs(target, flags, context);
  const { state, chosen } = await inspectStore(context, target, flags, args, { chat, dimensions: vectors?.dimensions });
  if (!create && !state.chunks.exists) {
    const { table } = resolveOptions(args).layout;
    throw new SchemaVersionError(
      `There is no table ${JSON.stringify(table)} in ${target.label}. ` +
        "Ingest something first: langchain-pgvector ingest <paths>, or name another --table or --schema.",
    );
  }
  if (vectors !== undefined && !state.chunks.exists && flags.embeddings === undefined) {
    throw new ConfigurationError(
      `Which model made the vectors of ${vectors.from}? Name it, so that searches use the same one: ` +
        "--embeddings openai:<model> or --embeddings ollama:<model>.",
    );
  }
  const embeddings = await createEmbeddings(withPatience(chosen.spec, flags));
  const fresh = {
    ...args,
    ...(vectors?.dimensions !== undefined && { dimensions: vectors.dimensions }),
    ...(vectors?.sparse && { storageType: "sparsevec" as const }),
  };
  const config = state.activeModel === undefined ? fresh : { ...args, distanceStrategy: state.activeModel.metric };
  return create
    ? PostgresVectorStore.initialize(embeddings, config)
    : PostgresVectorStore.fromExistingIndex(embeddings, config);
}

/** What is in the database and which embedder belongs to it; says both on the first line of stderr. */
export async function inspectStore(
  context: CliContext,
  target: Target,
  flags: ModelFlags,
  args: PostgresVectorStoreArgs,
  extra: { chat?: ChatModelSpec | undefined; dimensions?: number | undefined },
): Promise<{ state: SchemaState; chosen: ReturnType<typeof chooseEmbedder> }> {
  const { layout } = resolveOptions(args);
  const state = await new Database(target.pool)
    .connection((session) => inspectSchema(session, layout))
    .catch((error: unknown) => {
      // The line says where the failure was; only the database knows the embedder of an existing store.
      announce(context, target, resolveEmbeddings(flags, context.env).spec, extra.chat, tenantLabel(args));
      throw error;
    });
  const chosen = chooseEmbedder(state.activeModel, flags, context.env, extra.dimensions);
  announce(context, target, chosen.spec, extra.chat, tenantLabel(args));
  if (chosen.note !== undefined) context.err(chosen.note);
  return { state, chosen };
}

/** The tenant of the first line: the one of the flags, all of a table with tenancy, else the one that rows then have. */
function tenantLabel({ tenancy, tenantId }: PostgresVectorStoreArgs): string {
  if (typeof tenantId === "string") return tenantId;
  return tenancy === "rls" ? "all" : "default";
}

/** The store's options that the shared flags stand for. */
export function storeArgs(
  target: Target,
  flags: TargetFlags & TenancyFlags & LexicalFlags,
  context: CliContext,
): PostgresVectorStoreArgs {
  const { id, content, metadata, embedding } = flags.columns ?? {};
  return {
    pool: target.pool,
    ...(flags.table !== undefined && { tableName: flags.table }),
    ...(flags.schema !== undefined && { schemaName: flags.schema }),
    ...(flags.collection !== undefined && { collectionName: flags.collection }),
    ...(flags.collectionTable !== undefined && { collectionTableName: flags.collectionTable }),
    ...(flags.tenancy !== undefined && { tenancy: flags.tenancy }),
    ...(flags.tenant !== undefined && { tenancy: "rls" as const, tenantId: flags.tenant }),
    ...((flags.lexical === true || flags.language !== undefined) && {
      lexical: flags.language === undefined ? true : { language: flags.language },
    }),
    ...(flags.appRole !== undefined && { appRole: flags.appRole }),
    columns: {
      ...(id !== undefined && { idColumnName: id }),
      ...(content !== undefined && { contentColumnName: content }),
      ...(metadata !== undefined && { metadataColumnName: metadata }),
      ...(embedding !== undefined && { vectorColumnName: embedding }),
    },
    logger: { debug: () => undefined, info: () => undefined, warn: (message) => context.err(message) },
  };
}

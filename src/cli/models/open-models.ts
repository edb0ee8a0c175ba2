import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { Command } from "commander";
import { Database } from "../../db/database.js";
import { createEmbeddings } from "../../embeddings/create.js";
import { ConfigurationError } from "../../errors.js";
import { ModelAdmin } from "../../models/model-admin.js";
import { inspectSchema } from "../../schema/inspect.js";
import type { RegisteredModel } from "../../schema/layout.js";
import { openStore } from "../../store/open.js";
import { resolveOptions } from "../../store/options.js";
import { StoreHandle } from "../../store/store-handle.js";
import { announce } from "../announce.js";
import { chooseEmbedder } from "../choose-embedder.js";
import type { CliContext } from "../context.js";
import { addEmbeddingFlags, addJsonFlag, addTargetFlags, withPatience, type PatienceFlags } from "../flags.js";
import type { ModelFlags } from "../model-options.js";
import { storeArgs } from "../open-store.js";
import { withTarget, type TargetFlags } from "../target.js";

export interface ModelsFlags extends TargetFlags, ModelFlags, PatienceFlags {
  readonly appRole?: string;
  readonly json?: boolean;
  readonly plan?: boolean;
}

/** Adds a subcommand with the flags that all of them have. */
export function addModelsCommand(models: Command, nameAndArguments: string, description: string): Command {
  const command = addTargetFlags(models.command(nameAndArguments).description(description));
  return addJsonFlag(addEmbeddingFlags(command)).option("--app-role <name>", "role of the application");
}

/**
 * Does `work` on the model versions of the store that the flags name, with the embedder of each version that can be
 * reached from here. The store must be there.
 */
export function withModels<T>(
  context: CliContext,
  flags: ModelsFlags,
  work: (models: ModelAdmin) => Promise<T>,
): Promise<T> {
  return withTarget(context, flags, "open", async (target) => {
    const database = new Database(target.pool);
    const { layout } = resolveOptions(storeArgs(target, flags, context));
    const state = await database.connection((session) => inspectSchema(session, layout));
    announce(context, target, undefined, undefined, state.chunks.rowSecurity ? "all" : "default");
    const args = {
      ...storeArgs(target, flags, context),
      ...(state.chunks.rowSecurity && { tenancy: "rls" as const }),
      embedders: await embeddersOf(state.models, flags, context),
    };
    const options = resolveOptions(args);
    const handle = new StoreHandle(() => openStore(database, options, undefined, { mustExist: true }));
    try {
      return await work(new ModelAdmin(handle));
    } finally {
      await handle.end();
    }
  });
}

/** The embedders that can be made of what the registry knows, with the keys and addresses at hand. */
async function embeddersOf(
  models: readonly RegisteredModel[],
  flags: ModelsFlags,
  context: CliContext,
): Promise<Record<string, EmbeddingsInterface>> {
  const embedders: Record<string, EmbeddingsInterface> = {};
  const { embeddings: _, ...access } = flags;
  for (const model of models) {
    try {
      const { spec } = chooseEmbedder({ ...model, dimensions: model.fullDimensions }, access, context.env);
      embedders[model.fingerprint] = await createEmbeddings(withPatience(spec, flags));
    } catch (error) {
      // One that cannot be reached is missed where it is needed, and named there.
      if (!(error instanceof ConfigurationError)) throw error;
    }
  }
  return embedders;
}

import type { Command } from "commander";
import { Database } from "../db/database.js";
import { createEmbeddings } from "../embeddings/create.js";
import { inspectSchema } from "../schema/inspect.js";
import { planSchema } from "../schema/plan.js";
import { newModel } from "../store/open.js";
import { resolveOptions } from "../store/options.js";
import { PostgresVectorStore } from "../store/postgres-vector-store.js";
import type { CliContext } from "./context.js";
import { addEmbeddingFlags, addJsonFlag, addTargetFlags, atLeast } from "./flags.js";
import { resolveEmbeddings, type ModelFlags } from "./model-options.js";
import { announce, storeArgs } from "./open-store.js";
import { openTarget, type TargetFlags } from "./target.js";

interface InitFlags extends TargetFlags, ModelFlags {
  readonly dimensions?: number;
  readonly extensionSchema?: string;
  readonly plan?: boolean;
  readonly json?: boolean;
}

export function addInit(program: Command, context: CliContext): void {
  const command = program
    .command("init")
    .description("create or migrate the schema of a store")
    .option("--dimensions <number>", "dimensions of the embedding column (default: the embedder's)", atLeast(1))
    .option("--extension-schema <name>", "schema for pgvector, when the database does not have it yet")
    .option("--plan", "print the SQL and change nothing");
  addJsonFlag(addEmbeddingFlags(addTargetFlags(command)))
    .addHelpText(
      "after",
      `
Examples:
  langchain-pgvector init --database-url postgres://owner@localhost/rag --plan
  langchain-pgvector init --table articles --embeddings openai:text-embedding-3-small`,
    )
    .action((flags: InitFlags) => init(context, flags));
}

async function init(context: CliContext, flags: InitFlags): Promise<void> {
  const target = await openTarget(context, flags, "refused");
  try {
    const { spec } = resolveEmbeddings(flags, context.env);
    announce(context, target, spec);
    const embeddings = await createEmbeddings(spec);
    const args = {
      ...storeArgs(target, flags, context),
      ...(flags.dimensions !== undefined && { dimensions: flags.dimensions }),
      ...(flags.extensionSchema !== undefined && { extensionSchemaName: flags.extensionSchema }),
    };
    const options = resolveOptions(args);
    const database = new Database(target.pool);
    const state = await database.connection((session) => inspectSchema(session, options.layout));
    const model = state.activeModel ?? (await newModel(options, embeddings));
    const steps = planSchema(state, options.layout, model);
    if (!flags.plan && steps.length > 0) await PostgresVectorStore.initialize(embeddings, args);
    if (flags.json) {
      context.out(JSON.stringify({ applied: !flags.plan, steps }));
    } else if (steps.length === 0) {
      context.out("The schema is current; nothing to do.");
    } else if (flags.plan) {
      for (const step of steps) context.out(`-- ${step.name}\n${step.sql}`);
    } else {
      for (const step of steps) context.out(`applied ${step.name}`);
    }
  } finally {
    await target.close();
  }
}

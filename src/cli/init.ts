import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { Command } from "commander";
import { createEmbeddings } from "../embeddings/create.js";
import { Database } from "../db/database.js";
import { ConfigurationError } from "../errors.js";
import type { Metric } from "../schema/layout.js";
import { ensureSchema } from "../schema/ensure.js";
import { planSchema, type SchemaStep } from "../schema/plan.js";
import { buildLexical } from "../store/lexical/build.js";
import { newModel, openStore } from "../store/open.js";
import { resolveOptions, type PostgresVectorStoreArgs } from "../store/options.js";
import { abortable } from "./abortable.js";
import type { CliContext } from "./context.js";
import {
  addDistanceFlag,
  addEmbeddingFlags,
  addJsonFlag,
  addLexicalFlags,
  addTargetFlags,
  addTenancyFlags,
  atLeast,
  type LexicalFlags,
  type PatienceFlags,
  withPatience,
} from "./flags.js";
import type { ModelFlags } from "./model-options.js";
import { inspectStore, storeArgs } from "./open-store.js";
import { withTarget, type Target, type TargetFlags, type TenancyFlags } from "./target.js";

interface InitFlags extends LexicalFlags, TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly dimensions?: number;
  readonly distance?: Metric;
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
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addLexicalFlags(addDistanceFlag(command))))))
    .addHelpText(
      "after",
      `
ingest and PostgresVectorStore.initialize() do the same by themselves where the role may; use this where the owner of the
schema and the application are different roles. The SQL of --plan can be run by hand instead.

Examples:
  langchain-pgvector init --database-url postgres://owner@localhost/rag --plan
  langchain-pgvector init --table articles --embeddings openai:text-embedding-3-small
  langchain-pgvector init --table articles --tenancy rls
  langchain-pgvector init --table articles --lexical --language german`,
    )
    .action((flags: InitFlags) => withTarget(context, flags, "never", (target) => init(context, target, flags)));
}

async function init(context: CliContext, target: Target, flags: InitFlags): Promise<void> {
  const { dimensions, distance, extensionSchema, plan = false } = flags;
  const given = storeArgs(target, flags, context);
  const { state, chosen } = await inspectStore(context, target, flags, given, { dimensions });
  const stored = state.activeModel?.metric;
  if (stored !== undefined && distance !== undefined && stored !== distance) {
    throw new ConfigurationError(
      `The store compares vectors by ${stored}; leave --distance out, or use another --table.`,
    );
  }
  const embeddings = await createEmbeddings(withPatience(chosen.spec, flags));
  const metric = distance ?? stored;
  const args: PostgresVectorStoreArgs = {
    ...given,
    ...(dimensions !== undefined && { dimensions }),
    ...(metric !== undefined && { distanceStrategy: metric }),
    ...(extensionSchema !== undefined && { extensionSchemaName: extensionSchema }),
  };
  const options = resolveOptions(args);
  const model = state.activeModel ?? (await abortable(context.signal, () => newModel(options, embeddings)));
  const steps = planSchema(state, options.layout, model, { enableTenancy: true, enableLexical: true });
  // Asking here is the one way to turn tenancy or the lexical index on for a table that is there without.
  if (!plan) {
    await ensureSchema(new Database(target.pool), options.layout, () => Promise.resolve(model), {
      enableTenancy: true,
      enableLexical: true,
    });
    if (options.layout.lexical !== undefined) await finishLexicalIndex(context, target, args, embeddings);
  }
  context.out(flags.json ? JSON.stringify({ applied: !plan, steps }) : toText(steps, plan));
}

/** Indexes the rows that were there before the index; goes on where an earlier call was stopped. */
async function finishLexicalIndex(
  context: CliContext,
  target: Target,
  args: PostgresVectorStoreArgs,
  embeddings: EmbeddingsInterface,
): Promise<void> {
  const store = await openStore(new Database(target.pool), resolveOptions(args), embeddings);
  const indexed = await buildLexical(store, store.lexical!, {
    signal: context.signal,
    onProgress: (chunks) => context.err(`indexed ${chunks.toLocaleString("en")} chunks`),
  });
  if (indexed > 0) context.err(`The lexical index is complete: ${indexed.toLocaleString("en")} chunks.`);
}

function toText(steps: readonly SchemaStep[], plan: boolean): string {
  if (steps.length === 0) return "The schema is current; nothing to do.";
  if (!plan) return steps.map((step) => `applied ${step.name}`).join("\n");
  return steps.map((step) => `-- ${step.name}\n${step.sql}`).join("\n");
}

import type { Command } from "commander";
import { createEmbeddings } from "../embeddings/create.js";
import { Database } from "../db/database.js";
import { ConfigurationError } from "../errors.js";
import type { Metric } from "../schema/layout.js";
import { ensureSchema } from "../schema/ensure.js";
import { planSchema, type SchemaStep } from "../schema/plan.js";
import { newModel } from "../store/open.js";
import { resolveOptions, type PostgresVectorStoreArgs } from "../store/options.js";
import { abortable } from "./abortable.js";
import type { CliContext } from "./context.js";
import {
  addDistanceFlag,
  addEmbeddingFlags,
  addJsonFlag,
  addTargetFlags,
  addTenancyFlags,
  atLeast,
  type PatienceFlags,
  withPatience,
} from "./flags.js";
import type { ModelFlags } from "./model-options.js";
import { inspectStore, storeArgs } from "./open-store.js";
import { withTarget, type Target, type TargetFlags, type TenancyFlags } from "./target.js";

interface InitFlags extends TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly dimensions?: number;
  readonly distance?: Metric;
  readonly extensionSchema?: string;
  readonly partitioned?: boolean;
  readonly plan?: boolean;
  readonly json?: boolean;
}

export function addInit(program: Command, context: CliContext): void {
  const command = program
    .command("init")
    .description("create or migrate the schema of a store")
    .option("--dimensions <number>", "dimensions of the embedding column (default: the embedder's)", atLeast(1))
    .option("--extension-schema <name>", "schema for pgvector, when the database does not have it yet")
    .option("--partitioned", "partition a new table by tenant, so that tenants isolate works (needs --tenancy rls)")
    .option("--plan", "print the SQL and change nothing");
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addDistanceFlag(command)))))
    .addHelpText(
      "after",
      `
ingest and PostgresVectorStore.initialize() do the same by themselves where the role may; use this where the owner of the
schema and the application are different roles. The SQL of --plan can be run by hand instead.

Examples:
  langchain-pgvector init --database-url postgres://owner@localhost/rag --plan
  langchain-pgvector init --table articles --embeddings openai:text-embedding-3-small
  langchain-pgvector init --table articles --tenancy rls
  langchain-pgvector init --table articles --tenancy rls --partitioned`,
    )
    .action((flags: InitFlags) => withTarget(context, flags, "never", (target) => init(context, target, flags)));
}

async function init(context: CliContext, target: Target, flags: InitFlags): Promise<void> {
  const { dimensions, distance, extensionSchema, plan = false } = flags;
  const given: PostgresVectorStoreArgs = {
    ...storeArgs(target, flags, context),
    ...(flags.partitioned && { partitions: "by-tenant" }),
  };
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
  const steps = planSchema(state, options.layout, model, { enableTenancy: true });
  // Asking for tenancy here is the one way to turn it on for a table that is there without it.
  if (!plan) {
    await ensureSchema(new Database(target.pool), options.layout, () => Promise.resolve(model), {
      enableTenancy: true,
    });
  }
  context.out(flags.json ? JSON.stringify({ applied: !plan, steps }) : toText(steps, plan));
}

function toText(steps: readonly SchemaStep[], plan: boolean): string {
  if (steps.length === 0) return "The schema is current; nothing to do.";
  if (!plan) return steps.map((step) => `applied ${step.name}`).join("\n");
  return steps.map((step) => `-- ${step.name}\n${step.sql}`).join("\n");
}

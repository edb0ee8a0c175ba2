import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { Command } from "commander";
import { createEmbeddings } from "../embeddings/create.js";
import { Database } from "../db/database.js";
import { ConfigurationError } from "../errors.js";
import type { Metric } from "../schema/layout.js";
import { ensureSchema } from "../schema/ensure.js";
import { inspectSchema, type SchemaState } from "../schema/inspect.js";
import { planSchema, type SchemaStep } from "../schema/plan.js";
import type { PromotedType } from "../schema/promoted-keys.js";
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
  promotion,
  repeated,
  withPatience,
} from "./flags.js";
import type { ModelFlags } from "./model-options.js";
import { inspectStore, storeArgs } from "./open-store.js";
import { withTarget, type Target, type TargetFlags, type TenancyFlags } from "./target.js";

interface InitFlags extends LexicalFlags, TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly dimensions?: number;
  readonly distance?: Metric;
  readonly extensionSchema?: string;
  readonly promote?: Readonly<Record<string, PromotedType>>;
  readonly demote?: readonly string[];
  readonly rewrite?: boolean;
  readonly partitioned?: boolean;
  readonly inlineVectors?: boolean;
  readonly plan?: boolean;
  readonly json?: boolean;
}

export function addInit(program: Command, context: CliContext): void {
  const command = program
    .command("init")
    .description("create or migrate the schema of a store")
    .option("--dimensions <number>", "dimensions of the embedding column (default: the embedder's)", atLeast(1))
    .option("--extension-schema <name>", "schema for pgvector, when the database does not have it yet")
    .option("--promote <key:type>", "give a metadata key a typed column and an index; text, number, boolean", promotion)
    .option("--demote <key>", "drop the column and the index of a promoted key", repeated)
    .option("--rewrite", "allow --promote on a table that has rows, which writes all of it again under a lock")
    .option("--partitioned", "partition a new table by tenant, so that tenants isolate works (needs --tenancy rls)")
    .option("--inline-vectors", "keep vectors of a new table in the row: faster searches, dearer changes of the model")
    .option("--plan", "print the SQL and change nothing");
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addLexicalFlags(addDistanceFlag(command))))))
    .addHelpText(
      "after",
      `
ingest and PostgresVectorStore.initialize() do the same by themselves where the role may; use this where the owner of the
schema and the application are different roles. The SQL of --plan can be run by hand instead. --promote and --demote
can be repeated.

Examples:
  langchain-pgvector init --database-url postgres://owner@localhost/rag --plan
  langchain-pgvector init --table articles --embeddings openai:text-embedding-3-small
  langchain-pgvector init --table articles --tenancy rls
  langchain-pgvector init --table articles --lexical --language german
  langchain-pgvector init --table articles --tenancy rls --partitioned
  langchain-pgvector init --table articles --promote year:number --promote source.kind:text`,
    )
    .action((flags: InitFlags) => withTarget(context, flags, "never", (target) => init(context, target, flags)));
}

async function init(context: CliContext, target: Target, flags: InitFlags): Promise<void> {
  const { dimensions, distance, extensionSchema, promote, demote = [], plan = false } = flags;
  const database = new Database(target.pool);
  const given: PostgresVectorStoreArgs = {
    ...storeArgs(target, flags, context),
    ...(flags.partitioned && { partitions: "by-tenant" }),
    ...(flags.inlineVectors && { inlineVectors: true }),
  };
  const { state, chosen } = await inspectStore(context, target, flags, given, { dimensions });
  const stored = state.activeModel?.metric;
  if (stored !== undefined && distance !== undefined && stored !== distance) {
    throw new ConfigurationError(
      `The store compares vectors by ${stored}; leave --distance out, or use another --table.`,
    );
  }
  checkDemoted(demote, promote, state);
  const embeddings = await createEmbeddings(withPatience(chosen.spec, flags));
  const metric = distance ?? stored;
  const args: PostgresVectorStoreArgs = {
    ...given,
    ...(dimensions !== undefined && { dimensions }),
    ...(metric !== undefined && { distanceStrategy: metric }),
    ...(extensionSchema !== undefined && { extensionSchemaName: extensionSchema }),
    ...(promote !== undefined && { promotedKeys: promote }),
  };
  const options = resolveOptions(args);
  // What is there was read without knowing which keys are to be promoted.
  const found = promote === undefined ? state : await database.connection((s) => inspectSchema(s, options.layout));
  const model = state.activeModel ?? (await abortable(context.signal, () => newModel(options, embeddings)));
  // Asking here is the one way to turn tenancy or the lexical index on for a table that is there without. A plan needs no
  // consent.
  const allowed = { enableTenancy: true, enableLexical: true, rewrite: plan || flags.rewrite === true, demote };
  const steps = planSchema(found, options.layout, model, allowed);
  if (!plan) {
    await ensureSchema(database, options.layout, () => Promise.resolve(model), allowed);
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

/** @throws ConfigurationError for a key that is not promoted, or is to be promoted in the same run. */
function checkDemoted(
  demote: readonly string[],
  promote: Readonly<Record<string, PromotedType>> | undefined,
  { promotedKeys }: SchemaState,
): void {
  for (const key of demote) {
    if (promote !== undefined && Object.hasOwn(promote, key)) {
      throw new ConfigurationError(`--demote and --promote both name ${JSON.stringify(key)}; run init twice.`);
    }
    if (!promotedKeys.some((promoted) => promoted.key === key)) {
      const known = promotedKeys.map((promoted) => JSON.stringify(promoted.key)).join(", ");
      throw new ConfigurationError(
        `--demote ${JSON.stringify(key)}: the key is not promoted${known === "" ? "" : ` (${known} ${promotedKeys.length === 1 ? "is" : "are"})`}.`,
      );
    }
  }
}

function toText(steps: readonly SchemaStep[], plan: boolean): string {
  if (steps.length === 0) return "The schema is current; nothing to do.";
  if (!plan) return steps.map((step) => `applied ${step.name}`).join("\n");
  return steps.map((step) => `-- ${step.name}\n${step.sql}`).join("\n");
}

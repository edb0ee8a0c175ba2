import type { Command } from "commander";
import type { Metric } from "../schema/layout.js";
import type { PromotedType } from "../schema/promoted-keys.js";
import { adopt, planAdopt, type AdoptArgs, type AdoptReport } from "../store/adopt/adopt.js";
import { announce } from "./announce.js";
import type { CliContext } from "./context.js";
import { addDistanceFlag, addJsonFlag, addTargetFlags, addTenancyFlags, atLeast, promotion } from "./flags.js";
import { storeArgs } from "./open-store.js";
import { recordedModel } from "./recorded-model.js";
import { withTarget, type Target, type TargetFlags, type TenancyFlags } from "./target.js";

interface AdoptFlags extends TargetFlags, TenancyFlags {
  readonly embeddings?: string;
  readonly dimensions?: number;
  readonly distance?: Metric;
  readonly tenantKey?: string;
  readonly promote?: Readonly<Record<string, PromotedType>>;
  readonly plan?: boolean;
  readonly json?: boolean;
}

export function addAdopt(program: Command, context: CliContext): void {
  const command = program
    .command("adopt")
    .description("upgrade a table of LangChain's PGVectorStore in place, keeping rows, ids and embeddings")
    .option("--embeddings <model>", "embedder that made the vectors, to be recorded, such as openai:<model>")
    .option("--dimensions <number>", "of an empty table whose column says none", atLeast(1))
    .option("--tenant-key <key>", "metadata key that holds each row's tenant; turns tenancy on")
    .option("--promote <key:type>", "give a metadata key a typed column and an index; text, number, boolean", promotion)
    .option("--plan", "print the SQL and change nothing");
  addJsonFlag(addTenancyFlags(addTargetFlags(addDistanceFlag(command))))
    .addHelpText(
      "after",
      `
Stop the processes that still write with the base class first. One transaction under an exclusive lock rewrites the
table; counts, contents and sampled searches are compared before it commits, and any difference rolls it back. The
distance is that of the table's vector index, when it has one. A vector index is built again afterwards, online; if that
is interrupted, run adopt again.

Examples:
  langchain-pgvector adopt --table testlangchainjs --plan
  langchain-pgvector adopt --table testlangchainjs --embeddings openai:text-embedding-3-small
  langchain-pgvector adopt --table docs --collection-table collections --columns content=body,embedding=vector
  langchain-pgvector adopt --table docs --tenant-key customer`,
    )
    .action((flags: AdoptFlags) => withTarget(context, flags, "never", (target) => run(context, target, flags)));
}

async function run(context: CliContext, target: Target, flags: AdoptFlags): Promise<void> {
  announce(context, target, undefined);
  const args: AdoptArgs = {
    ...storeArgs(target, flags, context),
    ...(flags.embeddings !== undefined && recordedModel(flags.embeddings)),
    ...(flags.tenantKey !== undefined && { tenancy: "rls" as const, tenantKey: flags.tenantKey }),
    ...(flags.dimensions !== undefined && { dimensions: flags.dimensions }),
    ...(flags.distance !== undefined && { distanceStrategy: flags.distance }),
    ...(flags.promote !== undefined && { promotedKeys: flags.promote }),
    signal: context.signal,
    onProgress: (message) => context.err(message),
  };
  const report = flags.plan ? await planAdopt(args) : await adopt(args);
  context.out(flags.json ? JSON.stringify(report) : toText(report));
}

function toText(report: AdoptReport): string {
  const facts =
    `${report.rows.toLocaleString("en")} rows, ${(report.bytes / 2 ** 20).toFixed(1)} MiB with indexes, ` +
    `${report.dimensions} dimensions` +
    (report.collections.length > 0 ? `, collections: ${report.collections.join(", ")}` : "");
  switch (report.outcome) {
    case "already adopted":
      return "The table is langchain-pgvector's already; nothing to do.";
    case "index missing":
      return "-- The table is adopted, but its HNSW index is still to be built; adopt without --plan builds it, online.";
    case "index built":
      return "The table had been adopted already; its HNSW index is built again.";
    case "adopted":
      return `adopted: ${facts}; ${report.comparedSearches} searches gave the same results before and after`;
    case "planned":
      return planText(report, facts);
  }
}

function planText({ steps, vectorIndexes }: AdoptReport, facts: string): string {
  return [
    `-- ${facts}`,
    "-- one transaction under an exclusive lock; the rewrite needs about that much free disk",
    ...(vectorIndexes.length > 0
      ? [`-- afterwards an HNSW index takes the place of ${vectorIndexes.join(", ")}, built online`]
      : []),
    ...steps.map((step) => `-- ${step.name}\n${step.sql}`),
  ].join("\n");
}

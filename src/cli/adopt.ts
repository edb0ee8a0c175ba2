import type { Command } from "commander";
import { adopt, planAdopt, type AdoptReport } from "../store/adopt/adopt.js";
import type { PostgresVectorStoreArgs } from "../store/options.js";
import type { CliContext } from "./context.js";
import { addJsonFlag, addTargetFlags } from "./flags.js";
import { storeArgs } from "./open-store.js";
import { openTarget, type TargetFlags } from "./target.js";

interface AdoptFlags extends TargetFlags {
  readonly collectionTable?: string;
  readonly embeddingModel?: string;
  readonly idColumn?: string;
  readonly contentColumn?: string;
  readonly metadataColumn?: string;
  readonly vectorColumn?: string;
  readonly plan?: boolean;
  readonly json?: boolean;
}

export function addAdopt(program: Command, context: CliContext): void {
  const command = program
    .command("adopt")
    .description("upgrade a table of LangChain's PGVectorStore in place, keeping rows, ids and embeddings")
    .option("--collection-table <name>", "table of its collections, when it has any")
    .option("--embedding-model <name>", "model that made the embeddings, to be recorded")
    .option("--id-column <name>", "(default: id)")
    .option("--content-column <name>", "(default: text)")
    .option("--metadata-column <name>", "(default: metadata)")
    .option("--vector-column <name>", "(default: embedding)")
    .option("--plan", "print the SQL and change nothing");
  addJsonFlag(addTargetFlags(command))
    .addHelpText(
      "after",
      `
Stop the processes that still write with the base class first. One transaction under an exclusive lock rewrites the
table; counts and sampled searches are compared before it commits, and any difference rolls it back.

Examples:
  langchain-pgvector adopt --table testlangchainjs --plan
  langchain-pgvector adopt --table testlangchainjs --collection-table collections`,
    )
    .action((flags: AdoptFlags) => run(context, flags));
}

async function run(context: CliContext, flags: AdoptFlags): Promise<void> {
  const target = await openTarget(context, flags, "refused");
  try {
    context.err(`database: ${target.label} · tenant: default · embedder: none needed`);
    const args: PostgresVectorStoreArgs = {
      ...storeArgs(target, flags, context),
      ...(flags.collectionTable !== undefined && { collectionTableName: flags.collectionTable }),
      ...(flags.embeddingModel !== undefined && { embeddingModel: flags.embeddingModel }),
      columns: {
        ...(flags.idColumn !== undefined && { idColumnName: flags.idColumn }),
        ...(flags.contentColumn !== undefined && { contentColumnName: flags.contentColumn }),
        ...(flags.metadataColumn !== undefined && { metadataColumnName: flags.metadataColumn }),
        ...(flags.vectorColumn !== undefined && { vectorColumnName: flags.vectorColumn }),
      },
    };
    const report = flags.plan ? await planAdopt(args) : await adopt(args);
    context.out(flags.json ? JSON.stringify(report) : toText(report, flags.plan === true));
  } finally {
    await target.close();
  }
}

function toText(report: AdoptReport, plan: boolean): string {
  if (report.steps.length === 0) return "The table had been adopted already; its HNSW index is built again.";
  const facts =
    `${report.rows} rows, ${(report.bytes / 2 ** 20).toFixed(1)} MiB with indexes, ${report.dimensions} dimensions` +
    (report.collections.length > 0 ? `, collections: ${report.collections.join(", ")}` : "");
  if (!plan) return `adopted: ${facts}; ${report.comparedSearches} searches gave the same results before and after`;
  const sql = report.steps.map((step) => `-- ${step.name}\n${step.sql}`).join("\n");
  return `-- ${facts}\n-- one transaction under an exclusive lock; the rewrite needs that much disk again\n${sql}`;
}

import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigurationError } from "../../errors.js";
import type { CompareQuery } from "../../models/compare/compare.js";
import { comparisonHtml, comparisonText } from "../../models/compare/report.js";
import type { CliContext } from "../context.js";
import { atLeast } from "../flags.js";
import { addModelsCommand, withModels, type ModelsFlags } from "./open-models.js";

interface CompareFlags extends ModelsFlags {
  readonly version?: number;
  readonly against?: number;
  readonly queries?: string;
  readonly samples?: number;
  readonly k?: number;
  readonly tenant?: string;
  readonly minOverlap?: number;
  readonly minNdcgChange?: number;
  readonly minRecall?: number;
  readonly maxLatencyRatio?: number;
  readonly html?: string;
}

export function addModelsCompare(models: Command, context: CliContext): void {
  addModelsCommand(models, "compare", "ask two versions the same and compare what they find")
    .option("--version <number>", "default: the version that is being added", atLeast(1))
    .option("--against <number>", "default: the active version", atLeast(1))
    .option("--queries <file>", 'JSONL of { "text": ..., "relevant": { "id": grade } }; default: rows of the store')
    .option("--samples <number>", "rows to ask for their neighbours (default: 200)", atLeast(1))
    .option("-k <number>", "results that count (default: 10)", atLeast(1))
    .option("--tenant <id>", "whose rows (default: the largest tenants')")
    .option("--min-overlap <share>", "block the cut-over below it", Number)
    .option("--min-ndcg-change <number>", "block it below this change of nDCG", Number)
    .option("--min-recall <share>", "block it below this recall of the new index", Number)
    .option("--max-latency-ratio <number>", "block it above this ratio of p95", Number)
    .option("--html <file>", "write the report as a page, too")
    .option("--plan", "print what would be compared, and ask nothing")
    .action((flags: CompareFlags) =>
      withModels(context, flags, async (admin) => {
        const queries = flags.queries === undefined ? undefined : await readQueries(context, flags.queries);
        if (flags.plan) {
          const plan = {
            queries: queries?.length ?? null,
            samples: queries === undefined ? (flags.samples ?? 200) : null,
          };
          return context.out(JSON.stringify(plan));
        }
        const { minOverlap, minNdcgChange, minRecall, maxLatencyRatio } = flags;
        const comparison = await admin.compare({
          version: flags.version,
          against: flags.against,
          queries,
          samples: flags.samples,
          k: flags.k,
          tenantId: flags.tenant,
          thresholds: { minOverlap, minNdcgChange, minRecall, maxLatencyRatio },
          signal: context.signal,
        });
        if (flags.html !== undefined) await writeFile(resolve(context.cwd, flags.html), comparisonHtml(comparison));
        context.out(flags.json ? JSON.stringify(comparison) : comparisonText(comparison));
      }),
    );
}

async function readQueries({ cwd }: CliContext, file: string): Promise<CompareQuery[]> {
  const text = await readFile(resolve(cwd, file), "utf8").catch((error: unknown) => {
    throw new ConfigurationError(`--queries: ${file} cannot be read.`, { cause: error });
  });
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line, index) => {
    try {
      const query = JSON.parse(line) as CompareQuery;
      if (typeof query.text === "string") return query;
    } catch {
      // Reported below, together with what is JSON but no query.
    }
    throw new ConfigurationError(`${file}, line ${index + 1}: write {"text": "...", "relevant": {"<id>": 1}}.`);
  });
}

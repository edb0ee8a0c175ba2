import type { Command } from "commander";
import type { RetirePlan } from "../../models/retire.js";
import type { CliContext } from "../context.js";
import { atLeast } from "../flags.js";
import { slowly } from "../tenants/administer.js";
import { addModelsCommand, withModels, type ModelsFlags } from "./open-models.js";

interface RetireFlags extends ModelsFlags {
  readonly rewrite?: boolean;
  readonly force?: boolean;
  readonly batchRows?: number;
}

export function addModelsRetire(models: Command, context: CliContext): void {
  addModelsCommand(models, "retire <version>", "take a version away and free its space")
    .option("--rewrite", "give the space back to the system: writes the table again under a lock that all wait for")
    .option("--force", "although processes still depend on it")
    .option("--batch-rows <number>", "rows of one transaction (default: 500)", atLeast(1))
    .option("--plan", "print what would be done, and change nothing")
    .action((version: string, flags: RetireFlags) =>
      withModels(context, flags, async (admin) => {
        const { rewrite, force, batchRows } = flags;
        const say = slowly(context);
        const options = {
          version: atLeast(1)(version),
          rewrite,
          force,
          batchRows,
          signal: context.signal,
          onProgress: ({ phase, rows }: { phase: string; rows: number }) => say(`${phase}: ${rows} rows`),
        };
        const plan = await admin.planRetire(options);
        if (flags.plan) return context.out(flags.json ? JSON.stringify(plan) : planText(plan));
        if (rewrite) context.err(planText(plan));
        const done = await admin.retire(options);
        const text = `version ${done.version} is gone: ${done.freedRows} rows emptied, ${mebibytes(done.bytes)} before, ${mebibytes(done.bytesAfter)} now`;
        context.out(flags.json ? JSON.stringify(done) : text);
      }),
    );
}

function planText(plan: RetirePlan): string {
  const seconds =
    plan.rewriteSeconds === undefined
      ? []
      : [
          `-- the rewrite takes an access exclusive lock for about ${Math.ceil(plan.rewriteSeconds)} s: reads and writes wait`,
        ];
  return [
    `-- version ${plan.version}, column ${plan.column}, about ${Math.round(plan.rows)} rows, ${(plan.bytes / 2 ** 20).toFixed(1)} MiB in all`,
    ...plan.objections.map((objection) => `-- against it: ${objection}`),
    ...seconds,
    ...plan.steps,
  ].join("\n");
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

import type { Command } from "commander";
import type { MovedTenant, MoveOptions, MovePlan } from "../../store/partitions/prepare.js";
import type { CliContext } from "../context.js";
import { atLeast } from "../flags.js";
import { addTenantCommand, administer, count, slowly, type TenantFlags } from "./administer.js";

interface MoveFlags extends TenantFlags {
  readonly plan?: boolean;
  readonly batchRows?: number;
  readonly pauseMs?: number;
  readonly maxWriteBlockMs?: number;
  readonly vacuum: boolean;
}

/** `isolate` and `merge`. */
export function addTenantsPartition(tenants: Command, context: CliContext): void {
  const isolate = addTenantCommand(tenants, "isolate <id>", "move a tenant to a partition of its own, online")
    .option("--max-write-block-ms <number>", "how long its writes may wait at the end (default: 5000)", atLeast(500))
    .option("--no-vacuum", "leave the space of the rows that left to autovacuum");
  addMoveFlags(isolate)
    .addHelpText(
      "after",
      `
For a table made with: init --tenancy rls --partitioned. Interrupted, the tenant stays where it was: run it again to go on,
or merge to take it back.`,
    )
    .action((id: string, flags: MoveFlags) =>
      administer(context, flags, id, async (admin) => {
        if (flags.plan) return printPlan(context, flags, await admin.planIsolate(id));
        printMoved(context, flags, await admin.isolate(id, moveOptions(context, flags)));
      }),
    );
  const merge = addTenantCommand(
    tenants,
    "merge <id>",
    "move a tenant back to the partition that tenants share, online",
  );
  addMoveFlags(merge)
    .addHelpText(
      "after",
      `
The shared partition is made anew with the tenant's rows in it, so this takes a copy of it and as much disk meanwhile.
Interrupted, the tenant stays where it was: run it again to go on, or isolate to take it back.`,
    )
    .action((id: string, flags: MoveFlags) =>
      administer(context, flags, id, async (admin) => {
        if (flags.plan) return printPlan(context, flags, await admin.planMerge(id));
        printMoved(context, flags, await admin.merge(id, moveOptions(context, flags)));
      }),
    );
}

function addMoveFlags(command: Command): Command {
  return command
    .option("--plan", "print rows, bytes and the SQL, and change nothing")
    .option("--batch-rows <number>", "rows copied in one transaction (default: 1000)", atLeast(1))
    .option("--pause-ms <number>", "pause between two transactions (default: 10)", atLeast(0));
}

function moveOptions(context: CliContext, flags: MoveFlags): MoveOptions {
  const progress = slowly(context);
  return {
    batchRows: flags.batchRows,
    pauseMs: flags.pauseMs,
    maxWriteBlockMs: flags.maxWriteBlockMs,
    vacuum: flags.vacuum,
    signal: context.signal,
    onProgress: ({ phase, message }) => (phase === "copying" ? progress(message) : context.err(message)),
  };
}

function printPlan(context: CliContext, { json }: MoveFlags, plan: MovePlan): void {
  if (json) return context.out(JSON.stringify(plan));
  if (plan.steps.length === 0) return context.out("-- the tenant is there already; nothing to do");
  const size = `-- ${count(plan.rows, "row")}, ${(plan.bytes / 2 ** 20).toFixed(1)} MiB to copy`;
  context.out([size, ...plan.steps.map((step) => `-- ${step.name}\n${step.sql}`)].join("\n"));
}

function printMoved(context: CliContext, { json }: MoveFlags, moved: MovedTenant): void {
  if (json) return context.out(JSON.stringify(moved));
  if (!moved.moved) return context.out(`the tenant is in ${moved.partition} already`);
  context.out(
    `moved ${count(moved.rows, "row")} to ${moved.partition}; writes of the tenant waited for ` +
      `${Math.round(moved.writesBlockedMs)} ms, everything for ${Math.round(moved.readsBlockedMs)} ms`,
  );
}

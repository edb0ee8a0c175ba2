import type { Command } from "commander";
import type { ModelAdmin } from "../../models/model-admin.js";
import type { SwitchOptions } from "../../models/switch.js";
import type { CliContext } from "../context.js";
import { atLeast } from "../flags.js";
import { addModelsCommand, withModels, type ModelsFlags } from "./open-models.js";

interface SwitchFlags extends ModelsFlags {
  readonly version?: number;
  readonly force?: boolean;
  readonly wait?: number;
  readonly tenant?: string;
  readonly clear?: boolean;
}

/** `cutover` and `rollback`. */
export function addModelsSwitch(models: Command, context: CliContext): void {
  addSwitchFlags(addModelsCommand(models, "cutover", "make a complete version the one that searches use"))
    .option("--tenant <id>", "for this tenant alone, before all others")
    .option("--clear", "with --tenant: have it read the active version again")
    .action((flags: SwitchFlags) =>
      withModels(context, flags, async (admin) => {
        if (flags.tenant !== undefined && !flags.plan) {
          const version = flags.clear ? undefined : (flags.version ?? (await admin.planCutover()).to);
          await admin.override(flags.tenant, version);
          const now = version === undefined ? "the active version" : `version ${version}`;
          return context.out(
            flags.json
              ? JSON.stringify({ tenant: flags.tenant, version: version ?? null })
              : `${flags.tenant} reads ${now}`,
          );
        }
        await run(context, flags, admin, "cutover");
      }),
    );
  addSwitchFlags(addModelsCommand(models, "rollback", "go back to the version that was active before")).action(
    (flags: SwitchFlags) => withModels(context, flags, (admin) => run(context, flags, admin, "rollback")),
  );
}

function addSwitchFlags(command: Command): Command {
  return command
    .option("--version <number>", "default: the one that is ready, or was active before", atLeast(1))
    .option("--wait <seconds>", "how long to wait for processes that lack the embedder (default: 0)", atLeast(0))
    .option("--force", "although something speaks against it; never while vectors are missing")
    .option("--plan", "print what speaks against it and the SQL, and change nothing");
}

async function run(
  context: CliContext,
  flags: SwitchFlags,
  admin: ModelAdmin,
  verb: "cutover" | "rollback",
): Promise<void> {
  const options: SwitchOptions = {
    version: flags.version,
    force: flags.force,
    waitMs: (flags.wait ?? 0) * 1_000,
    signal: context.signal,
  };
  if (flags.plan) {
    const plan = verb === "cutover" ? await admin.planCutover(options) : await admin.planRollback(options);
    if (flags.json) return context.out(JSON.stringify(plan));
    const objections = plan.objections.map((objection) => `-- against it: ${objection}`);
    return context.out([`-- from version ${plan.from} to ${plan.to}`, ...objections, plan.sql].join("\n"));
  }
  const done = verb === "cutover" ? await admin.cutover(options) : await admin.rollback(options);
  const text = `version ${done.to} is active; version ${done.from} is still written to (writers waited ${done.lockedMs.toFixed(0)} ms)`;
  context.out(flags.json ? JSON.stringify(done) : text);
}

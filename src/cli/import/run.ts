import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { ImportArgs, ImportPlan, ImportReport, RecordMapping } from "../../chroma/index.js";
import { ConfigurationError } from "../../errors.js";
import { announce } from "../announce.js";
import type { CliContext } from "../context.js";
import { withTarget } from "../target.js";
import { importArgs, type ImportFlags } from "./flags.js";
import { planText, reportText } from "./report.js";

/** What an import from one kind of source is made of. */
export interface ImportVerb<A extends ImportArgs> {
  /** The arguments of the source beside those that all imports share. */
  readonly withSource: (shared: ImportArgs) => A;
  readonly plan: (args: A) => Promise<ImportPlan>;
  readonly run: (args: A) => Promise<ImportReport>;
}

/** Imports, or with `--plan` says what would be imported. */
export async function runImport<A extends ImportArgs>(
  context: CliContext,
  flags: ImportFlags,
  collections: readonly string[],
  verb: ImportVerb<A>,
): Promise<void> {
  await withTarget(context, flags, "never", async (target) => {
    const tenant = flags.tenant ?? (flags.into === "tenant" ? "each collection's" : "default");
    announce(context, target, undefined, undefined, tenant);
    const args = verb.withSource(importArgs(context, target, flags, collections));
    if (flags.plan) {
      const plan = await verb.plan(args);
      context.out(flags.json ? JSON.stringify(plan) : planText(plan));
      return;
    }
    const report = await verb.run(args);
    context.out(flags.json ? JSON.stringify(report) : reportText(report));
  });
}

/** A mapping file; its content is checked by the import. */
export async function readMapping(context: CliContext, file: string): Promise<RecordMapping> {
  const path = resolve(context.cwd, file);
  try {
    return JSON.parse(await readFile(path, "utf8")) as RecordMapping;
  } catch (cause) {
    throw new ConfigurationError(`${path} cannot be read as JSON: ${(cause as Error).message}.`, { cause });
  }
}

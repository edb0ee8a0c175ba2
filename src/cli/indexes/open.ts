import type { Command } from "commander";
import { Database } from "../../db/database.js";
import { StoreIndexes } from "../../ops/indexes/store-indexes.js";
import { inspectSchema } from "../../schema/inspect.js";
import { openStore } from "../../store/open.js";
import { resolveOptions } from "../../store/options.js";
import { announce } from "../announce.js";
import type { CliContext } from "../context.js";
import { addJsonFlag, addTargetFlags, atLeast } from "../flags.js";
import { storeArgs } from "../open-store.js";
import { withTarget, type Target, type TargetFlags } from "../target.js";

export interface IndexFlags extends TargetFlags {
  readonly appRole?: string;
  /** Of the work, and not of the store that is opened. */
  readonly tenant?: string;
  readonly json?: boolean;
}

export interface BuildFlags extends IndexFlags {
  readonly plan?: boolean;
  readonly memory?: string;
  readonly workers?: number;
}

/** Adds a subcommand with the flags that all of them have. */
export function addIndexCommand(parent: Command, nameAndArguments: string, description: string): Command {
  const command = addTargetFlags(parent.command(nameAndArguments).description(description));
  return addJsonFlag(command).option("--app-role <name>", "role of the application (default: langchain_pgvector_app)");
}

export function addBuildFlags(command: Command): Command {
  return command
    .option("--plan", "print the SQL, the rows and the memory, and change nothing")
    .option("--memory <size>", "maintenance_work_mem of the build, such as 4GB (default: what the graph needs)")
    .option("--workers <number>", "parallel workers of the build (default: as the server has it)", atLeast(0));
}

/** Whether the table keeps tenants apart, which nobody needs to say of one that is there. */
export async function tenancyOf(context: CliContext, target: Target, flags: IndexFlags): Promise<"rls" | "off"> {
  const { layout } = resolveOptions(storeArgs(target, flags, context));
  const { chunks } = await new Database(target.pool).connection((session) => inspectSchema(session, layout));
  return chunks.rowSecurity ? "rls" : "off";
}

/** Does `work` with the indexes of the store that the flags name, which must be there. No embedder is needed. */
export function withIndexes<T>(
  context: CliContext,
  flags: IndexFlags,
  work: (indexes: StoreIndexes) => Promise<T>,
): Promise<T> {
  return withTarget(context, flags, "never", async (target) => {
    announce(context, target, undefined, undefined, "all");
    const { tenant: _, ...place } = flags;
    const tenancy = await tenancyOf(context, target, place);
    const options = resolveOptions({ ...storeArgs(target, place, context), tenancy });
    const database = new Database(target.pool);
    return work(new StoreIndexes(() => openStore(database, options, undefined, { mustExist: true })));
  });
}

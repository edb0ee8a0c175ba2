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
import { withTarget, type TargetFlags } from "../target.js";

export interface IndexFlags extends TargetFlags {
  readonly appRole?: string;
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

/** Does `work` with the indexes of the store that the flags name, which must be there. No embedder is needed. */
export function withIndexes<T>(
  context: CliContext,
  flags: IndexFlags,
  work: (indexes: StoreIndexes) => Promise<T>,
): Promise<T> {
  return withTarget(context, flags, "never", async (target) => {
    announce(context, target, undefined, undefined, "all");
    const args = storeArgs(target, flags, context);
    const database = new Database(target.pool);
    const { chunks } = await database.connection((session) => inspectSchema(session, resolveOptions(args).layout));
    const options = resolveOptions({ ...args, tenancy: chunks.rowSecurity ? "rls" : "off" });
    return work(new StoreIndexes(() => openStore(database, options, undefined, { mustExist: true })));
  });
}

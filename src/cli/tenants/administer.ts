import type { Command } from "commander";
import { Database } from "../../db/database.js";
import { openStore } from "../../store/open.js";
import { resolveOptions } from "../../store/options.js";
import { TenantAdmin } from "../../store/tenants/admin.js";
import { announce } from "../announce.js";
import type { CliContext } from "../context.js";
import { addJsonFlag, addTargetFlags } from "../flags.js";
import { storeArgs } from "../open-store.js";
import { withTarget, type TargetFlags } from "../target.js";

export interface TenantFlags extends TargetFlags {
  readonly appRole?: string;
  readonly json?: boolean;
}

/** Adds a subcommand with the flags that all of them have. */
export function addTenantCommand(tenants: Command, nameAndArguments: string, description: string): Command {
  const command = addTargetFlags(tenants.command(nameAndArguments).description(description));
  return addJsonFlag(command).option("--app-role <name>", "role of the application (default: langchain_pgvector_app)");
}

/** Does `work` with the tenants of the store that the flags name, which must be there. No embedder is needed. */
export function administer<T>(
  context: CliContext,
  flags: TenantFlags,
  tenant: string | undefined,
  work: (tenants: TenantAdmin) => Promise<T>,
): Promise<T> {
  return withTarget(context, flags, "never", (target) => {
    announce(context, target, undefined, undefined, tenant ?? "all");
    const options = resolveOptions({ ...storeArgs(target, flags, context), tenancy: "rls" });
    const database = new Database(target.pool);
    return work(new TenantAdmin(() => openStore(database, options, undefined, { mustExist: true })));
  });
}

const PROGRESS_MS = 1_000;

/** Lines of progress on stderr, at most one a second. */
export function slowly(context: CliContext): (message: string) => void {
  let last = 0;
  return (message) => {
    const now = Date.now();
    if (now - last < PROGRESS_MS) return;
    last = now;
    context.err(message);
  };
}

export function count(rows: number, noun: string): string {
  return `${rows.toLocaleString("en")} ${noun}${rows === 1 ? "" : "s"}`;
}

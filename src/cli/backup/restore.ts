import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigurationError } from "../../errors.js";
import { planRestoreBackup, restoreBackup, type RestoreReport } from "../../ops/backup/restore-backup.js";
import type { RestorePlan } from "../../ops/backup/restore-plan.js";
import { restoreTenant } from "../../ops/backup/tenant-backup.js";
import { announce } from "../announce.js";
import type { CliContext } from "../context.js";
import { addJsonFlag, addTargetFlags, atLeast, dashed } from "../flags.js";
import { administer, count, slowly } from "../tenants/administer.js";
import { serverUrl, withTarget, type TargetFlags } from "../target.js";
import { reembedText } from "./backup.js";
import { bytes } from "./bytes.js";

interface RestoreFlags extends TargetFlags {
  readonly jobs?: number;
  readonly tenant?: string;
  readonly clean?: string;
  readonly pgBin?: string;
  readonly plan?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function addRestore(program: Command, context: CliContext): void {
  const command = program
    .command("restore <folder>")
    .description("restore a backup and check it against its manifest")
    .option("--jobs <number>", "tables loaded, and indexes built, at once (default: 1)", atLeast(1))
    .option("--tenant <id>", "store a backup of one tenant as this tenant of the store --table")
    .option("--clean <database>", "first drop every store of this database, which is named to be sure, with all rows")
    .option("--pg-bin <folder>", "folder of pg_restore and psql (default: the PATH)")
    .option("--plan", "check the backup, say what would be done, and how long it may take, and do nothing")
    .option("--dry-run", "the same as --plan");
  addJsonFlag(addTargetFlags(command))
    .addHelpText(
      "after",
      `
The database may have other tables, and none of these stores. Missing roles are made, without passwords; then come tables,
rows, policies, indexes, and last the rights of the application. Counts, checksums, indexes, policies and recorded searches
are checked. An error or an interrupt takes away what was restored.

Examples:
  langchain-pgvector restore /backup/monday --plan --database-url postgres://postgres@localhost/rag_new
  langchain-pgvector restore /backup/monday --jobs 4 --database-url postgres://postgres@localhost/rag_new
  langchain-pgvector restore /backup/acme --tenant acme --table articles --database-url postgres://owner@localhost/rag`,
    )
    .action((folder: string, flags: RestoreFlags) => restore(context, resolve(context.cwd, folder), flags));
}

async function restore(context: CliContext, folder: string, flags: RestoreFlags): Promise<void> {
  if (flags.tenant !== undefined) return oneTenant(context, folder, flags, flags.tenant);
  await withTarget(context, flags, "never", async (target) => {
    announce(context, target, undefined, undefined, "all");
    const options = {
      connectionString: serverUrl(context, flags)!,
      pool: target.pool,
      environment: context.env,
      folder,
      jobs: flags.jobs,
      pgBin: flags.pgBin,
      clean: flags.clean,
      signal: context.signal,
      onProgress: (message: string) => context.err(message),
    };
    if (flags.plan || flags.dryRun) {
      const { plan } = await planRestoreBackup(options);
      return context.out(flags.json ? JSON.stringify({ plan }) : planText(plan));
    }
    const report = await restoreBackup(options);
    context.out(flags.json ? JSON.stringify(report) : reportText(report));
  });
}

async function oneTenant(context: CliContext, folder: string, flags: RestoreFlags, tenant: string): Promise<void> {
  for (const name of ["jobs", "clean", "plan", "dryRun"] as const) {
    if (flags[name] !== undefined) throw new ConfigurationError(`--${dashed(name)} does not go with --tenant.`);
  }
  const progress = slowly(context);
  const chunks = await administer(context, flags, tenant, (admin) =>
    restoreTenant(admin, {
      tenant,
      folder,
      signal: context.signal,
      onProgress: (stored) => progress(`${count(stored, "chunk")} stored`),
    }),
  );
  context.out(flags.json ? JSON.stringify({ tenantId: tenant, chunks }) : `restored ${count(chunks, "chunk")}`);
}

function planText(plan: RestorePlan): string {
  return [
    `${count(plan.tables, "table")}, ${count(plan.rows, "row")}, ${bytes(plan.tableBytes)} without indexes; ${plan.indexes} indexes`,
    `about ${plan.seconds} s`,
    ...(plan.missingRoles.length > 0 ? [`roles to make: ${plan.missingRoles.join(", ")}`] : []),
    ...passwordText(plan),
    ...(plan.existing.length > 0 ? [`in the way: ${plan.existing.join(", ")}`] : []),
  ].join("\n");
}

function passwordText({ loginsWithoutPassword: logins }: RestorePlan): string[] {
  return logins.length === 0 ? [] : [`logins to give a password, with psql's \\password: ${logins.join(", ")}`];
}

function reportText({ plan, seconds, searches, reembed }: RestoreReport): string {
  return [
    `restored ${count(plan.tables, "table")} and ${count(plan.rows, "row")} in ${seconds.toFixed(1)} s`,
    `checked: counts, checksums, ${plan.indexes} indexes, policies, ${count(searches, "search").replace(/searchs$/, "searches")}`,
    ...passwordText(plan),
    ...reembedText(reembed),
  ].join("\n");
}

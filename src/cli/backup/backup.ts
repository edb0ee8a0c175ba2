import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { Database } from "../../db/database.js";
import { ConfigurationError } from "../../errors.js";
import { createBackupRole, planBackupRole } from "../../ops/backup/backup-role.js";
import { createBackup } from "../../ops/backup/create-backup.js";
import type { DatabaseManifest } from "../../ops/backup/manifest.js";
import { backupTenant } from "../../ops/backup/tenant-backup.js";
import { planBackup, type BackupPlan } from "../../ops/backup/backup-plan.js";
import { announce } from "../announce.js";
import type { CliContext } from "../context.js";
import { addJsonFlag, addTargetFlags, atLeast, dashed } from "../flags.js";
import { administer, count, slowly } from "../tenants/administer.js";
import { serverUrl, withTarget, type Target, type TargetFlags } from "../target.js";
import { bytes } from "./bytes.js";

interface BackupFlags extends TargetFlags {
  readonly format?: "custom" | "directory";
  readonly jobs?: number;
  readonly compress?: string;
  readonly schemaOnly?: boolean;
  readonly withoutEmbeddings?: boolean;
  readonly tenant?: string;
  readonly pgBin?: string;
  readonly verify: boolean;
  readonly createRole?: string;
  readonly plan?: boolean;
  readonly json?: boolean;
}

export function addBackup(program: Command, context: CliContext): void {
  const command = program
    .command("backup [folder]")
    .description("write a backup of all stores of a schema, or of one tenant, into a new folder")
    .addOption(new Option("--format <format>", "of pg_dump (default: custom)").choices(["custom", "directory"]))
    .option("--jobs <number>", "tables dumped at once, with --format directory (default: 1)", atLeast(1))
    .option("--compress <level>", "0 to 9, or a method such as zstd:3 (default: that of pg_dump)")
    .option("--schema-only", "tables, policies and roles without rows")
    .option("--without-embeddings", "leave the vectors out; the manifest says what to embed again")
    .option("--tenant <id>", "one tenant of the store --table, as JSON lines")
    .option("--pg-bin <folder>", "folder of pg_dump, pg_restore and psql (default: the PATH)")
    .option("--no-verify", "do not read the finished backup to count its rows")
    .option("--create-role <name>", "make a role that may back up under row-level security, and no backup")
    .option("--plan", "say what would be done, with the SQL of --create-role, and do nothing");
  addJsonFlag(addTargetFlags(command))
    .addHelpText(
      "after",
      `
The folder holds the dump, a manifest with counts and checksums, and the roles without their passwords. A role that
row-level security would show a part of the rows is refused; --create-role, run by the owner of the tables, makes one that
reads all of them without BYPASSRLS. Connect straight to the server, not through a pooler.

Examples:
  langchain-pgvector backup /backup/monday --database-url postgres://backup@localhost/rag
  langchain-pgvector backup /backup/monday --format directory --jobs 4 --compress zstd:3
  langchain-pgvector backup /backup/small --without-embeddings
  langchain-pgvector backup /backup/acme --tenant acme --table articles
  langchain-pgvector backup --create-role rag_backup --plan --database-url postgres://owner@localhost/rag`,
    )
    .action((folder: string | undefined, flags: BackupFlags) => backup(context, folder, flags));
}

async function backup(context: CliContext, folder: string | undefined, flags: BackupFlags): Promise<void> {
  const { createRole } = flags;
  if (createRole !== undefined) {
    if (folder !== undefined)
      throw new ConfigurationError("--create-role makes a role and no backup; leave the folder out.");
    return withTarget(context, flags, "never", (target) => makeRole(context, target, flags, createRole));
  }
  if (folder === undefined)
    throw new ConfigurationError("Name a new folder for the backup: langchain-pgvector backup <folder>");
  const path = resolve(context.cwd, folder);
  if (flags.tenant !== undefined) return oneTenant(context, path, flags, flags.tenant);
  await withTarget(context, flags, "never", async (target) => {
    announce(context, target, undefined, undefined, "all");
    const { format, jobs, compress, schemaOnly, withoutEmbeddings, pgBin, verify, schema } = flags;
    const options = {
      connectionString: serverUrl(context, flags)!,
      pool: target.pool,
      environment: context.env,
      folder: path,
      format,
      jobs,
      compress,
      schemaOnly,
      withoutEmbeddings,
      pgBin,
      verify,
      schema,
      signal: context.signal,
      onProgress: (message: string) => context.err(message),
    };
    if (flags.plan) {
      const plan = await planBackup(options);
      return context.out(flags.json ? JSON.stringify({ plan }) : planText(plan));
    }
    const manifest = await createBackup(options);
    context.out(flags.json ? JSON.stringify({ folder: path, ...summary(manifest) }) : backupText(path, manifest));
  });
}

async function makeRole(context: CliContext, target: Target, flags: BackupFlags, role: string): Promise<void> {
  announce(context, target, undefined, undefined, "all");
  const database = new Database(target.pool);
  const options = { role, schema: flags.schema };
  const steps = flags.plan ? await planBackupRole(database, options) : await createBackupRole(database, options);
  const sql = steps.map((step) => step.sql).join("");
  if (flags.json) context.out(JSON.stringify({ applied: flags.plan !== true, role, steps }));
  else if (flags.plan) context.out(sql.trimEnd());
  else context.out(`The role ${role} may back up. If it has no password yet, set one in psql: \\password ${role}`);
}

async function oneTenant(context: CliContext, folder: string, flags: BackupFlags, tenant: string): Promise<void> {
  for (const name of ["format", "jobs", "compress", "schemaOnly", "plan"] as const) {
    if (flags[name] !== undefined) throw new ConfigurationError(`--${dashed(name)} does not go with --tenant.`);
  }
  const progress = slowly(context);
  const manifest = await administer(context, flags, tenant, (admin) =>
    backupTenant(admin, {
      tenant,
      folder,
      withoutEmbeddings: flags.withoutEmbeddings,
      signal: context.signal,
      onProgress: (chunks) => progress(`${count(chunks, "chunk")} written`),
    }),
  );
  context.out(
    flags.json ? JSON.stringify({ folder, ...manifest }) : `wrote ${count(manifest.chunks, "chunk")} into ${folder}`,
  );
}

function summary(manifest: DatabaseManifest): object {
  return {
    seconds: manifest.seconds,
    bytes: manifest.files.reduce((sum, file) => sum + file.bytes, 0),
    relations: manifest.relations.map(({ name, content }) => ({ name, ...content })),
    indexes: manifest.catalog.indexes.length,
    policies: manifest.catalog.policies.length,
    roles: manifest.roles.map(({ name }) => name),
    searches: manifest.searches.length,
    ...(manifest.withoutEmbeddings && { reembed: manifest.models }),
  };
}

function backupText(folder: string, manifest: DatabaseManifest): string {
  const size = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  const rows = manifest.relations.reduce((sum, { content }) => sum + (content?.rows ?? 0), 0);
  return [
    `wrote ${bytes(size)} into ${folder} in ${manifest.seconds.toFixed(1)} s`,
    `${count(manifest.relations.length, "table")}, ${count(rows, "row")}, ${manifest.catalog.policies.length} policies, ` +
      `roles ${manifest.roles.map(({ name }) => name).join(", ")}`,
    ...(manifest.withoutEmbeddings ? reembedText(manifest.models) : []),
  ].join("\n");
}

/** What a backup without embeddings asks for after its restore. */
export function reembedText(models: DatabaseManifest["models"]): string[] {
  return models
    .filter(({ vectors }) => vectors > 0)
    .map(
      ({ store, column, provider, model, dimensions, vectors }) =>
        `to embed again: ${count(vectors, "chunk")} of ${store}.${column} with ${[provider, model].filter(Boolean).join(":") || "the store's model"}, ` +
        `${dimensions} dimensions`,
    );
}

function planText(plan: BackupPlan): string {
  return [
    plan.command,
    `${count(plan.relations.length, "table")}, ${bytes(plan.tableBytes)} without indexes`,
    plan.rowSecurity ? "The role sees all rows by its own policy." : "Row-level security does not bind the role.",
  ].join("\n");
}

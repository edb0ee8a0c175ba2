import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sql, { raw } from "sql-template-tag";
import type { Database } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import { ConfigurationError, DatabaseError } from "../../errors.js";
import { applySteps } from "../../schema/apply.js";
import { checkRows, checkStores } from "./check-restored.js";
import { findTool, type ClientTool } from "./client-tools.js";
import { toolConnection, type ToolConnection } from "./connection.js";
import { withDatabase } from "./database.js";
import { dropStores } from "./drop-stores.js";
import { checkFiles, readManifest, type DatabaseManifest } from "./manifest.js";
import type { StoredModel } from "./models.js";
import { checkJobs, type RestoreOptions } from "./options.js";
import { readStoredObjects } from "./relations.js";
import { planRestore, readContents, type RestorePlan } from "./restore-plan.js";
import { restoreRows } from "./rows-apart.js";
import { runTool } from "./run-tool.js";
import type { Stage, StagedContents } from "./toc.js";
import { watchIndexes } from "./watch-indexes.js";

export interface RestoreReport {
  readonly plan: RestorePlan;
  readonly seconds: number;
  /** Recorded searches that found the same rows. */
  readonly searches: number;
  /** Models whose vectors the backup does not have: these chunks have to be embedded again. */
  readonly reembed: readonly StoredModel[];
}

/**
 * Restores a backup into a database or schema without these stores, and checks it: rows by counts and checksums, indexes,
 * policies and triggers by their definitions, and recorded searches. The application's rights come last, so that nobody
 * sees a part. An error or an abort takes away what was restored.
 *
 * @throws ConfigurationError when there are stores in the way and `clean` does not name the database.
 * @throws LoadError when the backup is cut off or changed, before anything is restored.
 * @throws SchemaDriftError when what was restored is not what was backed up.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const began = Date.now();
  return prepare(options, async ({ database, manifest, plan, contents, tools, connection }) => {
    if (plan.existing.length > 0 && options.clean === undefined)
      throw inTheWay(plan.existing, manifest, connection.database);
    if (options.clean !== undefined && options.clean !== connection.database) {
      throw new ConfigurationError(
        `clean drops every store of the database ${JSON.stringify(connection.database)}, and says ${JSON.stringify(options.clean)}. ` +
          "Name the database that is to lose them.",
      );
    }
    await makeRoles(database, manifest, plan);
    if (options.clean !== undefined) await clean(database, manifest);
    await makeSchema(database, manifest);
    try {
      const run = new Restore(options, database, manifest, contents, tools, connection);
      return { plan, ...(await run.run()), seconds: (Date.now() - began) / 1_000 };
    } catch (error) {
      // Half a store is none, and whoever tries again would find it in the way.
      await dropStores(database, manifest).catch((failure: unknown) => {
        const [reason, rest] = [error, failure].map((one) => (one instanceof Error ? one.message : String(one)));
        throw new DatabaseError(
          `The restore failed (${reason}), and what it had made could not be removed: ${rest} Restore again with --clean.`,
          undefined,
          false,
          { cause: error },
        );
      });
      throw error;
    }
  });
}

/** What {@link restoreBackup} would do. Reads the whole backup, and changes nothing. */
export async function planRestoreBackup(
  options: RestoreOptions,
): Promise<{ plan: RestorePlan; manifest: DatabaseManifest }> {
  return prepare(options, ({ plan, manifest }) => Promise.resolve({ plan, manifest }));
}

interface Tools {
  readonly restore: ClientTool;
  readonly psql: ClientTool | undefined;
}

interface Prepared {
  readonly database: Database;
  readonly manifest: DatabaseManifest;
  readonly plan: RestorePlan;
  readonly contents: StagedContents;
  readonly tools: Tools;
  readonly connection: ToolConnection;
}

async function prepare<T>(options: RestoreOptions, work: (prepared: Prepared) => Promise<T>): Promise<T> {
  checkJobs(options.jobs ?? 1);
  options.signal?.throwIfAborted();
  const manifest = await readManifest(options.folder);
  if (manifest.kind !== "database") {
    throw new ConfigurationError(
      `${options.folder} is a backup of the tenant ${JSON.stringify(manifest.tenant)} alone; restore it into a store with --tenant.`,
    );
  }
  const connection = toolConnection(options.connectionString, options.environment ?? {});
  const restore = await findTool("pg_restore", options.pgBin, connection.environment);
  const psql = manifest.rowFiles.length > 0 ? await findTool("psql", options.pgBin, connection.environment) : undefined;
  options.onProgress?.("checking the backup");
  await checkFiles(options.folder, manifest, options.signal);
  return withDatabase(options, async (database) => {
    const plan = await database.connection((session) => planRestore(session, manifest, restore));
    const contents = await readContents(restore, options.folder, manifest, connection);
    return work({ database, manifest, plan, contents, tools: { restore, psql }, connection });
  });
}

function inTheWay(existing: readonly string[], manifest: DatabaseManifest, database: string): ConfigurationError {
  return new ConfigurationError(
    `The schema ${JSON.stringify(manifest.schema)} of ${JSON.stringify(database)} has ${existing.slice(0, 5).join(", ")}` +
      `${existing.length > 5 ? ` and ${existing.length - 5} more` : ""} already; nothing was changed. Restore into an empty ` +
      `database, or drop what is there, with all of its rows, by adding: --clean ${database}`,
  );
}

async function makeRoles(database: Database, manifest: DatabaseManifest, { missingRoles }: RestorePlan): Promise<void> {
  const missing = manifest.roles.filter(({ name }) => missingRoles.includes(name));
  const steps = [
    ...missing.map(({ create }) => ({ name: "restore-role", sql: create! })),
    // A role that was there keeps the groups that it has.
    ...missing.flatMap(({ memberOf }) => memberOf.map((grant) => ({ name: "restore-membership", sql: grant.sql }))),
  ];
  await applySteps(database, steps);
}

async function clean(database: Database, manifest: DatabaseManifest): Promise<void> {
  const found = await database.connection(async (session) => {
    const { rows } = await session.execute({
      name: "restore-registry",
      sql: sql`select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${manifest.schema}::text and c.relname = 'langchain_pgvector_revisions'`,
    });
    return rows.length === 0 ? undefined : readStoredObjects(session, manifest.schema);
  });
  if (found) await dropStores(database, found);
}

async function makeSchema(database: Database, { schema, schemaOwner, server }: DatabaseManifest): Promise<void> {
  const { rows } = await database.execute({
    name: "restore-schemas",
    sql: sql`select nspname::text as name from pg_namespace where nspname in (${schema}::text, ${server.vector.schema}::text)`,
  });
  const present = new Set(rows.map((row) => row["name"]));
  const extension = quoteIdentifier(server.vector.schema);
  await applySteps(database, [
    ...(present.has(schema)
      ? []
      : [
          {
            name: "restore-schema",
            sql: `create schema ${quoteIdentifier(schema)} authorization ${quoteIdentifier(schemaOwner)};\n`,
          },
        ]),
    {
      name: "restore-extension",
      sql:
        (present.has(server.vector.schema) || server.vector.schema === schema
          ? ""
          : `create schema ${extension};\ngrant usage on schema ${extension} to public;\n`) +
        `create extension if not exists vector with schema ${extension};\n`,
    },
  ]);
}

/** One restore at work. */
class Restore {
  constructor(
    readonly options: RestoreOptions,
    readonly database: Database,
    readonly manifest: DatabaseManifest,
    readonly contents: StagedContents,
    readonly tools: Tools,
    readonly connection: ToolConnection,
  ) {}

  async run(): Promise<{ searches: number; reembed: readonly StoredModel[] }> {
    const { database, manifest, options } = this;
    const { signal, onProgress } = options;
    onProgress?.(`making ${manifest.relations.length} tables`);
    await this.#stage("structure", 1);
    onProgress?.("loading rows");
    await this.#stage("rows", options.jobs ?? 1);
    for (const file of manifest.rowFiles) {
      const place = { psql: this.tools.psql!, folder: options.folder, connection: this.connection, signal };
      const { quoted } = manifest.relations.find(({ name }) => name === file.relation)!;
      await restoreRows(place, file, quoted);
    }
    onProgress?.("checking counts and checksums");
    await checkRows(database, manifest, signal);
    await this.#stage("security", 1);
    onProgress?.(`building ${manifest.catalog.indexes.length} indexes`);
    const stopWatching = watchIndexes(database, onProgress);
    try {
      await this.#stage("indexes", options.jobs ?? 1);
    } finally {
      await stopWatching();
    }
    for (const { quoted } of manifest.relations.filter(({ partitioned }) => !partitioned)) {
      signal?.throwIfAborted();
      await database.execute({ name: "restore-analyze", sql: raw(`analyze ${quoted}`) }, { signal });
    }
    onProgress?.("checking indexes, policies and searches");
    const searches = await checkStores(database, manifest, signal);
    await this.#stage("grants", 1);
    return {
      searches,
      reembed: manifest.withoutEmbeddings ? manifest.models.filter(({ vectors }) => vectors > 0) : [],
    };
  }

  async #stage(stage: Stage, jobs: number): Promise<void> {
    const lines = this.contents[stage];
    if (lines.length === 0) return;
    const { manifest, options, connection } = this;
    const scratch = await mkdtemp(join(tmpdir(), "langchain-pgvector-restore-"));
    try {
      const list = join(scratch, "list");
      await writeFile(list, `${lines.join("\n")}\n`, { mode: 0o600 });
      const path = join(options.folder, manifest.dumpFormat === "custom" ? "stores.dump" : "stores");
      const args = [
        `--use-list=${list}`,
        "--exit-on-error",
        "--no-password",
        `--dbname=${dbname(connection.database)}`,
      ];
      const child = spawn(this.tools.restore.path, [...args, ...(jobs > 1 ? [`--jobs=${jobs}`] : []), path], {
        stdio: ["ignore", "ignore", "pipe"],
        env: { ...connection.environment },
      });
      await runTool(child, { name: "pg_restore", secrets: connection.secrets, signal: options.signal });
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
}

/** A name that holds `=` would be read as a connection string. */
function dbname(name: string): string {
  return `dbname='${name.replace(/['\\]/g, "\\$&")}'`;
}

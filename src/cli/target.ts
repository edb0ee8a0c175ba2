import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Pool } from "../db/pool.js";
import { ConfigurationError, DatabaseError, SchemaVersionError } from "../errors.js";
import type { CliContext } from "./context.js";
import type { ColumnNames } from "./flags.js";
import { redactUrl } from "./redact.js";
import { openServerPool } from "./server-pool.js";

/** The flags about the database that the verbs share. */
export interface TargetFlags {
  readonly databaseUrl?: string;
  readonly table?: string;
  readonly schema?: string;
  readonly columns?: ColumnNames;
  readonly collection?: string;
  readonly collectionTable?: string;
}

/** The flags about tenants, for the verbs that work for one or decide whether there are any. */
export interface TenancyFlags {
  readonly tenancy?: "off" | "rls";
  readonly tenant?: string;
  readonly appRole?: string;
}

/** Where the start verbs keep the embedded database when no server is named. */
const EMBEDDED_FOLDER = join(".langchain-pgvector", "database");

export interface Target {
  /** For people, without the password. */
  readonly label: string;
  readonly pool: Pool;
  close(): Promise<void>;
}

/** Whether a verb without a URL makes the embedded database, only opens it, or works on a server alone. */
export type EmbeddedUse = "create" | "open" | "never";

/**
 * Does `work` on the database that the flags name, and closes it: `--database-url`, else `DATABASE_URL`, else for verbs
 * that may the embedded one.
 *
 * @throws ConfigurationError when none is named and the verb needs a server, or the URL is none.
 * @throws SchemaVersionError when there is no embedded database and the verb must not create one.
 */
export async function withTarget<T>(
  context: CliContext,
  flags: TargetFlags,
  embedded: EmbeddedUse,
  work: (target: Target) => Promise<T>,
): Promise<T> {
  context.signal.throwIfAborted();
  const target = await openTarget(context, flags, embedded);
  try {
    return await work(target);
  } finally {
    await target.close();
  }
}

async function openTarget(context: CliContext, flags: TargetFlags, embedded: EmbeddedUse): Promise<Target> {
  const fromFlag = flags.databaseUrl !== undefined;
  const url = serverUrl(context, flags);
  if (url !== undefined) return openServer(url, fromFlag ? "--database-url" : "DATABASE_URL");
  if (embedded === "never") {
    throw new ConfigurationError(
      "Say which database: --database-url postgres://user:password@host:5432/database, or set DATABASE_URL.",
    );
  }
  const folder = embeddedFolder(context);
  const label = `embedded, in ${relative(context.cwd, folder)}`;
  if (embedded === "open" && !existsSync(folder)) {
    throw new SchemaVersionError(
      `Nothing has been ingested here: there is no ${EMBEDDED_FOLDER} in ${context.cwd}. ` +
        "Run: langchain-pgvector ingest <paths>, or name a server with --database-url.",
    );
  }
  return openEmbedded(folder, label);
}

/** The server that the flags name, with its password; `undefined` when they name none. */
export function serverUrl(context: CliContext, flags: TargetFlags): string | undefined {
  return flags.databaseUrl ?? (context.env["DATABASE_URL"]?.trim() || undefined);
}

/** Where the embedded database of the current folder is, or would be. */
export function embeddedFolder(context: CliContext): string {
  return join(context.cwd, EMBEDDED_FOLDER);
}

/** @throws ConfigurationError when the URL is none; `origin` says where it came from. No I/O. */
export function openServer(url: string, origin: string): Target {
  const label = redactUrl(url);
  if (!/^(postgres(ql)?:\/\/|socket:|\/)/.test(url)) {
    throw new ConfigurationError(
      `${origin} is "${label}", which is no Postgres URL. Write it like postgres://user:password@host:5432/database.`,
    );
  }
  const pool = openServerPool(url, origin, label);
  return { label, pool, close: () => pool.end() };
}

async function openEmbedded(folder: string, label: string): Promise<Target> {
  const { openEmbeddedPostgres } = await import("../embedded/index.js");
  await mkdir(folder, { recursive: true });
  // A database has no place in a repository; whoever has a rule of their own keeps it.
  await writeFile(join(folder, "..", ".gitignore"), "*\n", { flag: "wx" }).catch(() => undefined);
  const pool = await openEmbeddedPostgres({ dataDir: folder }).catch((error: unknown) => {
    // A folder in use or damaged is nothing that other flags would cure.
    const message = error instanceof Error ? error.message : String(error);
    throw new DatabaseError(message, undefined, false, { cause: error });
  });
  return { label, pool, close: () => pool.end() };
}

import { mkdir } from "node:fs/promises";
import { join, relative } from "node:path";
import pg from "pg";
import type { Pool } from "../db/pool.js";
import { ConfigurationError } from "../errors.js";
import type { CliContext } from "./context.js";
import { redactUrl } from "./redact.js";

/** The flags about the database that the verbs share. */
export interface TargetFlags {
  readonly databaseUrl?: string;
  readonly table?: string;
  readonly schema?: string;
  readonly collection?: string;
}

/** The folder of the embedded database that the start verbs make when no server is named. */
export const EMBEDDED_FOLDER = ".langchain-pgvector";

export interface Target {
  /** For people, without the password. */
  readonly label: string;
  readonly pool: Pool;
  close(): Promise<void>;
}

/**
 * Opens the database that the flags name: `--database-url`, else `DATABASE_URL`, else for verbs that may the embedded
 * one.
 *
 * @throws ConfigurationError when there is none and the verb must not create one.
 */
export async function openTarget(context: CliContext, flags: TargetFlags, embedded: "allowed" | "refused") {
  const url = flags.databaseUrl ?? (context.env["DATABASE_URL"]?.trim() || undefined);
  if (url !== undefined) return openServer(url);
  if (embedded === "refused") {
    throw new ConfigurationError(
      "Say which database: --database-url postgres://user:password@host/db, or DATABASE_URL.",
    );
  }
  return openEmbedded(context, join(context.cwd, EMBEDDED_FOLDER, "database"));
}

export function openServer(url: string): Target {
  const pool = new pg.Pool({ connectionString: url, application_name: "langchain-pgvector", max: 4 });
  // The next statement reports a lost connection; an idle one must not end the process.
  pool.on("error", () => undefined);
  return { label: redactUrl(url), pool, close: () => pool.end() };
}

export async function openEmbedded(context: CliContext, folder: string): Promise<Target> {
  const { openEmbeddedPostgres } = await import("../embedded/index.js");
  await mkdir(folder, { recursive: true });
  const pool = await openEmbeddedPostgres({ dataDir: folder });
  return { label: `embedded, in ${relative(context.cwd, folder) || folder}`, pool, close: () => pool.end() };
}

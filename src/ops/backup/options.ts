import type { Pool } from "../../db/pool.js";
import { ConfigurationError } from "../../errors.js";

/** What backup and restore share. */
export interface ToolOptions {
  /** Straight to the server, not to a pooler in transaction mode. */
  readonly connectionString: string;
  /** For the library's own statements, to the same database. @defaultValue a pool of its own */
  readonly pool?: Pool | undefined;
  /** Folder of `pg_dump`, `pg_restore` and `psql`. @defaultValue the `PATH` of `environment` */
  readonly pgBin?: string | undefined;
  /** Of the programs: `PATH`, `HOME`, `PGPASSFILE` and such. @defaultValue empty */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** Programs or connections at work at once. @defaultValue 1 */
  readonly jobs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((message: string) => void) | undefined;
}

export interface BackupOptions extends ToolOptions {
  /** A new folder. */
  readonly folder: string;
  /** Of the stores. @defaultValue where the search path finds them */
  readonly schema?: string | undefined;
  /** @defaultValue "custom": one file */
  readonly format?: "custom" | "directory" | undefined;
  /** As `pg_dump --compress` takes it, such as `9` or `zstd:3`. @defaultValue that of `pg_dump` */
  readonly compress?: string | undefined;
  readonly schemaOnly?: boolean | undefined;
  /** Leaves the vectors out, which are most of the bytes; the manifest says what has to be embedded again. */
  readonly withoutEmbeddings?: boolean | undefined;
  /** Reads the finished backup whole and counts its rows. @defaultValue true */
  readonly verify?: boolean | undefined;
}

export interface RestoreOptions extends ToolOptions {
  /** Of a backup. */
  readonly folder: string;
  /**
   * Drops the stores that are there, with all of their rows, before it restores. The name of the database, so that it
   * cannot be said by mistake.
   */
  readonly clean?: string | undefined;
}

/** @throws ConfigurationError for options that cannot work, or not together. No I/O. */
export function checkBackupOptions(options: BackupOptions): void {
  const { jobs = 1, format = "custom", compress, schemaOnly, withoutEmbeddings } = options;
  checkJobs(jobs);
  if (jobs > 1 && format !== "directory") {
    throw new ConfigurationError(
      `jobs is ${jobs}, and the custom format is written by one process; use the format "directory".`,
    );
  }
  if (schemaOnly && withoutEmbeddings) {
    throw new ConfigurationError("schemaOnly has no rows, so withoutEmbeddings says nothing; leave one of them out.");
  }
  if (compress !== undefined && !/^(\d|none|gzip(:\d)?|lz4(:\d{1,2})?|zstd(:\d{1,2})?)$/.test(compress)) {
    throw new ConfigurationError(
      `compress is ${JSON.stringify(compress)}; give 0 to 9, or a method such as "gzip:6" or "zstd:3".`,
    );
  }
}

export function checkJobs(jobs: number): void {
  if (Number.isSafeInteger(jobs) && jobs >= 1 && jobs <= 64) return;
  throw new ConfigurationError(`jobs is ${jobs}; give a whole number from 1 to 64.`);
}

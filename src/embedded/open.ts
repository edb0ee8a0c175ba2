import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { PGlite, type PGliteOptions } from "@electric-sql/pglite";
import { pg_trgm } from "@electric-sql/pglite/contrib/pg_trgm";
import { vector } from "@electric-sql/pglite-pgvector";
import { types } from "pg";
import { ConfigurationError } from "../errors.js";
import { lockDataDir } from "./data-dir-lock.js";
import { type EmbeddedPostgres, EmbeddedPostgresPool } from "./pool.js";

export interface EmbeddedOptions {
  /**
   * Folder that keeps the database between runs; created when missing. One process at a time can have it open.
   *
   * @defaultValue in memory, gone after `end()`
   */
  readonly dataDir?: string;
}

/**
 * Opens a PostgreSQL that runs inside this process, with pgvector and pg_trgm at hand (`create extension` is left to the
 * schema). Statements block the event loop while they run.
 *
 * @throws ConfigurationError when `dataDir` is in use by another process, is not a usable folder, or holds a database
 *   that this version cannot read.
 *
 * @example
 * ```ts
 * const pool = await openEmbeddedPostgres({ dataDir: ".langchain-pgvector" });
 * const { rows } = await pool.query("select $1::int + 1 as next", [41]);
 * await pool.end();
 * ```
 */
export async function openEmbeddedPostgres(options: EmbeddedOptions = {}): Promise<EmbeddedPostgres> {
  const { dataDir } = options;
  if (dataDir === undefined) return new EmbeddedPostgresPool(await startDatabase(undefined), undefined, async () => {});
  if (typeof dataDir !== "string" || dataDir.trim() === "") {
    throw new ConfigurationError(
      `dataDir must name a folder, but is ${JSON.stringify(dataDir)}; leave it out for a database in memory.`,
    );
  }
  return openDirectory(resolve(dataDir));
}

async function openDirectory(folder: string): Promise<EmbeddedPostgres> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new ConfigurationError(`dataDir ${folder} cannot be created; give a folder that this user may write to.`, {
      cause,
    });
  }
  let pool: EmbeddedPostgresPool | undefined;
  const unlock = await lockDataDir(folder, (error) => pool?.fail(error));
  try {
    pool = new EmbeddedPostgresPool(await startDirectory(folder), folder, unlock);
    return pool;
  } catch (cause) {
    await unlock();
    throw new ConfigurationError(
      `The database in ${folder} cannot be opened. It may come from another major version of PostgreSQL or be damaged; ` +
        `move the folder away to start with an empty one.`,
      { cause },
    );
  }
}

/** A first start that is killed half-way must not leave a half database behind, so it is made aside and then renamed. */
async function startDirectory(folder: string): Promise<PGlite> {
  const cluster = join(folder, "pgdata");
  if (!(await exists(cluster))) {
    const unfinished = join(folder, "pgdata.new");
    await rm(unfinished, { recursive: true, force: true });
    const first = await startDatabase(unfinished);
    await first.close();
    await rename(unfinished, cluster);
  }
  return startDatabase(cluster);
}

/** The package declares an enumeration of the built-in types, but takes any type, those of extensions included. */
const parserOf: (oid: number, format: "text") => (text: string) => unknown = types.getTypeParser;

async function startDatabase(cluster: string | undefined): Promise<PGlite> {
  const options: PGliteOptions = { extensions: { vector, pg_trgm } };
  const database = await PGlite.create(cluster === undefined ? options : { ...options, dataDir: `file://${cluster}` });
  // Values arrive as text; the parsers of `pg` make both drivers return the same JavaScript values.
  database.parsers = new Proxy({}, { get: (_, oid) => parserOf(Number(oid), "text") });
  // Parameters are encoded before they get here, so nothing is left to serialize.
  database.serializers = new Proxy({}, { get: () => (value: unknown) => value });
  return database;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigurationError } from "../errors.js";
import { ChromaClient, type ChromaConnection } from "./client.js";
import { chromaSource } from "./import/chroma-source.js";
import { importRecords, type ImportReport } from "./import/import.js";
import type { ImportArgs } from "./import/options.js";
import { planRecords, type ImportPlan } from "./import/plan.js";
import type { RecordSource } from "./import/source.js";
import { runChromaServer } from "./run-server.js";

/** {@link ImportArgs} and the Chroma to read from. */
export interface ImportChromaArgs extends ImportArgs {
  /** A running server. */
  chroma?: ChromaConnection;
  /**
   * The data directory of a server that is gone: a server of the npm package `chromadb` is started on it for the import.
   * Stop every other process that uses it, and import from a copy, since a newer server may upgrade its files.
   */
  dataDir?: string;
}

/**
 * Imports collections of ChromaDB: ids, documents, metadata, embeddings and URIs, without embedding anything again. A
 * collection becomes visible in one transaction after it was compared with the source, and an interrupted import goes on
 * when it is called again.
 *
 * @throws ChromaServerError when the server does not answer; IngestError when a record cannot be stored, or there are
 * rows in the way; DimensionMismatchError, UnknownModelError when the table belongs to another model.
 *
 * @example
 * ```ts
 * const report = await importChroma({ chroma: { url: "http://localhost:8000" }, connectionString: process.env.DATABASE_URL });
 * ```
 */
export function importChroma(args: ImportChromaArgs): Promise<ImportReport> {
  return withSource(args, importRecords);
}

/** What {@link importChroma} would do; changes nothing. */
export function planImportChroma(args: ImportChromaArgs): Promise<ImportPlan> {
  return withSource(args, planRecords);
}

async function withSource<T>(
  { chroma = {}, dataDir, ...args }: ImportChromaArgs,
  work: (source: RecordSource, args: ImportArgs) => Promise<T>,
): Promise<T> {
  const signal = chroma.signal ?? args.signal;
  if (dataDir === undefined) return work(chromaSource(new ChromaClient({ ...chroma, signal })), args);
  // A server would make an empty directory of what is not there.
  if (!existsSync(join(dataDir, "chroma.sqlite3"))) {
    throw new ConfigurationError(`${dataDir} is no data directory of Chroma: it holds no chroma.sqlite3.`);
  }
  const server = await runChromaServer({ dataDir, signal });
  try {
    const source = chromaSource(new ChromaClient({ ...chroma, url: server.url, signal }));
    return await work({ ...source, label: dataDir }, args);
  } finally {
    await server.stop();
  }
}

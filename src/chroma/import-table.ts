import { Database } from "../db/database.js";
import type { Pool } from "../db/pool.js";
import { ConfigurationError } from "../errors.js";
import { resolvePool } from "../store/options.js";
import { importRecords, type ImportReport } from "./import/import.js";
import type { ImportArgs } from "./import/options.js";
import { planRecords, type ImportPlan } from "./import/plan.js";
import { checkMapping, type RecordMapping } from "./import/record-mapping.js";
import type { RecordSource } from "./import/source.js";
import { tableSource } from "./import/table-source.js";

/** {@link ImportArgs} and the table to read. */
export interface ImportTableArgs extends ImportArgs {
  source: {
    readonly table: string;
    /** @defaultValue wherever the search path finds the table */
    readonly schema?: string;
    /** The table's database. @defaultValue that of the import */
    readonly connectionString?: string;
    readonly pool?: Pool;
  };
  /** Which columns hold the parts of a record. @defaultValue those of LangChain's `PGVectorStore`, with its collections */
  mapping?: RecordMapping;
}

/**
 * Imports the rows of a table with a vector column, by default one of LangChain's `PGVectorStore`, as `importChroma` does
 * from a server: staged, compared, then visible at once, and going on after an interruption. The table is only read. One
 * in the same database is upgraded in place by `adopt`, without a copy.
 *
 * @throws ConfigurationError when the mapping does not fit the table, or its ids are not unique; IngestError naming the row.
 *
 * @example
 * ```ts
 * const source = { table: "testlangchainjs", connectionString: process.env.OLD_DATABASE_URL };
 * await importTable({ source, connectionString: process.env.DATABASE_URL });
 * ```
 */
export function importTable(args: ImportTableArgs): Promise<ImportReport> {
  return withSource(args, importRecords);
}

/** What {@link importTable} would do; changes nothing. */
export function planImportTable(args: ImportTableArgs): Promise<ImportPlan> {
  return withSource(args, planRecords);
}

async function withSource<T>(
  { source, mapping, ...args }: ImportTableArgs,
  work: (records: RecordSource, args: ImportArgs) => Promise<T>,
): Promise<T> {
  const { table, schema, connectionString, pool: given } = source;
  if (typeof table !== "string" || table === "") {
    throw new ConfigurationError(`source.table must be a non-empty string, got ${JSON.stringify(table)}.`);
  }
  const checked = mapping === undefined ? undefined : checkMapping(mapping);
  const elsewhere = given !== undefined || connectionString !== undefined;
  const place = {
    ...(given !== undefined && { pool: given }),
    ...(connectionString !== undefined && { connectionString }),
  };
  const { pool, owned } = resolvePool(elsewhere ? place : args);
  try {
    return await work(tableSource(new Database(pool), { schema, table }, checked, args.signal), args);
  } finally {
    if (owned) await pool.end();
  }
}

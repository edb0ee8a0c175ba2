import { fileSource, readParquetRows } from "./import/file-source.js";
import { importRecords, type ImportReport } from "./import/import.js";
import type { ImportArgs } from "./import/options.js";
import { planRecords, type ImportPlan } from "./import/plan.js";
import { checkMapping, type RecordMapping } from "./import/record-mapping.js";

/** {@link ImportArgs} and the file to read. */
export interface ImportParquetArgs extends ImportArgs {
  /** A Parquet file, one record with its vector in each row. */
  file: string;
  /** Which columns hold the parts of a record. */
  mapping: RecordMapping;
}

/**
 * Imports records with ready vectors from a Parquet file, as `importChroma` does from a server: staged, compared, then
 * visible at once, and going on after an interruption. One row group is in memory at a time.
 *
 * @throws ConfigurationError for a mapping that cannot be; LoadError for a damaged file; IngestError naming the row or
 * the record.
 *
 * @example
 * ```ts
 * const mapping = { id: "id", vector: "values", document: "metadata.text", metadata: "metadata" };
 * await importParquet({ file: "pinecone.parquet", mapping, connectionString: process.env.DATABASE_URL });
 * ```
 */
export async function importParquet({ file, mapping, ...args }: ImportParquetArgs): Promise<ImportReport> {
  return importRecords(fileSource(file, checkMapping(mapping), readParquetRows), args);
}

/** What {@link importParquet} would do; changes nothing. */
export async function planImportParquet({ file, mapping, ...args }: ImportParquetArgs): Promise<ImportPlan> {
  return planRecords(fileSource(file, checkMapping(mapping), readParquetRows), args);
}

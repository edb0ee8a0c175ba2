import { fileSource, readJsonLines } from "./import/file-source.js";
import { importRecords, type ImportReport } from "./import/import.js";
import type { ImportArgs } from "./import/options.js";
import { planRecords, type ImportPlan } from "./import/plan.js";
import { checkMapping, type RecordMapping } from "./import/record-mapping.js";

/** {@link ImportArgs} and the file to read. */
export interface ImportJsonlArgs extends ImportArgs {
  /** A file of JSON lines, one record with its vector each. */
  file: string;
  /** Where in a line the parts of a record are. */
  mapping: RecordMapping;
}

/**
 * Imports records with ready vectors from a file of JSON lines, as `importChroma` does from a server: staged, compared,
 * then visible at once, and going on after an interruption.
 *
 * @throws ConfigurationError for a mapping that cannot be; IngestError naming the line or the record.
 *
 * @example
 * ```ts
 * const mapping = { id: "id", vector: "values", document: "metadata.text", metadata: "metadata", collection: "namespace" };
 * await importJsonl({ file: "pinecone.jsonl", mapping, connectionString: process.env.DATABASE_URL });
 * ```
 */
export async function importJsonl({ file, mapping, ...args }: ImportJsonlArgs): Promise<ImportReport> {
  return importRecords(fileSource(file, checkMapping(mapping), readJsonLines), args);
}

/** What {@link importJsonl} would do; changes nothing. */
export async function planImportJsonl({ file, mapping, ...args }: ImportJsonlArgs): Promise<ImportPlan> {
  return planRecords(fileSource(file, checkMapping(mapping), readJsonLines), args);
}

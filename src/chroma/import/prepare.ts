import { IngestError, LangChainPgvectorError } from "../../errors.js";
import type { OpenStore } from "../../store/open.js";
import { toChunkRows, type ChunkRow } from "../../store/rows.js";
import { checkVector } from "../../store/vectors.js";
import type { ResolvedImport } from "./options.js";
import type { SourceRecord } from "./source.js";

/** A record as a row of the table. */
export interface PreparedRow extends ChunkRow {
  readonly vector: readonly number[];
}

/** What was noticed on the way; the same whenever the same records are prepared. */
export class Findings {
  /** Records left out, and the first hundred of them by id and reason. */
  skipped = 0;
  readonly firstSkipped: { id: string; reason: string }[] = [];
  /** Records whose document lost NUL characters, which Postgres cannot store. */
  nulRemoved = 0;
  /** Metadata numbers beyond 2^53, whose last digits JavaScript does not keep. */
  unsafeIntegers = 0;

  skip(id: string, reason: string): void {
    this.skipped += 1;
    if (this.firstSkipped.length < 100) this.firstSkipped.push({ id, reason });
  }
}

/**
 * Turns records into rows, and leaves out those that the options say to leave out.
 *
 * @throws IngestError, DimensionMismatchError, InvalidVectorError naming the collection and the record.
 */
export function prepareRecords(
  records: readonly SourceRecord[],
  collection: string,
  store: Pick<OpenStore, "model" | "options">,
  options: ResolvedImport,
  findings: Findings,
): PreparedRow[] {
  const rows: PreparedRow[] = [];
  const seen = new Set<string>();
  for (const record of records) {
    if (record.document === null && options.missingDocuments === "skip") {
      findings.skip(record.id, "it has no document");
      continue;
    }
    try {
      if (seen.has(record.id)) throw new IngestError("its id occurs twice");
      seen.add(record.id);
      rows.push(prepare(record, collection, store, options, findings));
    } catch (error) {
      if (!(error instanceof LangChainPgvectorError)) throw error;
      if (options.rejected === "fail") throw refusal(record, collection, error);
      findings.skip(record.id, error.message);
    }
  }
  return rows;
}

function prepare(
  record: SourceRecord,
  collection: string,
  store: Pick<OpenStore, "model" | "options">,
  options: ResolvedImport,
  findings: Findings,
): PreparedRow {
  const { id, vector, document, uri } = record;
  if (document === null && options.missingDocuments === "fail") {
    throw new IngestError('it has no document; set missingDocuments to "empty" for an empty text, or to "skip"');
  }
  const metadata = { ...record.metadata };
  if (uri !== null) addKey(metadata, options.uriKey, uri, "uriKey");
  if (options.into === "metadata") addKey(metadata, options.collectionKey, collection, "collectionKey");
  const [row] = toChunkRows([{ id, pageContent: document ?? "", metadata }], [id]);
  if (vector === null) throw new IngestError("it has no embedding; embed it and add it with addDocuments instead");
  checkVector(vector, store.model, store.options.metric, () => "its embedding");
  if (document?.includes("\0")) findings.nulRemoved += 1;
  for (const value of Object.values(metadata)) {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) findings.unsafeIntegers += 1;
  }
  return { ...row!, vector };
}

function addKey(metadata: Record<string, unknown>, key: string, value: string, option: string): void {
  if (Object.hasOwn(metadata, key) && metadata[key] !== value) {
    throw new IngestError(`its metadata has the key ${JSON.stringify(key)} already; set \`${option}\` to another one`);
  }
  metadata[key] = value;
}

/** The same kind of error, with the place in front. */
function refusal(record: SourceRecord, collection: string, error: LangChainPgvectorError): LangChainPgvectorError {
  const place = `Record ${JSON.stringify(record.id.slice(0, 80))} of the collection ${JSON.stringify(collection)}`;
  const cure =
    'Nothing of the collection is visible. Correct it at the source, or set rejected to "skip", and run it again.';
  return new IngestError(`${place} cannot be stored: ${error.message.replace(/\.$/, "")}. ${cure}`, undefined, {
    cause: error,
  });
}

import { stat } from "node:fs/promises";
import { ConfigurationError, IngestError } from "../../errors.js";
import { linesOf } from "../../loaders/vector-files/jsonl.js";
import { parquetRows } from "../../loaders/vector-files/parquet.js";
import { mapRecord, type MappedRecord, type RecordMapping } from "./record-mapping.js";
import type { KnownIds, RecordSource, SourceCollection, SourceRecord } from "./source.js";

/** Reads all records of a file, piece by piece. */
export type FileReader = (path: string, mapping: RecordMapping) => AsyncGenerator<MappedRecord, void>;

/** A file of records, such as the export of another store. Read once to plan, and once or twice for each collection. */
export function fileSource(path: string, mapping: RecordMapping, read: FileReader): RecordSource {
  return {
    label: path,
    collections: async (names) => {
      const found = await survey(path, mapping, read);
      const missing = names?.find((name) => !found.has(name));
      if (missing !== undefined) throw new ConfigurationError(`${path} has no collection ${JSON.stringify(missing)}.`);
      return (names ?? [...found.keys()].toSorted()).map((name) => {
        const facts = found.get(name)!;
        const collection: SourceCollection = {
          name,
          dimensions: facts.dimensions || undefined,
          metric: mapping.metric ?? "cosine",
          provider: undefined,
          model: undefined,
          metadata: {},
          fingerprint: facts.fingerprint,
          count: () => Promise.resolve(facts.count),
          pages: (rows, known) => readPages(read(path, mapping), name, rows, known),
        };
        return collection;
      });
    },
  };
}

interface Surveyed {
  count: number;
  dimensions: number;
  fingerprint: string;
}

async function survey(path: string, mapping: RecordMapping, read: FileReader): Promise<Map<string, Surveyed>> {
  const { size, mtimeMs } = await stat(path).catch((cause: Error) => {
    throw new ConfigurationError(`${path} cannot be read: ${cause.message}.`, { cause });
  });
  const found = new Map<string, Surveyed>();
  const fingerprint = JSON.stringify([size, mtimeMs, mapping]);
  for await (const { name, record } of read(path, mapping)) {
    const known = found.get(name);
    if (known === undefined) found.set(name, { count: 1, dimensions: record.vector?.length ?? 0, fingerprint });
    else known.count += 1;
  }
  return found;
}

async function* readPages(
  records: AsyncGenerator<MappedRecord, void>,
  collection: string,
  rows: number,
  known: KnownIds | undefined,
): AsyncGenerator<SourceRecord[], void> {
  let page: SourceRecord[] = [];
  const unknown = async (): Promise<SourceRecord[]> => {
    if (known === undefined || page.length === 0) return page;
    const stored = await known(page.map(({ id }) => id));
    return page.filter(({ id }) => !stored.has(id));
  };
  for await (const { name, record } of records) {
    if (name !== collection) continue;
    page.push(record);
    if (page.length < rows) continue;
    const wanted = await unknown();
    if (wanted.length > 0) yield wanted;
    page = [];
  }
  const wanted = await unknown();
  if (wanted.length > 0) yield wanted;
}

/** One record in each line, as JSON. */
export async function* readJsonLines(path: string, mapping: RecordMapping): AsyncGenerator<MappedRecord, void> {
  for await (const { line, number } of linesOf(path))
    yield mapRecord(parseLine(line, number), mapping, `Line ${number}`);
}

function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new IngestError(`Line ${number} is no JSON: ${String(cause)}`, number - 1, { cause });
  }
}

/** One record in each row; a row group in memory at a time. */
export async function* readParquetRows(path: string, mapping: RecordMapping): AsyncGenerator<MappedRecord, void> {
  for await (const { row, number } of parquetRows(path)) yield mapRecord(row, mapping, `Row ${number}`);
}

import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { CsvError, parse } from "csv-parse";
import { LoadError } from "../../errors.js";
import type { BulkLoadItem } from "../../store/bulk-load/options.js";
import { toItem, type FieldNames } from "./to-item.js";

/** The records of a CSV file with a header; vectors are written like `[0.1, 0.2]`. */
export async function* readCsv(path: string, names: FieldNames): AsyncGenerator<BulkLoadItem> {
  const parser = parse({ bom: true, columns: true, info: true, skip_empty_lines: true });
  // The parser hands on the failures of the file.
  pipeline(createReadStream(path), parser, () => undefined);
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: unknown; info: { lines: number } }>) {
      yield toItem(record, names, `${path}, line ${info.lines}`);
    }
  } catch (error) {
    if (error instanceof CsvError)
      throw new LoadError(`${path} is no CSV file: ${error.message}`, path, { cause: error });
    throw error;
  }
}

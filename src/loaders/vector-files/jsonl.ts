import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { IngestError } from "../../errors.js";
import type { BulkLoadItem } from "../../store/bulk-load/options.js";
import { toItem, type FieldNames } from "./to-item.js";

/** The records of a JSON Lines file, empty lines left out. */
export async function* readJsonLines(path: string, names: FieldNames): AsyncGenerator<BulkLoadItem> {
  for await (const { line, number } of linesOf(path)) {
    const place = `${path}, line ${number}`;
    let record: unknown;
    try {
      record = JSON.parse(line);
    } catch (error) {
      yield new IngestError(`${place}: is not JSON: ${(error as Error).message}`);
      continue;
    }
    yield toItem(record, names, place);
  }
}

/** Lines that are not empty, with their numbers from 1. */
export async function* linesOf(path: string): AsyncGenerator<{ line: string; number: number }> {
  const lines = createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.trim() !== "") yield { line, number };
  }
}

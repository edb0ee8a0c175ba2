import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { LoadError } from "../../errors.js";
import type { BulkLoadItem } from "../../store/bulk-load/options.js";
import { toItem, type FieldNames } from "./to-item.js";

/** The rows of a Parquet file as something to load. */
export async function* readParquet(path: string, names: FieldNames): AsyncGenerator<BulkLoadItem> {
  for await (const { row, number } of parquetRows(path)) yield toItem(row, names, `${path}, row ${number}`);
}

/**
 * The rows of a Parquet file with their numbers from 0, one row group in memory at a time.
 *
 * @throws LoadError for a file that cannot be read, or is cut off.
 */
export async function* parquetRows(
  path: string,
): AsyncGenerator<{ readonly row: Record<string, unknown>; readonly number: number }, void> {
  const damaged = (error: unknown): never => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoadError(`${path} cannot be read as Parquet, or is cut off: ${reason}`, path, { cause: error });
  };
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file).catch(damaged);
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    const options = { file, metadata, compressors, rowStart: start, rowEnd: end };
    const rows = await parquetReadObjects(options).catch(damaged);
    for (const [index, row] of rows.entries()) yield { row: plain(row), number: start + index };
    start = end;
  }
}

/** 64-bit integers come as bigint, which JSON does not know. */
function plain(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plainValue(value)]));
}

function plainValue(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  // A list has values of one type, and one of numbers is long.
  if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(plainValue);
  return isPlainObject(value) ? plain(value) : value;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

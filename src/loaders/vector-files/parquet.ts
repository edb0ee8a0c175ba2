import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { LoadError } from "../../errors.js";
import type { BulkLoadItem } from "../../store/bulk-load/options.js";
import { toItem, type FieldNames } from "./to-item.js";

/** The rows of a Parquet file, one row group in memory at a time. */
export async function* readParquet(path: string, names: FieldNames): AsyncGenerator<BulkLoadItem> {
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
    for (const [index, row] of rows.entries()) yield toItem(plain(row), names, `${path}, row ${start + index}`);
    start = end;
  }
}

/** 64-bit integers come as bigint, which JSON does not know. */
function plain(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === "bigint" ? (Number.isSafeInteger(Number(value)) ? Number(value) : String(value)) : value,
    ]),
  );
}

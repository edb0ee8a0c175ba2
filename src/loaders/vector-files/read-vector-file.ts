import { access } from "node:fs/promises";
import { extname } from "node:path";
import { ConfigurationError, LoadError } from "../../errors.js";
import type { BulkLoadItem } from "../../store/bulk-load/options.js";
import { readCsv } from "./csv.js";
import { readJsonLines } from "./jsonl.js";
import { readNpy } from "./npy.js";
import { readParquet } from "./parquet.js";
import type { FieldNames } from "./to-item.js";

export interface VectorFileOptions {
  readonly fields: FieldNames;
  /** The texts of a file that holds vectors alone. */
  readonly documents: string | undefined;
}

const FORMATS = ".jsonl, .ndjson, .parquet, .npy and .csv";

/**
 * Reads documents with ready vectors from a file, by its extension, piece by piece.
 *
 * @throws ConfigurationError for a format that is not known, LoadError for a file that is not there.
 */
export async function readVectorFile(path: string, options: VectorFileOptions): Promise<AsyncGenerator<BulkLoadItem>> {
  const { fields, documents } = options;
  const extension = extname(path).toLowerCase();
  if (documents !== undefined && extension !== ".npy") {
    throw new ConfigurationError(`--documents goes with a .npy file; ${path} has its texts beside its vectors.`);
  }
  for (const file of [path, ...(documents === undefined ? [] : [documents])]) {
    await access(file).catch((cause: unknown) => {
      throw new LoadError(`There is no file ${file} that can be read.`, file, { cause });
    });
  }
  switch (extension) {
    case ".jsonl":
    case ".ndjson":
      return readJsonLines(path, fields);
    case ".csv":
      return readCsv(path, fields);
    case ".parquet":
      return readParquet(path, fields);
    case ".npy":
      return readNpy(path, documents, fields);
    default:
      throw new ConfigurationError(`${path}: vectors can be read from ${FORMATS} files.`);
  }
}

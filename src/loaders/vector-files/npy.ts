import { open, type FileHandle } from "node:fs/promises";
import { ConfigurationError, IngestError, LoadError } from "../../errors.js";
import type { BulkLoadItem } from "../../store/bulk-load/options.js";
import { linesOf } from "./jsonl.js";
import { toItem, type FieldNames } from "./to-item.js";

/** Shape and type of a NumPy array of vectors, and where its numbers begin. */
interface NpyHeader {
  readonly rows: number;
  readonly dimensions: number;
  readonly bytes: 4 | 8;
  readonly offset: number;
}

const MAGIC = "\x93NUMPY";
const MAX_HEADER = 65_536;

/**
 * The vectors of a NumPy file, each with the document on the same line of a JSON Lines file. Read piece by piece, which
 * the packages for this format do not offer.
 *
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export async function* readNpy(
  path: string,
  documents: string | undefined,
  names: FieldNames,
): AsyncGenerator<BulkLoadItem> {
  if (documents === undefined) {
    throw new ConfigurationError(
      `${path} holds vectors only; name the file with their texts, one JSON object a line: --documents <file.jsonl>`,
    );
  }
  const file = await open(path);
  try {
    const header = await readHeader(file, path);
    const length = header.dimensions * header.bytes;
    const { size } = await file.stat();
    const expected = header.offset + header.rows * length;
    if (size < expected) throw new LoadError(`${path} is cut off: ${size} of ${expected} bytes are there.`, path);
    let row = 0;
    for await (const { line, number } of linesOf(documents)) {
      if (row === header.rows) throw unequal(path, header.rows, documents, "more");
      const vector = await readVector(file, header.offset + row * length, header);
      yield withText(line, vector, names, `${documents}, line ${number}`);
      row += 1;
    }
    if (row < header.rows) throw unequal(path, header.rows, documents, String(row));
  } finally {
    await file.close();
  }
}

function withText(line: string, vector: Float32Array, names: FieldNames, place: string): BulkLoadItem {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (error) {
    return new IngestError(`${place}: is not JSON: ${(error as Error).message}`);
  }
  const fields = typeof record === "object" && record !== null && !Array.isArray(record) ? record : undefined;
  return toItem(fields && { ...fields, [names.embedding]: vector }, names, place);
}

async function readHeader(file: FileHandle, path: string): Promise<NpyHeader> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_HEADER), 0, MAX_HEADER, 0);
  if (bytesRead < 12 || buffer.toString("latin1", 0, 6) !== MAGIC) {
    throw new LoadError(`${path} is not a NumPy file: it does not begin with its mark.`, path);
  }
  const long = buffer[6]! >= 2;
  const start = long ? 12 : 10;
  const offset = start + (long ? buffer.readUInt32LE(8) : buffer.readUInt16LE(8));
  const text = buffer.toString("latin1", start, Math.min(offset, bytesRead));
  const type = /'descr':\s*'([^']+)'/.exec(text)?.[1];
  const shape = /'shape':\s*\((\d+),\s*(\d+),?\s*\)/.exec(text);
  if ((type !== "<f4" && type !== "<f8") || shape === null || /'fortran_order':\s*True/.test(text)) {
    throw new LoadError(
      `${path} holds ${text.trim()}; what can be loaded is a two-dimensional float32 or float64 array, a vector a row ` +
        "(np.ascontiguousarray(vectors, dtype=np.float32)).",
      path,
    );
  }
  return { rows: Number(shape[1]), dimensions: Number(shape[2]), bytes: type === "<f4" ? 4 : 8, offset };
}

async function readVector(file: FileHandle, position: number, { dimensions, bytes }: NpyHeader): Promise<Float32Array> {
  const numbers = bytes === 4 ? new Float32Array(dimensions) : new Float64Array(dimensions);
  await file.read(new Uint8Array(numbers.buffer), 0, numbers.byteLength, position);
  return numbers instanceof Float32Array ? numbers : Float32Array.from(numbers);
}

function unequal(path: string, rows: number, documents: string, lines: string): LoadError {
  return new LoadError(`${path} has ${rows} vectors and ${documents} has ${lines} lines; they must be as many.`, path);
}

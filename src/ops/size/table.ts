import { WHOLE_ROW_BYTES } from "../../schema/partitions.js";
import { aligned, btreeBytes, packedPages, PAGE_BYTES } from "./pages.js";
import { vectorBytes, type SizeShape } from "./shape.js";

export interface TableSize {
  readonly heapBytes: number;
  /** What is stored out of line, with its index. */
  readonly toastBytes: number;
  readonly primaryKeyBytes: number;
}

/** A row that is longer has its largest values moved out of line; so many bytes of a value make one tuple there. */
const TOAST_TARGET = 2_032;
const TOAST_CHUNK = 1_996;
const TOAST_POINTER = 18;
/** Text of an ordinary language shrinks to this with the compression that is built in; short texts are not tried. */
const COMPRESSED_TEXT = 0.72;
const ROW_HEADER = 24;
/** Tenant, collection, content hash and time, with their headers. */
const FIXED_VALUES = 8 + 8 + 33 + 8;
const FILLFACTOR = 0.9;
/** Keys arrive in no order, and a full leaf splits into halves: ln 2 of it is used on average. */
const RANDOM_FILL = 0.69;
const SAMPLE = 1_000;

/** The table of chunks, by the rules of PostgreSQL's storage: rows above 2 kB move their longest values out of line. */
export function tableSize(shape: SizeShape): TableSize {
  const { vectors, idBytes } = shape;
  const { row, external } = storedRow(shape);
  const heap = packedPages(repeated([row]), { reserved: shape.inlineVectors ? 0 : PAGE_BYTES * (1 - FILLFACTOR) });
  const chunks = external.flatMap(chunksOf);
  const toast = packedPages(repeated(chunks), {});
  return {
    heapBytes: Math.ceil((heap * vectors) / SAMPLE) * PAGE_BYTES,
    toastBytes:
      chunks.length === 0
        ? 0
        : Math.ceil((toast * vectors) / SAMPLE) * PAGE_BYTES + btreeBytes(vectors * chunks.length, 16, 0.9),
    primaryKeyBytes: btreeBytes(vectors, 8 + 8 + 8 + 1 + idBytes, RANDOM_FILL),
  };
}

function repeated(group: readonly number[]): (readonly number[])[] {
  return Array.from({ length: SAMPLE }, () => group);
}

/** Bytes of the row in the table, and of each value that is kept elsewhere. */
function storedRow({ textBytes, metadataBytes, idBytes, inlineVectors, ...vector }: SizeShape): {
  row: number;
  external: number[];
} {
  const rest = ROW_HEADER + FIXED_VALUES + idBytes + 1 + metadataBytes + 4;
  const inline = { text: textBytes + 4, vector: vectorBytes(vector) };
  const target = inlineVectors ? WHOLE_ROW_BYTES : TOAST_TARGET;
  const external: number[] = [];
  const total = (): number => aligned(rest + inline.text + inline.vector);
  const moveOut = (name: "text" | "vector"): void => {
    external.push(inline[name] - 4);
    inline[name] = TOAST_POINTER;
  };
  // Longest first: a text is compressed, and a vector, which is never compressed, leaves at once only if it has to.
  if (total() > target && inline.vector > target && inline.vector >= inline.text) moveOut("vector");
  if (total() > target) inline.text = Math.ceil(inline.text * COMPRESSED_TEXT);
  while (total() > target && (inline.text > TOAST_POINTER || inline.vector > TOAST_POINTER)) {
    moveOut(inline.text > inline.vector ? "text" : "vector");
  }
  return { row: rest + inline.text + inline.vector, external };
}

function chunksOf(bytes: number): number[] {
  const sizes: number[] = [];
  for (let left = bytes; left > 0; left -= TOAST_CHUNK) sizes.push(ROW_HEADER + 8 + 4 + Math.min(left, TOAST_CHUNK));
  return sizes;
}

import { writeArray } from "./codec.js";
import type { BinaryParameter } from "./pool.js";
import { toSparse, type SparseVector, type VectorInput } from "./sparse-vector.js";

/** int32 dimensions, int32 number of elements, int32 unused. */
const HEADER = 12;

/**
 * One sparse vector as a parameter, in pgvector's binary format: the header, the big-endian int32 indices from 0 in
 * ascending order, then their float32 values, none of them zero. Its text form counts indices from 1.
 *
 * @see https://github.com/pgvector/pgvector/blob/master/src/sparsevec.c `sparsevec_recv`
 */
export class SparseVectorParameter implements BinaryParameter {
  readonly vector: SparseVector;

  constructor(vector: VectorInput) {
    this.vector = toSparse(vector);
  }

  toPostgres(): Buffer {
    const buffer = Buffer.allocUnsafe(sparseBytes(this.vector));
    writeSparse(buffer, 0, this.vector);
    return buffer;
  }

  toText(): string {
    return sparseToText(this.vector);
  }
}

/** An array of sparse vectors as one parameter, cast to `sparsevec[]` in the statement. */
export class SparseVectorArrayParameter implements BinaryParameter {
  readonly vectors: readonly SparseVector[];

  constructor(
    vectors: readonly VectorInput[],
    /** Type oid of `sparsevec` in this database: a binary array names the type of its elements. */
    readonly elementOid: number,
  ) {
    this.vectors = vectors.map(toSparse);
  }

  toPostgres(): Buffer {
    const lengths = this.vectors.map(sparseBytes);
    return writeArray(this.elementOid, lengths, (buffer, offset, i) => writeSparse(buffer, offset, this.vectors[i]!));
  }

  toText(): string {
    return `{${this.vectors.map((vector) => `"${sparseToText(vector)}"`).join(",")}}`;
  }
}

/** Decodes `encode(sparsevec_send(column), 'base64')`. */
export function decodeSparse(base64: string): SparseVector {
  return readSparse(Buffer.from(base64, "base64"));
}

export function readSparse(buffer: Buffer): SparseVector {
  const count = buffer.readInt32BE(4);
  return {
    dimensions: buffer.readInt32BE(0),
    indices: Array.from({ length: count }, (_, i) => buffer.readInt32BE(HEADER + 4 * i)),
    values: Array.from({ length: count }, (_, i) => buffer.readFloatBE(HEADER + 4 * (count + i))),
  };
}

/** Bytes of the binary form of a vector of {@link toSparse}. */
export function sparseBytes({ indices }: SparseVector): number {
  return HEADER + 8 * indices.length;
}

/** Writes the binary form of a vector of {@link toSparse}. */
export function writeSparse(buffer: Buffer, offset: number, { dimensions, indices, values }: SparseVector): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset + offset);
  const count = indices.length;
  view.setInt32(0, dimensions);
  view.setInt32(4, count);
  view.setInt32(8, 0);
  for (let i = 0; i < count; i += 1) {
    view.setInt32(HEADER + 4 * i, indices[i]!);
    view.setFloat32(HEADER + 4 * (count + i), values[i]!);
  }
}

function sparseToText({ dimensions, indices, values }: SparseVector): string {
  return `{${indices.map((index, i) => `${index + 1}:${values[i]!}`).join(",")}}/${dimensions}`;
}

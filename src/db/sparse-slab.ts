import { readSparse, sparseBytes, writeSparse } from "./sparse-codec.js";
import { toSparse, type SparseVector, type VectorInput } from "./sparse-vector.js";
import type { Slab } from "./vector-slab.js";

/** Sparse vectors of a batch, each kept as the bytes of its field in COPY BINARY, which are as many as it has values. */
export class SparseSlab implements Slab {
  readonly stride = 0;
  readonly #fields: (Buffer | undefined)[] = [];

  has(slot: number): boolean {
    return this.#fields[slot] !== undefined;
  }

  put(slot: number, vector: VectorInput | undefined): void {
    this.#fields[slot] = vector === undefined ? undefined : toField(toSparse(vector));
  }

  bytesOf(slot: number): number {
    return this.#fields[slot]?.length ?? 0;
  }

  copy(slot: number, target: Buffer, offset: number): number {
    return offset + this.#fields[slot]!.copy(target, offset);
  }

  get(slot: number): SparseVector {
    return readSparse(this.#fields[slot]!.subarray(4));
  }
}

function toField(vector: SparseVector): Buffer {
  const length = sparseBytes(vector);
  const field = Buffer.allocUnsafe(4 + length);
  field.writeInt32BE(length);
  writeSparse(field, 4, vector);
  return field;
}

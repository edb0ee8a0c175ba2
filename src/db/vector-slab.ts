import { float16Bits } from "./float16.js";
import type { VectorInput } from "./sparse-vector.js";

/** Length of a field, then pgvector's own header: int16 dimensions, int16 unused. */
const HEADER = 8;

/** Vectors of a batch by their slots, as the fields of COPY BINARY. */
export interface Slab {
  /** Bytes that every vector takes; 0 where they differ, see {@link bytesOf}. */
  readonly stride: number;
  /** Whether there is a vector in a slot. */
  has(slot: number): boolean;
  /** @param vector checked already, or none. */
  put(slot: number, vector: VectorInput | undefined): void;
  /** Bytes of the field of a slot. */
  bytesOf(slot: number): number;
  /** Copies the field of a slot. @returns where it ends. */
  copy(slot: number, target: Buffer, offset: number): number;
  /** A copy of one vector. */
  get(slot: number): VectorInput;
}

/**
 * Room for a number of vectors of one length, each kept as the bytes of its field in COPY BINARY, length included: so a vector is
 * converted once, when it comes, and its own array is let go.
 *
 * @see https://github.com/pgvector/pgvector/blob/master/src/halfvec.c `halfvec_recv`
 */
export class VectorSlab implements Slab {
  readonly #bytes: Buffer;
  readonly stride: number;
  readonly #floats: Float32Array;
  readonly #halves: Uint16Array | undefined;
  readonly #filled: Uint8Array;

  constructor(
    rows: number,
    readonly dimensions: number,
    readonly type: "vector" | "halfvec",
  ) {
    const size = type === "vector" ? 4 : 2;
    // Whole multiples of four, so that each vector can be written as numbers in place.
    this.stride = HEADER + size * dimensions;
    this.#filled = new Uint8Array(rows);
    const memory = new ArrayBuffer(Math.ceil((this.stride * rows) / 4) * 4);
    this.#bytes = Buffer.from(memory);
    this.#floats = type === "vector" ? new Float32Array(memory) : new Float32Array(dimensions);
    this.#halves = type === "halfvec" ? new Uint16Array(memory) : undefined;
    for (let offset = 0; offset + this.stride <= memory.byteLength; offset += this.stride) {
      this.#bytes.writeInt32BE(this.stride - 4, offset);
      this.#bytes.writeInt16BE(dimensions, offset + 4);
    }
  }

  has(slot: number): boolean {
    return this.#filled[slot] === 1;
  }

  /** @param vector of `dimensions` numbers, checked already, or none. */
  put(slot: number, vector: ArrayLike<number> | undefined): void {
    this.#filled[slot] = vector === undefined ? 0 : 1;
    if (vector === undefined) return;
    const start = slot * this.stride + HEADER;
    const end = (slot + 1) * this.stride;
    if (this.#halves === undefined) {
      this.#floats.set(vector, start / 4);
      this.#bytes.subarray(start, end).swap32();
      return;
    }
    this.#floats.set(vector);
    for (let i = 0; i < this.dimensions; i += 1) this.#halves[start / 2 + i] = float16Bits(this.#floats[i]!);
    this.#bytes.subarray(start, end).swap16();
  }

  bytesOf(): number {
    return this.stride;
  }

  copy(slot: number, target: Buffer, offset: number): number {
    return offset + this.#bytes.copy(target, offset, slot * this.stride, (slot + 1) * this.stride);
  }

  /** Of float32 only. */
  get(slot: number): Float32Array {
    const copy = Buffer.alloc(this.stride - HEADER);
    this.#bytes.copy(copy, 0, slot * this.stride + HEADER, (slot + 1) * this.stride);
    copy.swap32();
    return new Float32Array(copy.buffer, copy.byteOffset, this.dimensions);
  }
}

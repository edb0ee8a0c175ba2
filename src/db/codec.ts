import type { BinaryParameter } from "./pool.js";

const TEXT_OID = 25;
const BYTEA_OID = 17;

/**
 * One vector as a parameter, in pgvector's binary format: int16 dimensions, int16 unused, then big-endian float32.
 *
 * @see https://github.com/pgvector/pgvector/blob/master/src/vector.c `vector_recv`
 */
export class VectorParameter implements BinaryParameter {
  constructor(readonly values: ArrayLike<number>) {}

  toPostgres(): Buffer {
    const buffer = allocate(vectorBytes(this.values));
    writeVector(buffer, 0, this.values);
    return buffer;
  }

  toText(): string {
    return vectorToText(this.values);
  }
}

/** An array of vectors as one parameter, cast to `vector[]` in the statement. */
export class VectorArrayParameter implements BinaryParameter {
  constructor(
    readonly vectors: readonly ArrayLike<number>[],
    /** Type oid of `vector` in this database: a binary array names the type of its elements. */
    readonly elementOid: number,
  ) {}

  toPostgres(): Buffer {
    const lengths = this.vectors.map(vectorBytes);
    return writeArray(this.elementOid, lengths, (buffer, offset, i) => writeVector(buffer, offset, this.vectors[i]!));
  }

  toText(): string {
    return `{${this.vectors.map((vector) => `"${vectorToText(vector)}"`).join(",")}}`;
  }
}

/** An array of strings as one parameter, cast to `text[]` in the statement. */
export class TextArrayParameter implements BinaryParameter {
  constructor(readonly texts: readonly string[]) {}

  toPostgres(): Buffer {
    const lengths = this.texts.map((text) => Buffer.byteLength(text));
    return writeArray(TEXT_OID, lengths, (buffer, offset, i) => buffer.write(this.texts[i]!, offset));
  }

  toText(): string {
    return `{${this.texts.map((text) => `"${text.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
  }
}

/** An array of byte strings as one parameter, cast to `bytea[]` in the statement. */
export class BytesArrayParameter implements BinaryParameter {
  constructor(readonly items: readonly Uint8Array[]) {}

  toPostgres(): Buffer {
    const lengths = this.items.map((item) => item.length);
    return writeArray(BYTEA_OID, lengths, (buffer, offset, i) => buffer.set(this.items[i]!, offset));
  }

  toText(): string {
    return `{${this.items.map((item) => `"\\\\x${Buffer.from(item).toString("hex")}"`).join(",")}}`;
  }
}

/** Decodes `encode(vector_send(column), 'base64')`, the binary form as the driver can carry it. */
export function decodeVector(base64: string): number[] {
  const buffer = Buffer.from(base64, "base64");
  const dimensions = buffer.readInt16BE(0);
  return Array.from({ length: dimensions }, (_, i) => buffer.readFloatBE(4 + 4 * i));
}

/** What is left of the last block. */
let block = Buffer.alloc(0);
const BLOCK_BYTES = 128 * 1024;

/** As `Buffer.allocUnsafe`, which has no blocks for as much as a vector takes; aligned by eight bytes. */
function allocate(bytes: number): Buffer {
  const taken = Math.ceil(bytes / 8) * 8;
  if (taken > BLOCK_BYTES / 4) return Buffer.allocUnsafe(bytes);
  if (taken > block.length) block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  const buffer = block.subarray(0, bytes);
  block = block.subarray(taken);
  return buffer;
}

function vectorBytes(vector: ArrayLike<number>): number {
  return 4 + 4 * vector.length;
}

function writeVector(buffer: Buffer, offset: number, vector: ArrayLike<number>): void {
  buffer.writeInt16BE(vector.length, offset);
  buffer.writeInt16BE(0, offset + 2);
  // As fast for Float32Array as for arrays, and for both in turns; Node aligns its buffers by eight bytes, fields are by four.
  new Float32Array(buffer.buffer, buffer.byteOffset + offset + 4, vector.length).set(vector);
  buffer.subarray(offset + 4, offset + 4 + 4 * vector.length).swap32();
}

function vectorToText(vector: ArrayLike<number>): string {
  // A number's own text has no minus before zero.
  return `[${Array.from(vector, (value) => (Object.is(value, -0) ? "-0" : String(value))).join(",")}]`;
}

/** The binary form of a one-dimensional array without nulls. */
export function writeArray(
  elementOid: number,
  lengths: readonly number[],
  writeElement: (buffer: Buffer, offset: number, index: number) => void,
): Buffer {
  const size = lengths.reduce((sum, length) => sum + 4 + length, 20);
  const buffer = Buffer.allocUnsafe(size);
  buffer.writeInt32BE(lengths.length === 0 ? 0 : 1, 0);
  buffer.writeInt32BE(0, 4);
  buffer.writeInt32BE(elementOid, 8);
  if (lengths.length === 0) return buffer.subarray(0, 12);
  buffer.writeInt32BE(lengths.length, 12);
  buffer.writeInt32BE(1, 16);
  let offset = 20;
  lengths.forEach((length, index) => {
    buffer.writeInt32BE(length, offset);
    writeElement(buffer, offset + 4, index);
    offset += 4 + length;
  });
  return buffer;
}

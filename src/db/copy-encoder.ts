import { COPY_DATA, type CopySource } from "./copy-in.js";
import type { Slab } from "./vector-slab.js";

/** A row without its vectors. */
export interface CopyRow {
  readonly id: string;
  readonly content: string;
  /** JSON text. */
  readonly metadata: string;
  readonly contentHash: Uint8Array;
  /** Of its vectors in the slabs. */
  readonly slot: number;
}

const SIGNATURE = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
const TRAILER = Buffer.from([0xff, 0xff]);
const MESSAGE_HEADER = 5;
/** Large enough that writing costs little, small enough that the server works while the next one is made. */
const CHUNK_BYTES = 256 * 1024;
const BUFFERS = 3;
/** Version of the binary format of jsonb. */
const JSONB_VERSION = 1;

/** The few buffers that one COPY at a time is encoded into, again and again. */
export class CopyBuffers {
  readonly #buffers = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafe(CHUNK_BYTES));
  #next = 0;

  /** The one that was taken longest ago. */
  take(): Buffer {
    this.#next = (this.#next + 1) % BUFFERS;
    return this.#buffers[this.#next]!;
  }
}

/**
 * Encodes rows as COPY BINARY straight into reused buffers. The columns are those of `constants`, then id, content,
 * metadata, content hash and the vectors of each slab, null where it has none.
 *
 * @see https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT
 */
export class CopyEncoder {
  /** What every row begins with: the number of fields, and the fields that are the same in all rows. */
  readonly #prefix: Buffer;

  constructor(constants: readonly string[], vectors: number) {
    const count = Buffer.alloc(2);
    count.writeInt16BE(constants.length + 4 + vectors);
    const fields = constants.map((text) => {
      const length = Buffer.byteLength(text);
      const field = Buffer.alloc(4 + length);
      field.writeInt32BE(length);
      field.write(text, 4);
      return field;
    });
    this.#prefix = Buffer.concat([count, ...fields]);
  }

  /** The rows, in their order, as the data of one COPY; `slabs` hold their vectors. */
  source(rows: readonly CopyRow[], slabs: readonly Slab[], buffers: CopyBuffers): CopySource {
    return { buffers: BUFFERS - 1, chunks: () => this.#chunks(rows, slabs, buffers) };
  }

  *#chunks(rows: readonly CopyRow[], slabs: readonly Slab[], buffers: CopyBuffers): Generator<Buffer> {
    let buffer = buffers.take();
    let offset = MESSAGE_HEADER + SIGNATURE.copy(buffer, MESSAGE_HEADER);
    for (const row of rows) {
      const most = this.#mostBytes(row, slabs);
      if (offset + most > buffer.length && offset > MESSAGE_HEADER) {
        yield finish(buffer, offset);
        buffer = buffers.take();
        offset = MESSAGE_HEADER;
      }
      // A row beyond the size of a buffer gets one of its own.
      if (offset + most > buffer.length) buffer = Buffer.allocUnsafe(MESSAGE_HEADER + most);
      offset = this.#write(buffer, offset, row, slabs);
    }
    if (offset + TRAILER.length > buffer.length) {
      yield finish(buffer, offset);
      buffer = buffers.take();
      offset = MESSAGE_HEADER;
    }
    yield finish(buffer, offset + TRAILER.copy(buffer, offset));
  }

  /** A UTF-16 unit takes at most three bytes in UTF-8; counting exactly would cost a pass over the text. */
  #mostBytes({ id, content, metadata, contentHash, slot }: CopyRow, slabs: readonly Slab[]): number {
    const texts = 3 * (id.length + content.length + metadata.length);
    const vectors = slabs.reduce((sum, slab) => sum + Math.max(4, slab.bytesOf(slot)), 0);
    return this.#prefix.length + texts + contentHash.length + 17 + vectors;
  }

  #write(buffer: Buffer, start: number, row: CopyRow, slabs: readonly Slab[]): number {
    let offset = start + this.#prefix.copy(buffer, start);
    offset = writeText(buffer, offset, row.id);
    offset = writeText(buffer, offset, row.content);
    const json = offset;
    buffer[json + 4] = JSONB_VERSION;
    offset = json + 5 + buffer.write(row.metadata, json + 5);
    buffer.writeInt32BE(offset - json - 4, json);
    offset = buffer.writeInt32BE(row.contentHash.length, offset);
    buffer.set(row.contentHash, offset);
    offset += row.contentHash.length;
    for (const slab of slabs) {
      offset = slab.has(row.slot) ? slab.copy(row.slot, buffer, offset) : buffer.writeInt32BE(-1, offset);
    }
    return offset;
  }
}

function writeText(buffer: Buffer, offset: number, text: string): number {
  const length = buffer.write(text, offset + 4);
  buffer.writeInt32BE(length, offset);
  return offset + 4 + length;
}

function finish(buffer: Buffer, end: number): Buffer {
  buffer[0] = COPY_DATA;
  buffer.writeInt32BE(end - 1, 1);
  return buffer.subarray(0, end);
}

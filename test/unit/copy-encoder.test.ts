import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CopyBuffers, CopyEncoder, type CopyRow } from "../../src/db/copy-encoder.js";
import { float16Bits } from "../../src/db/float16.js";
import { VectorSlab } from "../../src/db/vector-slab.js";

/** Joins the messages and takes their frames off; fails when a frame is wrong. */
function payload(chunks: Iterable<Buffer>): Buffer {
  const parts: Buffer[] = [];
  for (const chunk of chunks) {
    expect(chunk[0]).toBe("d".charCodeAt(0));
    expect(chunk.readUInt32BE(1)).toBe(chunk.length - 1);
    parts.push(Buffer.from(chunk.subarray(5)));
  }
  return Buffer.concat(parts);
}

/** The fields of each row, read as the documentation of COPY describes them. */
function decode(data: Buffer): Buffer[][] {
  expect(data.toString("latin1", 0, 19)).toBe("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
  const rows: Buffer[][] = [];
  let offset = 19;
  for (let count = data.readInt16BE(offset); count !== -1; count = data.readInt16BE(offset)) {
    offset += 2;
    rows.push(
      Array.from({ length: count }, () => {
        const length = data.readInt32BE(offset);
        offset += 4 + length;
        return data.subarray(offset - length, offset);
      }),
    );
  }
  expect(offset + 2).toBe(data.length);
  return rows;
}

const DIMENSIONS = 3;
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.constant("x".repeat(300_000)),
  fc.constant("é".repeat(90_000)),
);
const input = fc.record({
  id: fc.string({ unit: "binary", minLength: 1, maxLength: 8 }),
  content: text,
  metadata: fc.dictionary(fc.string(), fc.string()).map((value) => JSON.stringify(value)),
  vector: fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
    minLength: DIMENSIONS,
    maxLength: DIMENSIONS,
  }),
});

describe("the encoder of COPY", () => {
  it("writes what the format says, whatever the sizes and however often its buffers are used", () => {
    const buffers = new CopyBuffers();
    fc.assert(
      fc.property(fc.array(input, { maxLength: 12 }), fc.array(fc.string(), { maxLength: 2 }), (inputs, constants) => {
        const slab = new VectorSlab(Math.max(1, inputs.length), DIMENSIONS, "vector");
        const rows = inputs.map(({ vector, ...row }, slot): CopyRow => {
          slab.put(slot, vector);
          return { ...row, contentHash: Uint8Array.of(slot, 255), slot };
        });
        const decoded = decode(payload(new CopyEncoder(constants, 1).source(rows, [slab], buffers).chunks()));
        expect(decoded).toHaveLength(rows.length);
        decoded.forEach((fields, i) => {
          const [id, content, metadata, hash, vector] = fields.slice(constants.length);
          const { vector: numbers, ...row } = inputs[i]!;
          expect(fields.slice(0, constants.length).map(String)).toEqual(constants);
          expect([String(id), String(content), String(metadata!.subarray(1))]).toEqual([
            row.id,
            row.content,
            row.metadata,
          ]);
          expect([metadata![0], ...hash!]).toEqual([1, i, 255]);
          expect([vector!.readInt16BE(0), vector!.readInt16BE(2)]).toEqual([DIMENSIONS, 0]);
          numbers.forEach((value, at) => expect(vector!.readFloatBE(4 + 4 * at)).toBe(Math.fround(value)));
          expect(Array.from(slab.get(i))).toEqual(numbers.map(Math.fround));
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe("float16", () => {
  const value = (bits: number): number => {
    const exponent = (bits >>> 10) & 31;
    const fraction = bits & 0x3ff;
    const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1_024 + fraction) * 2 ** (exponent - 25);
    return (bits & 0x8000) === 0 ? magnitude : -magnitude;
  };

  it("keeps every number that it can hold", () => {
    for (let bits = 0; bits < 0x1_0000; bits += 1) {
      if (((bits >>> 10) & 31) !== 31) expect(float16Bits(value(bits))).toBe(bits);
    }
  });

  it("rounds to the nearest, and ties to even", () => {
    for (let bits = 0; bits < 0x7bff; bits += 1) {
      const [low, high] = [value(bits), value(bits + 1)];
      const middle = (low + high) / 2;
      expect(float16Bits(middle)).toBe(bits % 2 === 0 ? bits : bits + 1);
      expect(float16Bits(Math.fround(middle + (high - low) / 8))).toBe(bits + 1);
      expect(float16Bits(Math.fround(middle - (high - low) / 8))).toBe(bits);
    }
    expect(float16Bits(65_519)).toBe(0x7bff);
    expect(float16Bits(1e-12)).toBe(0);
    expect(float16Bits(-1e-12)).toBe(0x8000);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BytesArrayParameter,
  decodeVector,
  TextArrayParameter,
  VectorArrayParameter,
  VectorParameter,
} from "../../src/db/codec.js";

const float32 = fc.float({ noNaN: true });

describe("a vector", () => {
  test("is its number of dimensions, two unused bytes and big-endian float32", () => {
    expect(new VectorParameter([1, -2]).toPostgres().toString("hex")).toBe(
      "00020000_3f800000_c0000000".replaceAll("_", ""),
    );
  });

  test("comes back as the float32 numbers it was made of", () => {
    fc.assert(
      fc.property(fc.array(float32, { maxLength: 50 }), (values) => {
        const sent = new VectorParameter(values).toPostgres();
        expect(decodeVector(sent.toString("base64"))).toEqual(values);
        expect(new VectorParameter(Float32Array.from(values)).toPostgres().equals(sent)).toBe(true);
      }),
    );
  });

  test("may have as many dimensions as pgvector stores", () => {
    const values = Array.from({ length: 16_000 }, (_, i) => i);
    expect(decodeVector(new VectorParameter(values).toPostgres().toString("base64"))).toEqual(values);
  });

  test("has a text form", () => {
    expect(new VectorParameter([1, 0.5, 1e-7]).toText()).toBe("[1,0.5,1e-7]");
    expect(new VectorArrayParameter([[1], Float32Array.of(2)], 9).toText()).toBe('{"[1]","[2]"}');
  });
});

describe("an array", () => {
  const header = (dimensions: number, oid: number, length: number): string =>
    [dimensions, 0, oid, length, 1].map((value) => value.toString(16).padStart(8, "0")).join("");

  test("of nothing has no dimensions", () => {
    const empty = "00000000".repeat(2).concat("00000019");
    expect(new TextArrayParameter([]).toPostgres().toString("hex")).toBe(empty);
    expect(new TextArrayParameter([]).toText()).toBe("{}");
  });

  test("starts with one dimension, no nulls and the type of its elements", () => {
    const vectors = new VectorArrayParameter([[1], [2]], 70_000).toPostgres().toString("hex");
    expect(vectors).toBe(`${header(1, 70_000, 2)}00000008000100003f800000000000080001000040000000`);
    const bytes = new BytesArrayParameter([Uint8Array.of(0, 255), Uint8Array.of()]).toPostgres().toString("hex");
    expect(bytes).toBe(`${header(1, 17, 2)}0000000200ff00000000`);
  });

  test("of strings counts bytes of UTF-8", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 10 }), (texts) => {
        const buffer = new TextArrayParameter(texts).toPostgres();
        const found: string[] = [];
        for (let at = 20; at < buffer.length;) {
          const length = buffer.readInt32BE(at);
          found.push(buffer.toString("utf8", at + 4, at + 4 + length));
          at += 4 + length;
        }
        expect(found).toEqual(texts);
      }),
    );
  });

  test("has a text form in which quotes and backslashes are escaped", () => {
    expect(new TextArrayParameter(['say "hi"', "back\\slash", "a,b", "", "NULL"]).toText()).toBe(
      '{"say \\"hi\\"","back\\\\slash","a,b","","NULL"}',
    );
    expect(new BytesArrayParameter([Uint8Array.of(1, 255)]).toText()).toBe('{"\\\\x01ff"}');
  });
});

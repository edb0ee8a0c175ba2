import fc from "fast-check";
import { SparseVector as TheirVector } from "pgvector";
import { describe, expect, it } from "vitest";
import { decodeSparse, SparseVectorArrayParameter, SparseVectorParameter } from "../../src/db/sparse-codec.js";
import { SparseSlab } from "../../src/db/sparse-slab.js";
import { denseTogether, mix, toSparse } from "../../src/db/sparse-vector.js";
import { DimensionMismatchError, InvalidVectorError } from "../../src/index.js";
import { checkVector } from "../../src/store/vectors.js";
import { toDense } from "../helpers/sparse-vectors.js";

const sparse = { dimensions: 6, indices: [4, 0, 2], values: [0.1, -2, 0] };
const stored = { dimensions: 6, indices: [0, 4], values: [-2, Math.fround(0.1)] };

const anySparse = fc
  .integer({ min: 1, max: 1_000_000_000 })
  .chain((dimensions) =>
    fc.record({
      dimensions: fc.constant(dimensions),
      elements: fc.uniqueArray(
        fc.tuple(
          fc.integer({ min: 0, max: dimensions - 1 }),
          fc.float({ noNaN: true, noDefaultInfinity: true }).filter((value) => value !== 0),
        ),
        { maxLength: 50, selector: ([index]) => index },
      ),
    }),
  )
  .map(({ dimensions, elements }) => ({
    dimensions,
    indices: elements.map(([index]) => index),
    values: elements.map(([, value]) => value),
  }));

describe("toSparse", () => {
  it("sorts, drops zeros and rounds to float32", () => {
    expect(toSparse(sparse)).toEqual(stored);
  });

  it("takes an array, and what the npm package pgvector makes", () => {
    expect(toSparse([-2, 0, 0, 0, 0.1, -0])).toEqual(stored);
    expect(toSparse(Float32Array.from([-2, 0, 0, 0, 0.1, 1e-46]))).toEqual(stored);
    expect(
      toSparse(
        new TheirVector(
          new Map([
            [4, 0.1],
            [0, -2],
          ]),
          6,
        ),
      ),
    ).toEqual(stored);
    expect(toSparse(new TheirVector({ 4: 0.1, 0: -2 }, 6))).toEqual(stored);
  });
});

describe("the codec", () => {
  it("is read back as it was written", () => {
    fc.assert(
      fc.property(anySparse, (vector) => {
        const sent = new SparseVectorParameter(vector).toPostgres();
        expect(decodeSparse(sent.toString("base64"))).toEqual(toSparse(vector));
      }),
    );
  });

  it("counts from 1 in text", () => {
    expect(new SparseVectorParameter([0, 0.5, 0, -1e-45]).toText()).toBe("{2:0.5,4:-1.401298464324817e-45}/4");
    expect(new SparseVectorArrayParameter([[0], [1, 2]], 1).toText()).toBe('{"{}/1","{1:1,2:2}/2"}');
  });

  it("keeps the vectors of a batch by slot", () => {
    const slab = new SparseSlab();
    slab.put(1, sparse);
    slab.put(0, undefined);
    expect([slab.has(0), slab.has(1), slab.has(2)]).toEqual([false, true, false]);
    expect(slab.get(1)).toEqual(stored);
    const buffer = Buffer.alloc(40);
    expect(slab.copy(1, buffer, 5)).toBe(5 + slab.bytesOf(1));
    expect(buffer.readInt32BE(5)).toBe(slab.bytesOf(1) - 4);
  });
});

describe("denseTogether", () => {
  it("keeps inner products, whatever the number of dimensions", () => {
    const vectors = [
      { dimensions: 1_000_000_000, indices: [999_999_999, 3], values: [2, 1] },
      { dimensions: 1_000_000_000, indices: [3, 7], values: [4, 5] },
    ];
    const [a, b] = denseTogether(vectors);
    expect(a).toHaveLength(3);
    expect(a!.reduce((sum, value, i) => sum + value * b![i]!, 0)).toBe(4);
    expect(a!.reduce((sum, value) => sum + value ** 2, 0)).toBe(5);
  });

  it("leaves arrays as they are", () => {
    expect(denseTogether([[1, 0], Float32Array.from([0, 2])])).toEqual([
      [1, 0],
      [0, 2],
    ]);
  });
});

describe("mix", () => {
  it("gives the same in both notations", () => {
    const [first, second] = [
      [1, 0, 3, 0],
      [0, 0, 1, 2],
    ] as const;
    const mixed = mix(toSparse(first), toSparse(second), 0.5);
    const dense = mix(first, second, 0.5) as number[];
    expect(toDense(toSparse(mixed))).toEqual(dense.map(Math.fround));
  });
});

describe("checkVector", () => {
  const check = (vector: unknown, dimensions = 6, metric: "cosine" | "euclidean" = "cosine"): void =>
    checkVector(vector as number[], { dimensions, storageType: "sparsevec" }, metric, () => "It");
  const many = (count: number, dimensions = 100_000) => ({
    dimensions,
    indices: Array.from({ length: count }, (_, i) => i),
    values: Array.from({ length: count }, () => 1),
  });

  it("accepts either notation", () => {
    check(sparse);
    check([1, 0, 0, 0, 0, 0]);
    check({ dimensions: 6, indices: [], values: [] }, 6, "euclidean");
    check(many(16_000), 100_000);
  });

  it.each([
    ["another number of dimensions", { ...sparse, dimensions: 7 }, "It has 7 dimensions, the embedding column has 6."],
    ["an array of another length", [1, 2], "It has 2 dimensions, the embedding column has 6."],
  ])("refuses %s", (_, vector, message) => {
    expect(() => check(vector)).toThrow(DimensionMismatchError);
    expect(() => check(vector)).toThrow(message);
  });

  it.each([
    [
      "an index beyond the dimensions",
      { ...sparse, indices: [6, 0, 1] },
      "the index 6 at position 0; indices are whole numbers from 0 to 5",
    ],
    ["a negative index", { ...sparse, indices: [0, -1, 1] }, "the index -1 at position 1"],
    ["a fraction as index", { ...sparse, indices: [0, 1.5, 1] }, "the index 1.5"],
    ["what is no index", { ...sparse, indices: ["0", 1, 2] }, "the index 0 at position 0"],
    ["an index that comes twice", { ...sparse, indices: [1, 1, 2] }, "the index 1 twice"],
    ["NaN", { ...sparse, values: [1, Number.NaN, 1] }, "holds NaN at index 0"],
    ["what overflows float32", { ...sparse, values: [1, 1e39, 1] }, "holds 1e+39 at index 0"],
    ["lists of two lengths", { ...sparse, values: [1] }, "3 numbers as `indices` and 1 numbers as `values`"],
    ["missing values", { dimensions: 6, indices: [] }, "0 numbers as `indices` and undefined as `values`"],
    ["an empty text of pgvector's", new TheirVector("{}/6", undefined), "the index NaN"],
    ["a vector of zeros under cosine distance", { ...sparse, values: [0, 0, 0] }, "all zeros"],
    ["a number that is none", ["1", 0, 0, 0, 0, 0], "holds 1 at position 0"],
    ["null", null, "It is null"],
  ])("refuses %s", (_, vector, message) => {
    expect(() => check(vector)).toThrow(InvalidVectorError);
    expect(() => check(vector)).toThrow(message);
  });

  it("refuses more values than a sparse vector can have, in either notation", () => {
    const message = "has 16,001 values that are not zero, a sparse vector can have 16,000. Keep the 16,000 largest.";
    expect(() => check(many(16_001), 100_000)).toThrow(message);
    expect(() => check(toDense(many(16_001)), 100_000)).toThrow(message);
  });

  it("refuses a sparse vector for another column", () => {
    for (const storageType of ["vector", "halfvec"] as const) {
      expect(() => checkVector(sparse, { dimensions: 6, storageType }, "cosine", () => "It")).toThrow(
        `It is a sparse vector, the embedding column is of type ${storageType}. Give an array of numbers`,
      );
    }
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigurationError, DimensionMismatchError, InvalidVectorError } from "../../src/errors.js";
import { checkMetric, METRIC_NAMES, operatorClass, operatorText, similarityOf } from "../../src/store/metric.js";
import { checkVector } from "../../src/store/vectors.js";

describe("a metric", () => {
  test("has one operator and one operator class for each type", () => {
    const table = METRIC_NAMES.map((metric) => [
      metric,
      operatorText(metric, undefined),
      operatorClass(metric, { storageType: "vector" }, "public"),
      operatorClass(metric, { storageType: "halfvec" }, 'x"'),
    ]);
    expect(table).toEqual([
      ["cosine", "<=>", '"public"."vector_cosine_ops"', '"x"""."halfvec_cosine_ops"'],
      ["euclidean", "<->", '"public"."vector_l2_ops"', '"x"""."halfvec_l2_ops"'],
      ["innerProduct", "<#>", '"public"."vector_ip_ops"', '"x"""."halfvec_ip_ops"'],
    ]);
    expect(operatorText("cosine", "my ext")).toBe('operator("my ext".<=>)');
  });

  test.each(["manhattan", "", "toString", "__proto__", null, 1])("is not %j", (name) => {
    expect(() => checkMetric(name)).toThrow(ConfigurationError);
  });

  test("turns smaller distances into larger similarities", () => {
    const distance = fc.double({ min: 0, max: 2, noNaN: true });
    for (const metric of METRIC_NAMES) {
      fc.assert(
        fc.property(distance, distance, (a, b) => {
          if (a < b) expect(similarityOf(a, metric)).toBeGreaterThanOrEqual(similarityOf(b, metric));
        }),
      );
    }
    expect([0, 1, 2].map((d) => similarityOf(d, "cosine"))).toEqual([1, 0.5, 0]);
    expect([0, 1, 3].map((d) => similarityOf(d, "euclidean"))).toEqual([1, 0.5, 0.25]);
    expect([-3, 0.5].map((d) => similarityOf(d, "innerProduct"))).toEqual([3, -0.5]);
  });
});

describe("a vector", () => {
  const label = (): string => "Vector 7";
  const check = (vector: ArrayLike<number>, metric: (typeof METRIC_NAMES)[number] = "cosine", half = false): void =>
    checkVector(vector, { dimensions: 2, storageType: half ? "halfvec" : "vector" }, metric, label);

  test("of finite numbers with a direction passes, typed arrays too", () => {
    const vectors = [[1, 0], [1e-15, 1e15], Float32Array.of(0, 1), new Float64Array([0, -1])];
    for (const vector of vectors) expect(() => check(vector)).not.toThrow();
    expect(() => check([65_504, 1e-7], "cosine", true)).not.toThrow();
  });

  test.each<[number[]]>([[[0, -0]], [[1e-30, 0]], [[1e-300, 1e-300]], [[1e20, 0]]])(
    "without a direction in float32 is refused under cosine alone: %j",
    (vector) => {
      expect(() => check(vector)).toThrow(/Vector 7 is .* no direction/);
      check(vector, "euclidean");
      check(vector, "innerProduct");
    },
  );

  test("is refused with the place and the value", () => {
    expect(() => check([1, Number.NaN], "euclidean")).toThrow(/Vector 7 holds NaN at position 1/);
    expect(() => check([1, 3.41e38], "euclidean")).toThrow(/3.41e\+38 at position 1.*float32/);
    expect(() => check([1, 65_520], "euclidean", true)).toThrow(/65520 at position 1.*float16/);
    expect(() => check([1, "2" as never])).toThrow(InvalidVectorError);
    expect(() => check([1, 2, 3])).toThrow(DimensionMismatchError);
    expect(() => check(null as never)).toThrow(/Vector 7 is null/);
  });
});

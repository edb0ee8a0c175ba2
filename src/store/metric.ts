import sql, { raw, type Sql } from "sql-template-tag";
import { quoteIdentifier } from "../db/identifiers.js";
import { ConfigurationError } from "../errors.js";
import type { Metric, ModelVersion, Quantization, StorageType } from "../schema/layout.js";

/** pgvector's operator for each metric, and the operator class an index needs for that operator to use it. */
const METRICS = {
  cosine: { operator: "<=>", opclass: "cosine_ops" },
  euclidean: { operator: "<->", opclass: "l2_ops" },
  innerProduct: { operator: "<#>", opclass: "ip_ops" },
} as const satisfies Record<Metric, { operator: string; opclass: string }>;

export const METRIC_NAMES = Object.keys(METRICS) as Metric[];

/** @throws ConfigurationError for anything but a known metric. */
export function checkMetric(metric: unknown): Metric {
  if (typeof metric === "string" && Object.hasOwn(METRICS, metric)) return metric as Metric;
  throw new ConfigurationError(
    `distanceStrategy ${JSON.stringify(metric)} is unknown; use ${METRIC_NAMES.map((name) => `"${name}"`).join(", ")}.`,
  );
}

/** The distance operator as SQL text, qualified with the schema that pgvector lives in when it is known. */
export function operatorText(metric: Metric, extensionSchema: string | undefined): string {
  const { operator } = METRICS[metric];
  return extensionSchema === undefined ? operator : `operator(${quoteIdentifier(extensionSchema)}.${operator})`;
}

export function distanceOperator(metric: Metric, extensionSchema: string | undefined): Sql {
  return raw(operatorText(metric, extensionSchema));
}

/** The operator class of an HNSW or IVFFlat index, such as `"public"."vector_cosine_ops"`. */
export function operatorClass(
  metric: Metric,
  { storageType, quantization }: Pick<ModelVersion, "storageType" | "quantization">,
  extensionSchema: string,
): string {
  return `${quoteIdentifier(extensionSchema)}.${quoteIdentifier(operatorClassName(metric, storageType, quantization))}`;
}

/** Such as `vector_cosine_ops`; an index of signs is compared by how many of them differ, whatever the metric. */
export function operatorClassName(metric: Metric, storageType: StorageType, quantization?: Quantization): string {
  return quantization === "binary" ? "bit_hamming_ops" : `${storageType}_${METRICS[metric].opclass}`;
}

/** The signs of a vector as an expression; what an index of them holds and what searches have to order by. */
export function signsOf(vector: Sql, dimensions: number, extensionSchema: string): Sql {
  return sql`(${raw(quoteIdentifier(extensionSchema))}.binary_quantize(${vector})::bit(${raw(String(dimensions))}))`;
}

export function hammingOperator(extensionSchema: string): Sql {
  return raw(`operator(${quoteIdentifier(extensionSchema)}.<~>)`);
}

/** The metric that an operator class is for; `undefined` when it is none for vectors of that type. */
export function metricOfOperatorClass(name: string, storageType: StorageType): Metric | undefined {
  return METRIC_NAMES.find((metric) => operatorClassName(metric, storageType) === name);
}

/**
 * Turns a distance (lower is better) into a similarity (higher is better), with the formulas of the base class:
 * cosine `(2 - d) / 2` in 0..1, euclidean `1 / (1 + d)` in 0..1, inner product `-d`, which is the inner product itself
 * (pgvector's operator returns it negated) and in 0..1 only for normalised, non-negative vectors.
 */
export function similarityOf(distance: number, metric: Metric): number {
  switch (metric) {
    case "cosine":
      return (2 - distance) / 2;
    case "euclidean":
      return 1 / (1 + distance);
    case "innerProduct":
      return -distance;
  }
}

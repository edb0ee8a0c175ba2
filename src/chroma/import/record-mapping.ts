import { ConfigurationError, IngestError } from "../../errors.js";
import { checkMetric } from "../../store/metric.js";
import type { SourceRecord } from "./source.js";

/** Where in a record its parts are: keys, or dotted paths where no key is literally so called. */
export interface RecordMapping {
  readonly id: string;
  readonly vector: string;
  /** May lie inside the metadata, where it stays as well. Without it records have no documents. */
  readonly document?: string;
  /** An object, or the JSON text of one. Without it records have no metadata. */
  readonly metadata?: string;
  readonly uri?: string;
  /** Where the name of a record's collection is, such as a namespace. */
  readonly collection?: string;
  /** The name of the one collection, or of records whose own is missing or empty. @defaultValue `"default"` */
  readonly name?: string;
  /** @defaultValue `"cosine"`; that of a vector index where the source is a table */
  readonly metric?: "cosine" | "euclidean" | "innerProduct";
}

const KEYS = ["id", "vector", "document", "metadata", "uri", "collection", "name", "metric"];

/** @throws ConfigurationError naming what is missing, unknown or no text. */
export function checkMapping(mapping: unknown): RecordMapping {
  const given: Record<string, unknown> =
    typeof mapping === "object" && mapping !== null ? (mapping as Record<string, unknown>) : {};
  for (const [key, value] of Object.entries(given)) {
    if (!KEYS.includes(key))
      throw new ConfigurationError(`The mapping has the unknown key ${JSON.stringify(key)}; use ${KEYS.join(", ")}.`);
    if (typeof value !== "string" || value === "") {
      throw new ConfigurationError(`The mapping's ${key} must be a non-empty string, got ${JSON.stringify(value)}.`);
    }
  }
  for (const key of ["id", "vector"]) {
    if (given[key] === undefined)
      throw new ConfigurationError(`The mapping says no ${key}; write { "${key}": "..." }.`);
  }
  if (given["metric"] !== undefined) checkMetric(given["metric"]);
  return given as unknown as RecordMapping;
}

/** A record of the source, and the collection that it belongs to. */
export interface MappedRecord {
  readonly name: string;
  readonly record: SourceRecord;
}

/**
 * @param place of the record, such as `Line 3`, for errors.
 * @throws IngestError naming the place and the part that does not fit.
 */
export function mapRecord(source: unknown, mapping: RecordMapping, place: string): MappedRecord {
  const part = (key: keyof RecordMapping, fits: (value: unknown) => boolean): unknown => {
    const path = mapping[key];
    const value = path === undefined ? undefined : valueAt(source, path);
    if (value === undefined || value === null) return null;
    if (fits(value)) return value;
    const shown = JSON.stringify(value).slice(0, 60);
    throw new IngestError(`${place}: ${key} at ${JSON.stringify(path)} is no ${key}: ${shown}.`);
  };
  const id = part("id", (value) => isText(value) || Number.isSafeInteger(value)) as string | number | null;
  if (id === null) throw new IngestError(`${place} has no id at ${JSON.stringify(mapping.id)}.`);
  return {
    name: (part("collection", isText) as string | null) || (mapping.name ?? "default"),
    record: {
      id: String(id),
      vector: part("vector", Array.isArray) as number[] | null,
      document: part("document", isText) as string | null,
      metadata: toObject(part("metadata", (value) => toObject(value) !== undefined)) ?? null,
      uri: part("uri", isText) as string | null,
    },
  };
}

function valueAt(record: unknown, path: string): unknown {
  return step(record, path) ?? path.split(".").reduce(step, record);
}

function step(value: unknown, key: string): unknown {
  const object = toObject(value);
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

/** An object, given as one or, in formats without nested values, as JSON text. */
function toObject(value: unknown): Record<string, unknown> | undefined {
  if (isText(value)) {
    if (!value.trimStart().startsWith("{")) return undefined;
    try {
      return toObject(JSON.parse(value));
    } catch {
      return undefined;
    }
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return value as Record<string, unknown>;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

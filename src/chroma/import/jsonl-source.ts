import { open, stat } from "node:fs/promises";
import { ConfigurationError, IngestError } from "../../errors.js";
import { checkMetric } from "../../store/metric.js";
import type { KnownIds, RecordSource, SourceCollection, SourceRecord } from "./source.js";

/** Where in a record its parts are: keys, or dotted paths where no key is literally so called. */
export interface RecordMapping {
  readonly id: string;
  readonly vector: string;
  /** May lie inside the metadata, where it stays as well. Without it records have no documents. */
  readonly document?: string;
  /** An object. Without it records have no metadata. */
  readonly metadata?: string;
  readonly uri?: string;
  /** Where the name of a record's collection is, such as a namespace. */
  readonly collection?: string;
  /** The name of the one collection, or of records whose own is missing or empty. @defaultValue `"default"` */
  readonly name?: string;
  /** @defaultValue `"cosine"` */
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

/** Lines of JSON, one record each, such as the exports of other vector stores. Read once to plan, and once or twice for each collection. */
export function jsonlSource(path: string, mapping: RecordMapping): RecordSource {
  return {
    label: path,
    collections: async (names) => {
      const found = await survey(path, mapping);
      const missing = names?.find((name) => !found.has(name));
      if (missing !== undefined) throw new ConfigurationError(`${path} has no collection ${JSON.stringify(missing)}.`);
      return (names ?? [...found.keys()].toSorted()).map((name) =>
        sourceCollection(path, mapping, name, found.get(name)!),
      );
    },
  };
}

interface Surveyed {
  count: number;
  dimensions: number;
  fingerprint: string;
}

async function survey(path: string, mapping: RecordMapping): Promise<Map<string, Surveyed>> {
  const { size, mtimeMs } = await stat(path).catch((cause: Error) => {
    throw new ConfigurationError(`${path} cannot be read: ${cause.message}.`, { cause });
  });
  const found = new Map<string, Surveyed>();
  const fingerprint = JSON.stringify([size, mtimeMs, mapping]);
  for await (const { name, record } of records(path, mapping)) {
    const known = found.get(name);
    if (known === undefined) found.set(name, { count: 1, dimensions: record.vector?.length ?? 0, fingerprint });
    else known.count += 1;
  }
  return found;
}

function sourceCollection(path: string, mapping: RecordMapping, name: string, facts: Surveyed): SourceCollection {
  return {
    name,
    dimensions: facts.dimensions || undefined,
    metric: mapping.metric ?? "cosine",
    provider: undefined,
    model: undefined,
    metadata: {},
    fingerprint: facts.fingerprint,
    count: () => Promise.resolve(facts.count),
    pages: (rows, known) => readPages(path, mapping, name, rows, known),
  };
}

async function* readPages(
  path: string,
  mapping: RecordMapping,
  collection: string,
  rows: number,
  known: KnownIds | undefined,
): AsyncGenerator<SourceRecord[], void> {
  let page: SourceRecord[] = [];
  const unknown = async (): Promise<SourceRecord[]> => {
    if (known === undefined || page.length === 0) return page;
    const stored = await known(page.map(({ id }) => id));
    return page.filter(({ id }) => !stored.has(id));
  };
  for await (const { name, record } of records(path, mapping)) {
    if (name !== collection) continue;
    page.push(record);
    if (page.length < rows) continue;
    const wanted = await unknown();
    if (wanted.length > 0) yield wanted;
    page = [];
  }
  const wanted = await unknown();
  if (wanted.length > 0) yield wanted;
}

async function* records(
  path: string,
  mapping: RecordMapping,
): AsyncGenerator<{ name: string; record: SourceRecord }, void> {
  const file = await open(path);
  let number = 0;
  try {
    for await (const line of file.readLines()) {
      number += 1;
      if (line.trim() !== "") yield toRecord(parseLine(line, number), mapping, number);
    }
  } finally {
    await file.close();
  }
}

function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new IngestError(`Line ${number} is no JSON: ${String(cause)}`, number - 1, { cause });
  }
}

function toRecord(line: unknown, mapping: RecordMapping, number: number): { name: string; record: SourceRecord } {
  const part = (key: keyof RecordMapping, fits: (value: unknown) => boolean): unknown => {
    const path = mapping[key];
    const value = path === undefined ? undefined : valueAt(line, path);
    if (value === undefined || value === null) return null;
    if (fits(value)) return value;
    throw new IngestError(
      `Line ${number}: ${key} at ${JSON.stringify(path)} is no ${key}: ${JSON.stringify(value).slice(0, 60)}.`,
      number - 1,
    );
  };
  const id = part("id", (value) => isText(value) || Number.isSafeInteger(value)) as string | number | null;
  if (id === null) throw new IngestError(`Line ${number} has no id at ${JSON.stringify(mapping.id)}.`, number - 1);
  return {
    name: (part("collection", isText) as string | null) || (mapping.name ?? "default"),
    record: {
      id: String(id),
      vector: part("vector", Array.isArray) as number[] | null,
      document: part("document", isText) as string | null,
      metadata: part("metadata", isObject) as Record<string, unknown> | null,
      uri: part("uri", isText) as string | null,
    },
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function valueAt(record: unknown, path: string): unknown {
  return step(record, path) ?? path.split(".").reduce(step, record);
}

function step(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

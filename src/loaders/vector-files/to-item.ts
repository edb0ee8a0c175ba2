import { Document } from "@langchain/core/documents";
import { isSparse, type SparseVector } from "../../db/sparse-vector.js";
import { IngestError } from "../../errors.js";
import type { BulkLoadItem } from "../../store/bulk-load/options.js";

/** Which fields of a record hold what. */
export interface FieldNames {
  readonly id: string;
  readonly content: string;
  readonly metadata: string;
  readonly embedding: string;
}

export const DEFAULT_FIELDS: FieldNames = { id: "id", content: "text", metadata: "metadata", embedding: "embedding" };

/**
 * A record of a file as something to load. Fields that have no place of their own are its metadata, unless it has a
 * metadata field. A record that cannot be read becomes the error that says why.
 *
 * @param place such as `line 3`, for errors.
 */
export function toItem(record: unknown, names: FieldNames, place: string): BulkLoadItem {
  try {
    return convert(record, names);
  } catch (error) {
    return new IngestError(`${place}: ${(error as Error).message}`);
  }
}

function convert(record: unknown, names: FieldNames): BulkLoadItem {
  if (typeof record !== "object" || record === null || Array.isArray(record)) throw new Error("is not an object.");
  const fields = record as Record<string, unknown>;
  const content = fields[names.content];
  if (typeof content !== "string") throw new Error(missing(fields, names.content, "content", content));
  const given = fields[names.id];
  const id = typeof given === "number" || typeof given === "bigint" ? String(given) : given;
  if (id !== undefined && id !== null && typeof id !== "string") throw new Error(`the field "${names.id}" is no id.`);
  return {
    document: new Document({
      ...(typeof id === "string" && { id }),
      pageContent: content,
      metadata: metadataOf(fields, names),
    }),
    embedding: vectorOf(fields, names),
  };
}

function vectorOf(fields: Record<string, unknown>, { embedding }: FieldNames): number[] | Float32Array | SparseVector {
  const given = typeof fields[embedding] === "string" ? parse(fields[embedding], embedding) : fields[embedding];
  if (given instanceof Float32Array) return given;
  if (given instanceof Float64Array) return Array.from(given);
  if (Array.isArray(given)) return given as number[];
  if (isSparse(given)) return given;
  throw new Error(missing(fields, embedding, "embedding", given));
}

function metadataOf(fields: Record<string, unknown>, names: FieldNames): Record<string, unknown> {
  const given = fields[names.metadata];
  if (given === undefined) {
    const own = new Set<string>([names.id, names.content, names.embedding]);
    return Object.fromEntries(Object.entries(fields).filter(([name]) => !own.has(name)));
  }
  const value = typeof given === "string" ? (given === "" ? {} : parse(given, names.metadata)) : (given ?? {});
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`the field "${names.metadata}" is not a JSON object.`);
}

function parse(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`the field "${field}" is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function missing(fields: Record<string, unknown>, name: string, role: string, value: unknown): string {
  if (name in fields) return `the field "${name}" is ${value === null ? "null" : typeof value}, which is no ${role}.`;
  const have = Object.keys(fields).join(", ");
  return `there is no field "${name}" for the ${role} (it has ${have || "none"}). Name it: --fields ${role}=<field>.`;
}

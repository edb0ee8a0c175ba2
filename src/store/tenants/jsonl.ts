import type { SparseVector } from "../../db/sparse-vector.js";
import { IngestError } from "../../errors.js";
import type { ExportedChunk, ExportRecord } from "./export-record.js";

/**
 * One record as a line of JSON, without its line end. Bytes are base64; a vector is its float32 numbers, little-endian, and
 * a sparse one an object.
 */
export function toJsonLine(record: ExportRecord): string {
  if (record.type !== "chunk") return JSON.stringify(record);
  const { contentHash, embedding, ...rest } = record;
  return JSON.stringify({
    ...rest,
    contentHash: Buffer.from(contentHash).toString("base64"),
    embedding: embedding instanceof Float32Array ? vectorToBase64(embedding) : embedding,
  });
}

/**
 * The records of an export from its lines.
 *
 * @throws IngestError naming the line that is none.
 */
export async function* fromJsonLines(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<ExportRecord> {
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.trim() === "") continue;
    yield parseLine(line, number);
  }
}

function parseLine(line: string, number: number): ExportRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new IngestError(`Line ${number} of the export is not JSON; the file is damaged or cut off.`, undefined, {
      cause,
    });
  }
  const record = value as Record<string, unknown> | null;
  const fields = FIELDS[record?.["type"] as ExportRecord["type"]] as Fields | undefined;
  const wrong =
    fields === undefined
      ? "type"
      : Object.keys(fields).find((field) => !fields[field]!.includes(kindOf(record![field])));
  if (wrong !== undefined) {
    throw new IngestError(
      `Line ${number} of the export is no record of one: its field "${wrong}" is missing or wrong.`,
    );
  }
  return record!["type"] === "chunk" ? toChunk(record as unknown as ChunkLine) : (record as unknown as ExportRecord);
}

type Fields = Readonly<Record<string, readonly string[]>>;

const FIELDS: Record<ExportRecord["type"], Fields> = {
  header: { format: ["string"], tenantId: ["string"], store: ["string"], model: ["object"] },
  collection: { name: ["string"], uuid: ["string"], metadata: ["string", "null"] },
  source: {
    collection: ["string"],
    source: ["string"],
    hash: ["string", "null"],
    settings: ["string"],
    chunkIds: ["object"],
  },
  message: { session: ["string"], number: ["number"], message: ["string"], createdAt: ["string"] },
  chunk: {
    collection: ["string"],
    id: ["string"],
    content: ["string"],
    metadata: ["string"],
    contentHash: ["string"],
    createdAt: ["string"],
    embedding: ["string", "object", "null"],
  },
  end: { chunks: ["number"] },
};

function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

interface ChunkLine extends Omit<ExportedChunk, "contentHash" | "embedding"> {
  contentHash: string;
  embedding: string | SparseVector | null;
}

function toChunk({ contentHash, embedding, ...rest }: ChunkLine): ExportedChunk {
  return {
    ...rest,
    contentHash: new Uint8Array(Buffer.from(contentHash, "base64")),
    embedding: typeof embedding === "string" ? vectorFromBase64(embedding) : embedding,
  };
}

function vectorToBase64(vector: Float32Array): string {
  const buffer = Buffer.allocUnsafe(4 * vector.length);
  vector.forEach((value, i) => buffer.writeFloatLE(value, 4 * i));
  return buffer.toString("base64");
}

function vectorFromBase64(text: string): Float32Array {
  const buffer = Buffer.from(text, "base64");
  return Float32Array.from({ length: Math.floor(buffer.length / 4) }, (_, i) => buffer.readFloatLE(4 * i));
}

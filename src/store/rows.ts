import { hash, randomUUID } from "node:crypto";
import type { DocumentInterface } from "@langchain/core/documents";
import { IngestError } from "../errors.js";

/** One row of the table of chunks, ready to be written. */
export interface ChunkRow {
  readonly id: string;
  readonly content: string;
  /** Metadata as JSON text. */
  readonly metadata: string;
  /** SHA-256 of the stored content's UTF-8 bytes. */
  readonly contentHash: Uint8Array;
}

/**
 * Turns documents into rows without changing them. An id comes from `ids`, else from the document, else it is a new
 * UUID. NUL characters, which Postgres cannot store, are removed from content and metadata as the base class does with
 * content; lone surrogates become U+FFFD.
 *
 * @throws IngestError naming the document when ids do not match, repeat, or cannot be ids, or when content or metadata
 * cannot be stored.
 */
export function toChunkRows(documents: readonly DocumentInterface[], ids?: readonly string[]): ChunkRow[] {
  if (ids !== undefined && ids.length !== documents.length) {
    throw new IngestError(
      `${ids.length} ids were given for ${documents.length} documents; give one for each, or none to have them made.`,
    );
  }
  const positions = new Map<string, number>();
  return documents.map((document, index) => {
    const row = toChunkRow(document, index, ids?.[index]);
    const { id } = row;
    const earlier = positions.get(id);
    if (earlier !== undefined) {
      throw new IngestError(
        `Documents ${earlier} and ${index} both have the id ${JSON.stringify(id)}; an id may occur once in a call.`,
        index,
      );
    }
    positions.set(id, index);
    return row;
  });
}

/** One document as a row; see {@link toChunkRows}. @param index names it in errors. */
export function toChunkRow(document: DocumentInterface, index: number, id?: string): ChunkRow {
  return {
    id: checkId(id ?? document.id ?? randomUUID(), index),
    ...toContent(document, index),
    metadata: toMetadata(document, index),
  };
}

/** An entry of a btree, in which an id stands beside its tenant and collection, has room for 2,704 bytes. */
const MAX_ID_BYTES = 2_000;

/** @throws IngestError when the value cannot be an id. */
export function checkId(id: unknown, index?: number): string {
  const where = index === undefined ? "" : ` of document ${index}`;
  if (typeof id !== "string" || id === "") {
    throw new IngestError(`The id${where} must be a non-empty string, got ${describe(id)}.`, index);
  }
  if (id.includes("\0") || !id.isWellFormed()) {
    throw new IngestError(
      `The id ${JSON.stringify(id)}${where} holds a NUL or half of a surrogate pair, which Postgres cannot store.`,
      index,
    );
  }
  if (Buffer.byteLength(id) > MAX_ID_BYTES) {
    throw new IngestError(
      `The id ${JSON.stringify(`${id.slice(0, 40)}...`)}${where} has ${Buffer.byteLength(id)} bytes in UTF-8; ` +
        `${MAX_ID_BYTES} fit into the primary key. Use a hash of it.`,
      index,
    );
  }
  return id;
}

function toContent(document: DocumentInterface, index: number): Pick<ChunkRow, "content" | "contentHash"> {
  if (typeof document.pageContent !== "string") {
    throw new IngestError(
      `pageContent of document ${index} is ${describe(document.pageContent)}, not a string.`,
      index,
    );
  }
  const content = document.pageContent.toWellFormed().replaceAll("\0", "");
  return { content, contentHash: hashContent(content) };
}

/** SHA-256 of the UTF-8 bytes of a content as it is stored. */
export function hashContent(content: string): Uint8Array {
  return hash("sha256", content, "buffer");
}

function toMetadata(document: DocumentInterface, index: number): string {
  const metadata: unknown = document.metadata ?? {};
  if (typeof metadata !== "object" || Array.isArray(metadata)) {
    throw new IngestError(`metadata of document ${index} is ${describe(metadata)}, not an object.`, index);
  }
  let json: unknown;
  try {
    json = JSON.stringify(metadata);
  } catch (cause) {
    throw new IngestError(`metadata of document ${index} cannot be written as JSON: ${String(cause)}`, index, {
      cause,
    });
  }
  if (typeof json !== "string" || !json.startsWith("{")) {
    throw new IngestError(
      `metadata of document ${index} is written as JSON as ${describe(json)}, not an object.`,
      index,
    );
  }
  // JSON.stringify escapes NUL and lone surrogates, both of which jsonb refuses. The look-behind keeps an escaped
  // backslash followed by the letters u0000 as it is.
  return json
    .replace(/(?<!\\)((?:\\\\)*)\\u0000/g, "$1")
    .replace(/(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}/g, "$1\ufffd");
}

function describe(value: unknown): string {
  if (value === "") return "an empty string";
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}

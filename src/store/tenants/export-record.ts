import type { SparseVector } from "../../db/sparse-vector.js";
import type { Metric, StorageType } from "../../schema/layout.js";

/** The embedding model whose vectors an export holds. */
export interface ExportedModel {
  readonly provider: string | null;
  readonly model: string | null;
  readonly dimensions: number;
  readonly metric: Metric;
  readonly storageType: StorageType;
}

/** The first record of an export. */
export interface ExportHeader {
  readonly type: "header";
  readonly format: typeof EXPORT_FORMAT;
  readonly tenantId: string;
  readonly store: string;
  readonly model: ExportedModel;
}

export interface ExportedCollection {
  readonly type: "collection";
  readonly name: string;
  readonly uuid: string;
  /** JSON as text, or null. */
  readonly metadata: string | null;
}

/** Something that was ingested, and which chunks came of it. */
export interface ExportedSource {
  readonly type: "source";
  readonly collection: string;
  readonly source: string;
  /** SHA-256 of its bytes in hexadecimal; null while it is being written. */
  readonly hash: string | null;
  readonly settings: string;
  readonly chunkIds: readonly string[];
}

/** One chunk, exactly as it is stored. */
export interface ExportedChunk {
  readonly type: "chunk";
  readonly collection: string;
  readonly id: string;
  /** As stored: with a content cipher, encrypted. */
  readonly content: string;
  /** JSON as text, since a number may be more than a JavaScript number can hold. */
  readonly metadata: string;
  readonly contentHash: Uint8Array;
  /** ISO 8601 in UTC with microseconds. */
  readonly createdAt: string;
  /** Of the `dimensions` of the header; null while the chunk waits for its vector. */
  readonly embedding: Float32Array | SparseVector | null;
}

/** One message of a conversation, exactly as it is stored. */
export interface ExportedMessage {
  readonly type: "message";
  readonly session: string;
  /** Place in the conversation, from 1. */
  readonly number: number;
  /** JSON as text; with a content cipher, of an encrypted text. */
  readonly message: string;
  /** ISO 8601 in UTC with microseconds. */
  readonly createdAt: string;
}

/** The last record: an export without it was cut off. */
export interface ExportEnd {
  readonly type: "end";
  readonly chunks: number;
}

export type ExportRecord =
  ExportHeader | ExportedCollection | ExportedMessage | ExportedSource | ExportedChunk | ExportEnd;

export const EXPORT_FORMAT = "langchain-pgvector/tenant/1";

import sql, { raw, type Sql } from "sql-template-tag";
import { decodeVector, VectorArrayParameter, VectorParameter } from "../db/codec.js";
import type { BinaryParameter } from "../db/pool.js";
import { quoteIdentifier, quoteQualified } from "../db/identifiers.js";
import { decodeSparse, SparseVectorArrayParameter, SparseVectorParameter } from "../db/sparse-codec.js";
import { isSparse, type SparseVector, type VectorInput } from "../db/sparse-vector.js";
import type { ModelVersion, StorageType } from "../schema/layout.js";
import type { OpenStore } from "./open.js";

type Column = Pick<ModelVersion, "storageType">;

/** The type in which vectors travel to a column: float16 is made of float32 by the server. */
export function sentType({ storageType }: Column): Exclude<StorageType, "halfvec"> {
  return storageType === "sparsevec" ? "sparsevec" : "vector";
}

/** A vector, checked against its column, as an expression of the column's type. */
export function vectorParameter(store: OpenStore, vector: VectorInput, column: Column = store.model): Sql {
  return asEmbedding(store, sql`${vectorValue(vector, column)}`, column);
}

/** The same as a value, for a statement that casts it by {@link asEmbedding}. */
export function vectorValue(vector: VectorInput, column: Column): BinaryParameter {
  return sentType(column) === "sparsevec"
    ? new SparseVectorParameter(vector)
    : new VectorParameter(vector as ArrayLike<number>);
}

/** Vectors, checked against their column, as an array whose elements {@link asEmbedding} turns into the column's type. */
export function vectorsParameter(store: OpenStore, vectors: readonly VectorInput[], column: Column): Sql {
  const { oid, sparseOid } = store.server.vector;
  const parameter =
    sentType(column) === "sparsevec"
      ? new SparseVectorArrayParameter(vectors, sparseOid)
      : new VectorArrayParameter(vectors as readonly ArrayLike<number>[], oid);
  return sql`${parameter}::${raw(typeName(store, sentType(column)))}[]`;
}

/** A vector parameter as an expression of the embedding column's type. */
export function asEmbedding(store: OpenStore, vector: Sql, column: Column = store.model): Sql {
  const sent = sql`${vector}::${raw(typeName(store, sentType(column)))}`;
  return column.storageType === "halfvec" ? sql`${sent}::${raw(typeName(store, "halfvec"))}` : sent;
}

/** The embedding in pgvector's binary form, as base64: half the bytes of its text form and no numbers to parse. */
export function embeddingAsText(store: OpenStore): Sql {
  const type = sentType(store.model);
  const send = raw(`${quoteIdentifier(store.server.vector.schema)}.${type}_send`);
  return sql`encode(${send}(${store.columns.embedding}::${raw(typeName(store, type))}), 'base64')`;
}

/** A vector as {@link embeddingAsText} sends it, in the notation of its column. */
export function readEmbedding(base64: string, column: Column): number[] | SparseVector {
  return column.storageType === "sparsevec" ? decodeSparse(base64) : decodeVector(base64);
}

/** A stored vector as hits and rows carry it. */
export interface Embedded {
  /** `length === dimensions`. */
  embedding?: number[];
  /** Instead of `embedding` where the store has storageType `"sparsevec"`. */
  sparseEmbedding?: SparseVector;
}

/** A vector as {@link embeddingAsText} sends it, under the name that its notation has. */
export function toEmbedded(base64: string | null | undefined, column: Column): Embedded {
  if (base64 === null || base64 === undefined) return {};
  const vector = readEmbedding(base64, column);
  return isSparse(vector) ? { sparseEmbedding: vector } : { embedding: vector };
}

/** The vector that a hit or a row carries, in either notation. */
export function embeddedVector({ embedding, sparseEmbedding }: Embedded): number[] | SparseVector | undefined {
  return embedding ?? sparseEmbedding;
}

function typeName(store: OpenStore, type: StorageType): string {
  return quoteQualified(store.server.vector.schema, type);
}

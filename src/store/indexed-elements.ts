import sql, { empty } from "sql-template-tag";
import { identifier } from "../db/identifiers.js";
import type { VectorInput } from "../db/sparse-vector.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import { IndexBuildError } from "../errors.js";
import { FIXED_COLUMNS, type RegisteredModel } from "../schema/layout.js";
import { readingVersion, type OpenStore } from "./open.js";
import { checkElementCount, countElements } from "./sparse-check.js";
import { MAX_ELEMENTS, MAX_INDEXED_ELEMENTS } from "./storage.js";
import { findVectorIndexes } from "./table-facts.js";

/** Values other than zero that a version's vectors may have: fewer where an HNSW index would refuse the row. One statement. */
export async function mostElements(store: OpenStore, version: RegisteredModel): Promise<number> {
  if (version.storageType !== "sparsevec") return Number.POSITIVE_INFINITY;
  const indexes = await findVectorIndexes(readingVersion(store, version), "primary");
  return indexes.length === 0 ? MAX_ELEMENTS : MAX_INDEXED_ELEMENTS;
}

/** @throws InvalidVectorError for a vector with more values than {@link mostElements}. */
export function checkMostElements(vector: VectorInput, most: number, label: () => string): void {
  if (most > MAX_INDEXED_ELEMENTS) return;
  checkElementCount(
    countElements(vector),
    most,
    "the HNSW index on the column takes",
    label,
    ", or drop the index (langchain-pgvector indexes drop) and search exactly",
  );
}

/** Checks vectors against the index on their column, which is looked up only when one of them has many values. */
export async function checkIndexedElements(
  store: OpenStore,
  version: RegisteredModel,
  vectors: readonly VectorInput[],
  label: (index: number) => string,
): Promise<void> {
  if (version.storageType !== "sparsevec") return;
  const place = vectors.findIndex((vector) => countElements(vector) > MAX_INDEXED_ELEMENTS);
  if (place < 0) return;
  checkMostElements(vectors[place]!, await mostElements(store, version), () => label(place));
}

/** Bytes of the largest stored vector that an HNSW index takes; one of another value has eight more. */
const MAX_INDEXED_BYTES = 16 + 8 * MAX_INDEXED_ELEMENTS;

/**
 * Looks for stored rows that would make the build of an index fail at its end. Reads the rows that the role sees, without
 * their vectors.
 *
 * @throws IndexBuildError naming the first of them.
 */
export async function checkStoredElements(store: OpenStore, name: string, tenant: string | undefined): Promise<void> {
  if (store.model.storageType !== "sparsevec") return;
  const { id, embedding } = store.columns;
  const own = tenant === undefined ? empty : sql`and ${identifier(FIXED_COLUMNS.tenant)} = ${tenant}::text`;
  const { rows } = await store.database.execute({
    name: "large-sparse-vectors",
    sql: sql`
      select ${id} as id from ${store.table}
      where pg_column_size(${embedding}) > ${MAX_INDEXED_BYTES}::int4 ${own} limit 1`,
  });
  if (rows[0] !== undefined) throw tooManyElements(name, rows[0]["id"] as string);
}

/** Whether a build failed because a sparse vector has too many values. */
export function isTooManyElements({ model }: OpenStore, error: unknown): boolean {
  return (
    model.storageType === "sparsevec" &&
    error instanceof IndexBuildError &&
    sqlstateOf(error.cause) === SQLSTATE.programLimitExceeded
  );
}

export function tooManyElements(name: string, id: string | undefined, cause?: unknown): IndexBuildError {
  const row = id === undefined ? "a vector of the table has" : `the vector of the row ${JSON.stringify(id)} has`;
  return new IndexBuildError(
    `The index ${JSON.stringify(name)} was not built: ${row} more than ${MAX_INDEXED_ELEMENTS.toLocaleString("en")} values ` +
      "that are not zero, which an HNSW index cannot take. Store its largest alone, or search without an index.",
    { cause },
  );
}

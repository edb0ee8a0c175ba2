import { IngestError } from "../errors.js";
import { encryptRows } from "./content-cipher.js";
import type { ScopedStore } from "./open.js";
import type { ChunkRow } from "./rows.js";
import { upsertChunks } from "./upsert.js";
import { checkVector } from "./vectors.js";

/**
 * Checks vectors, encrypts contents where there is a cipher, and stores rows in one transaction.
 *
 * @returns the ids, in the order of the rows.
 * @throws DimensionMismatchError, InvalidVectorError before anything is written.
 */
export async function addRows(
  store: ScopedStore,
  rows: readonly ChunkRow[],
  vectors: readonly ArrayLike<number>[],
): Promise<string[]> {
  checkVectorCount(vectors.length, rows.length);
  const embedded = rows.map((row, index) => {
    const vector = vectors[index]!;
    const label = (): string => `Vector ${index} (id ${JSON.stringify(row.id)})`;
    checkVector(vector, store.model, store.options.metric, label);
    return { ...row, vector };
  });
  await upsertChunks(store, await encryptRows(store.options.contentCipher, store.tenant, embedded));
  return rows.map((row) => row.id);
}

/** @throws IngestError unless there is one vector for each document. */
export function checkVectorCount(vectors: number, documents: number): void {
  if (vectors === documents) return;
  throw new IngestError(`${vectors} vectors came for ${documents} documents; there must be one for each.`);
}

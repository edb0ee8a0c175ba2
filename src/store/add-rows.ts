import type { VectorInput } from "../db/sparse-vector.js";
import { encryptRows } from "./content-cipher.js";
import type { ScopedStore } from "./open.js";
import type { ChunkRow } from "./rows.js";
import { upsertChunks } from "./upsert.js";
import { checkVectorCount, vectorsFor } from "./versions/vectors-for.js";

/**
 * Embeds rows for every model version that is written to, unless their vectors are given, checks the vectors, encrypts
 * contents where there is a cipher, and stores all in one transaction.
 *
 * @param given vectors of the store's main embedder.
 * @returns the ids, in the order of the rows.
 * @throws DimensionMismatchError, InvalidVectorError before anything is written.
 */
export async function addRows(
  store: ScopedStore,
  rows: readonly ChunkRow[],
  given?: readonly VectorInput[],
): Promise<string[]> {
  if (given !== undefined) checkVectorCount(given.length, rows.length);
  const supplied = await vectorsFor(store, rows, given);
  const embedded = rows.map((row, index) => ({ ...row, vectors: supplied.map(({ vectors }) => vectors[index]!) }));
  const encrypted = await encryptRows(store.options.contentCipher, store.tenant, embedded);
  await upsertChunks(
    store,
    encrypted,
    supplied.map(({ version }) => version),
  );
  return rows.map((row) => row.id);
}

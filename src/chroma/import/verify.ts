import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import sql from "sql-template-tag";
import { decodeVector } from "../../db/codec.js";
import { SparseVectorParameter } from "../../db/sparse-codec.js";
import { float16Bits } from "../../db/float16.js";
import { IngestError } from "../../errors.js";
import { decryptContents } from "../../store/content-cipher.js";
import type { ScopedStore } from "../../store/open.js";
import { embeddingAsText } from "../../store/embedding-column.js";
import { denseSearch } from "../../store/search.js";
import type { ResolvedImport } from "./options.js";
import { Findings, prepareRecords, type PreparedRow } from "./prepare.js";
import { readAhead, type SourceCollection } from "./source.js";
import { countRows, lookUp, replaceStaged } from "./stage.js";

/** What comparing a collection with its source gave. */
export interface Verification {
  /** Records that were read again and compared: id, document, metadata and every bit of the vector. */
  readonly compared: number;
  /** Those of them that had changed at the source since they were copied, and were copied again. */
  readonly changed: number;
  /** Sum over all records of a hash of id and vector as the column keeps it, in hexadecimal; the same on both sides. */
  readonly vectorChecksum: string;
  /** Searches that were run on both sides. */
  readonly queries: number;
  /** Mean share of the source's ten nearest that are among ours; 1 when the source's index is exact. */
  readonly overlap: number | undefined;
}

const OVERLAP_AT = 10;
/** Bytes before the numbers in pgvector's binary form. */
const VECTOR_HEADER = 4;

/**
 * Reads the source once more and compares every record with its staged row.
 *
 * @throws IngestError when both sides do not end up with the same records.
 */
export async function verifyCollection(
  source: SourceCollection,
  staged: ScopedStore,
  options: ResolvedImport,
  onProgress: (done: number) => void,
): Promise<Verification> {
  const ours = new Checksum();
  const theirs = new Checksum();
  const queries: (readonly number[])[] = [];
  let compared = 0;
  let changed = 0;
  const total = (await source.count()) ?? 0;
  const every = Math.max(1, Math.floor(total / Math.max(1, options.sampleQueries)));
  for await (const records of readAhead(source.pages(options.pageRows))) {
    options.args.signal?.throwIfAborted();
    const rows = prepareRecords(records, source.name, staged, options, new Findings());
    const stored = await storedRows(staged, rows);
    const bits = new Map(rows.map((row) => [row.id, storedBits(row.vector, staged)]));
    const same = (row: PreparedRow): boolean => isSame(row, bits.get(row.id)!, stored.get(row.id));
    const different = rows.filter((row) => !same(row));
    if (different.length > 0) {
      changed += different.length;
      await replaceStaged(staged, different);
      for (const [id, row] of await storedRows(staged, different)) stored.set(id, row);
      const still = different.find((row) => !same(row));
      if (still !== undefined) throw unequal(source.name, still.id);
    }
    for (const row of rows) {
      theirs.add(row.id, bits.get(row.id)!);
      ours.add(row.id, stored.get(row.id)!.vector);
      if (compared % every === 0 && queries.length < options.sampleQueries) queries.push(row.vector);
      compared += 1;
    }
    onProgress(compared);
  }
  const count = await countRows(staged, options.args.signal);
  if (count !== compared || ours.value !== theirs.value) throw changing(source.name, compared, count);
  const overlap = await meanOverlap(source, staged, queries);
  return {
    compared,
    changed,
    vectorChecksum: theirs.value,
    queries: overlap === undefined ? 0 : queries.length,
    overlap,
  };
}

interface StoredRow {
  readonly id: string;
  readonly content: string;
  readonly metadata: unknown;
  readonly vector: Uint8Array;
}

async function storedRows(store: ScopedStore, rows: readonly PreparedRow[]): Promise<Map<string, StoredRow>> {
  const { id, content, metadata } = store.columns;
  const columns = sql`${id} as id, ${content} as content, ${metadata} as metadata, ${embeddingAsText(store)} as vector`;
  const ids = rows.map((row) => row.id);
  const found = (await lookUp(store, ids, columns)) as unknown as (Omit<StoredRow, "vector"> & { vector: string })[];
  const contents = await decryptContents(store.options.contentCipher, store.tenant, found);
  return new Map(
    found.map(({ vector, ...row }, index) => [
      row.id,
      { ...row, content: contents[index]!, vector: sentBits(vector, store) },
    ]),
  );
}

function isSame(row: PreparedRow, vector: Uint8Array, stored: StoredRow | undefined): boolean {
  return (
    stored !== undefined &&
    stored.content === row.content &&
    isDeepStrictEqual(stored.metadata, JSON.parse(row.metadata)) &&
    Buffer.compare(stored.vector, vector) === 0
  );
}

/** A vector as its column keeps it, bit for bit. */
function storedBits(vector: readonly number[], { model }: ScopedStore): Uint8Array {
  if (model.storageType === "sparsevec") return new SparseVectorParameter(vector).toPostgres();
  const numbers = model.storageType === "halfvec" ? Uint16Array.from(vector, float16Bits) : new Float32Array(vector);
  return new Uint8Array(numbers.buffer);
}

/** The same of a vector as {@link embeddingAsText} sends it. */
function sentBits(base64: string, store: ScopedStore): Uint8Array {
  if (store.model.storageType === "halfvec") return storedBits(decodeVector(base64), store);
  const sent = Buffer.from(base64, "base64");
  return store.model.storageType === "sparsevec" ? sent : sent.subarray(VECTOR_HEADER).swap32();
}

async function meanOverlap(
  source: SourceCollection,
  staged: ScopedStore,
  queries: readonly (readonly number[])[],
): Promise<number | undefined> {
  if (source.nearest === undefined || queries.length === 0) return undefined;
  let sum = 0;
  for (const [index, wanted] of (await source.nearest(queries, OVERLAP_AT)).entries()) {
    const hits = await denseSearch(staged, {
      vector: queries[index]!,
      k: OVERLAP_AT,
      filter: undefined,
      includeEmbeddings: false,
      efSearch: staged.options.efSearch,
      probes: staged.options.probes,
      timeoutMs: undefined,
      signal: undefined,
    });
    const found = new Set(hits.map((hit) => hit.document.id!));
    sum += wanted.length === 0 ? 1 : wanted.filter((id) => found.has(id)).length / wanted.length;
  }
  return sum / queries.length;
}

/** A sum that does not depend on the order of the records. */
class Checksum {
  #sum = 0n;

  add(id: string, vector: Uint8Array): void {
    const hash = createHash("sha256").update(id).update("\0").update(vector).digest();
    this.#sum = BigInt.asUintN(64, this.#sum + hash.readBigUInt64BE());
  }

  get value(): string {
    return this.#sum.toString(16).padStart(16, "0");
  }
}

function unequal(collection: string, id: string): IngestError {
  return new IngestError(
    `Record ${JSON.stringify(id)} of the collection ${JSON.stringify(collection)} is not the same after it was stored. ` +
      "Nothing of the collection is visible; please report this.",
  );
}

function changing(collection: string, compared: number, count: number): IngestError {
  return new IngestError(
    `The collection ${JSON.stringify(collection)} gave ${compared} records when it was read again and ${count} were copied: ` +
      "it was written to meanwhile, or holds an id twice. Nothing of it is visible. Stop the writers, and run the import " +
      "again with restart.",
  );
}

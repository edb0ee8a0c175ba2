import { CopyBuffers, type CopyRow } from "../../db/copy-encoder.js";
import { SparseSlab } from "../../db/sparse-slab.js";
import { VectorSlab, type Slab } from "../../db/vector-slab.js";
import type { ModelVersion } from "../../schema/layout.js";
import { sentType } from "../embedding-column.js";
import type { ReadyRow } from "./embed-groups.js";
import type { BulkLoadResult } from "./options.js";

/** A row of a batch; its vectors are in the batch's slabs. */
export interface BatchRow extends CopyRow {
  /** Position in the source, from 0. */
  readonly row: number;
  readonly ownId: boolean;
  readonly sourceHash: Uint8Array;
}

/** In what form a batch keeps vectors. */
export type KeptType = Pick<ModelVersion, "dimensions" | "storageType">;

/** The form of a version's vectors: that of its column, except on the path that sends arrays. */
export function keptType({ dimensions, storageType }: KeptType, path: BulkLoadResult["path"]): KeptType {
  return { dimensions, storageType: path === "arrays" ? sentType({ storageType }) : storageType };
}

/** Rows of one transaction. Used again for later ones, so that a load does not take new memory for each. */
export class Batch {
  /** One for each model version that the load writes. */
  readonly slabs: readonly Slab[];
  readonly buffers = new CopyBuffers();
  readonly #capacity: number;
  readonly #maxLooseBytes: number;
  readonly #rowBytes: number;
  #rows = new Map<string, BatchRow>();
  #free: number[] = [];
  #next = 0;
  /** Of texts, and of vectors that differ in length. */
  #looseBytes = 0;
  /** Rows taken, those included that a later one of the same id has replaced. */
  taken = 0;
  /** Rows of the source that have been dealt with once this batch is stored. */
  end = 0;
  /** The row that was taken last. */
  last: BatchRow | undefined;

  constructor(capacity: number, maxLooseBytes: number, types: readonly KeptType[]) {
    this.slabs = types.map(({ dimensions, storageType }) =>
      storageType === "sparsevec" ? new SparseSlab() : new VectorSlab(capacity, dimensions, storageType),
    );
    this.#rowBytes = this.slabs.reduce((sum, { stride }) => sum + stride, 0);
    this.#capacity = capacity;
    this.#maxLooseBytes = maxLooseBytes;
  }

  get full(): boolean {
    return this.#rows.size >= this.#capacity || this.#looseBytes >= this.#maxLooseBytes;
  }

  /** Rows to be written: one for each id. */
  get size(): number {
    return this.#rows.size;
  }

  /** Bytes of texts and vectors. */
  get bytes(): number {
    return this.#looseBytes + this.#rows.size * this.#rowBytes;
  }

  /** Takes a row, in place of an earlier one of the same id: one statement cannot write a row twice. */
  add({ id, content, metadata, contentHash, row, ownId, sourceHash, vectors }: ReadyRow): void {
    const earlier = this.#rows.get(id);
    if (earlier !== undefined) {
      this.#free.push(earlier.slot);
      this.#looseBytes -= this.#bytesOf(earlier);
    }
    const slot = this.#free.pop() ?? this.#next++;
    const made = { id, content, metadata, contentHash, slot, row, ownId, sourceHash };
    this.slabs.forEach((slab, index) => slab.put(slot, vectors[index]));
    this.#rows.set(id, made);
    this.#looseBytes += this.#bytesOf(made);
    this.taken += 1;
    this.last = made;
    this.end = row + 1;
  }

  /** In the order of their ids, in which all writers take their locks. */
  sorted(): BatchRow[] {
    return [...this.#rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  clear(): void {
    this.#rows = new Map();
    this.#free = [];
    this.#next = 0;
    this.#looseBytes = 0;
    this.taken = 0;
    this.end = 0;
    this.last = undefined;
  }

  /** As if all texts were ASCII, which is near enough for a limit. */
  #bytesOf({ id, content, metadata, contentHash, slot }: BatchRow): number {
    const texts = id.length + content.length + metadata.length + contentHash.length;
    return this.slabs.reduce((sum, slab) => sum + (slab.stride === 0 ? slab.bytesOf(slot) : 0), texts);
  }
}

import { Batch, keptType } from "../../store/bulk-load/batch.js";
import { BatchWriter } from "../../store/bulk-load/batch-writer.js";
import { chooseWriter } from "../../store/bulk-load/choose-writer.js";
import { Rejects } from "../../store/bulk-load/rejects.js";
import { encryptRows } from "../../store/content-cipher.js";
import type { ScopedStore } from "../../store/open.js";
import type { PreparedRow } from "./prepare.js";
import { withoutCollections } from "./stage.js";

/** Bytes of texts in one transaction; a page of larger records is written in several. */
const MAX_TEXT_BYTES = 8 * 2 ** 20;

/**
 * Writes pages of an import as a bulk load writes its batches: by COPY where the role and row-level security allow it. A
 * crash of the server may cost the last pages, which the next run then misses and reads again.
 */
export class PageWriter {
  readonly #store: ScopedStore;
  readonly #writer: BatchWriter;
  readonly #batch: Batch;
  #row = 0;

  private constructor(store: ScopedStore, writer: BatchWriter, batch: Batch) {
    this.#store = store;
    this.#writer = writer;
    this.#batch = batch;
  }

  static async open(staged: ScopedStore, pageRows: number, signal: AbortSignal | undefined): Promise<PageWriter> {
    const store = withoutCollections(staged);
    const { reading, readingVectors } = store.models;
    // The vectors that come are of one model; a version beside it is for its backfill.
    const version = readingVectors ?? reading;
    const writer = await chooseWriter(store, [version], signal);
    return new PageWriter(
      store,
      new BatchWriter(store, [version], writer, new Rejects("fail", undefined), recordNothing, signal),
      new Batch(pageRows, MAX_TEXT_BYTES, [keptType(version, writer.path)]),
    );
  }

  /** Stores a page, in one transaction unless its records are heavy. A row whose id is there already replaces it. */
  async write(rows: readonly PreparedRow[]): Promise<void> {
    const { options, tenant } = this.#store;
    for (const row of await encryptRows(options.contentCipher, tenant, rows)) {
      this.#batch.add({ ...row, row: this.#row, ownId: true, sourceHash: row.contentHash, vectors: [row.vector] });
      this.#row += 1;
      if (this.#batch.full) await this.#send();
    }
    await this.#send();
  }

  async #send(): Promise<void> {
    if (this.#batch.size > 0) await this.#writer.write(this.#batch);
    this.#batch.clear();
  }
}

/** What is staged is its own record of how far the import is. */
function recordNothing(): Promise<void> {
  return Promise.resolve();
}

import type { ScopedStore } from "../open.js";
import { compactWhereNeeded } from "./compact.js";

/** Rows after which a look at the index is worth its round trip. */
const ROWS_BETWEEN_LOOKS = 64;
/** Collections that are remembered; a process that meets ever new tenants is to keep its size. */
const MAX_COLLECTIONS = 10_000;

/** Sees to it that what this process writes gets compacted, in the background, one collection at a time. */
export class LexicalKeeper {
  readonly #written = new Map<string, number>();
  #working: Promise<void> = Promise.resolve();

  /** To be called after rows have been written or deleted. */
  noteRows(store: ScopedStore, count: number): void {
    const { lexical, tenant, options, settings } = store;
    if (lexical === undefined || lexical.settings.building) return;
    const key = JSON.stringify([tenant, options.collection]);
    // The first write of a process looks, too: short-lived writers would never come to a second look.
    const written = (this.#written.get(key) ?? ROWS_BETWEEN_LOOKS) + count;
    if (this.#written.size >= MAX_COLLECTIONS) this.#written.clear();
    this.#written.set(key, written < ROWS_BETWEEN_LOOKS ? written : 0);
    if (written < ROWS_BETWEEN_LOOKS) return;
    const place = { tenant, collection: options.collection, settings };
    this.#working = this.#working
      .then(() => compactWhereNeeded(store, lexical, place))
      .catch((error: unknown) => {
        // The rows are stored and searchable; a later write tries again.
        options.logger.info(`langchain-pgvector: the lexical index was not compacted: ${String(error)}`);
      });
  }

  /** Settles when nothing is being compacted. */
  async idle(): Promise<void> {
    await this.#working;
  }
}

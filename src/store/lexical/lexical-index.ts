import type { OpenStore, ScopedStore } from "../open.js";
import { buildLexical, type BuildLexicalOptions } from "./build.js";
import { compactLexical, type CompactOptions, type CompactedLexical } from "./compact.js";
import { lexicalState, type LexicalIndexState } from "./state.js";
import { missingLexical, requireLexical } from "./search.js";

/** What can be asked of a store's lexical index. */
export class LexicalIndex {
  readonly #open: () => Promise<OpenStore>;
  readonly #scoped: () => Promise<ScopedStore>;

  constructor(open: () => Promise<OpenStore>, scoped: () => Promise<ScopedStore>) {
    this.#open = open;
    this.#scoped = scoped;
  }

  /** How much of the tenant's collection is indexed, and how well. */
  async state(): Promise<LexicalIndexState> {
    const store = await this.#scoped();
    return lexicalState(store, requireLexical(store));
  }

  /**
   * Rewrites the tenant's collection without what is gone, into few large segments; scores are then those of an index built
   * afresh. Writers and readers go on meanwhile. Does nothing while another process is at it.
   */
  async compact(options: CompactOptions = {}): Promise<CompactedLexical> {
    const store = await this.#scoped();
    const { tenant, settings, keeper } = store;
    await keeper.idle();
    return compactLexical(
      store,
      requireLexical(store),
      { tenant, collection: store.options.collection, settings },
      options,
    );
  }

  /**
   * Indexes the rows that were there before the index, for all tenants, and then opens it to searches; does nothing to one
   * that is complete. For the role that owns the tables; `langchain-pgvector init --lexical` calls it.
   *
   * @returns how many chunks this call indexed.
   */
  async build(options: BuildLexicalOptions = {}): Promise<number> {
    const store = await this.#open();
    if (store.lexical === undefined) throw missingLexical(store);
    return buildLexical(store, store.lexical, options);
  }
}

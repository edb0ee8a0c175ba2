import { orAbort } from "../db/abort.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import type { VectorInput } from "../db/sparse-vector.js";
import { asksCollection, withCollectionMetric } from "./collection-metric.js";
import { refreshModels, scopeTo, type OpenStore, type ScopedStore } from "./open.js";
import { isStale } from "./versions/fence.js";
import { ProcessBeat } from "./versions/process-beat.js";
import { readerFor, readingFor } from "./versions/reader.js";

/** How often the models may change under one call. */
const MAX_CHANGES = 20;
/** Tenants whose scopes are kept ready. */
const MAX_SCOPES = 1_000;

/** What one call is for. */
export interface CallScope {
  readonly tenant: string;
  /** Decides which model version is read. */
  readonly query?: string | VectorInput;
  readonly signal?: AbortSignal | undefined;
}

/** One opened store, shared by its views, and kept up with what changes in the database. */
export class StoreHandle {
  readonly #beat = new ProcessBeat();
  #opening: Promise<OpenStore> | undefined;
  /** What {@link #opening} has come to. */
  #opened: OpenStore | undefined;
  /** That of {@link #opened} for each tenant; making one is a good part of a search's work. */
  readonly #scopes = new Map<string, ScopedStore>();

  /** @param start opens the store; a failure is not remembered, so that the next call tries again. */
  constructor(private readonly start: () => Promise<OpenStore>) {}

  get opened(): boolean {
    return this.#opening !== undefined;
  }

  open(start = this.start): Promise<OpenStore> {
    this.#opening ??= this.#remember(start());
    return this.#opening;
  }

  /** The store in the scope of one call. */
  async scoped({ tenant, query }: CallScope): Promise<ScopedStore> {
    for (let change = 0; ; change += 1) {
      const store = await this.open();
      try {
        return await withCollectionMetric(await readerFor(scopeTo(store, tenant), query));
      } catch (error) {
        if (!isStale(error) || change === MAX_CHANGES) throw error;
        await this.renew(store);
      }
    }
  }

  /** The same without a wait, where nothing has to be asked. */
  #scopedNow({ tenant, query }: CallScope): ScopedStore | undefined {
    const store = this.#opened;
    if (store === undefined || store.models.overrides || asksCollection(store)) return undefined;
    return readingFor(this.#scopeOf(store, tenant), undefined, query);
  }

  #scopeOf(store: OpenStore, tenant: string): ScopedStore {
    let scope = this.#scopes.get(tenant);
    if (scope === undefined) {
      if (this.#scopes.size === MAX_SCOPES) this.#scopes.clear();
      this.#scopes.set(tenant, (scope = scopeTo(store, tenant)));
    }
    return scope;
  }

  /**
   * Does `work`, again in a new epoch of the store's models, and once more if a column that it reads has gone since the
   * store was opened.
   */
  async run<T>(scope: CallScope, work: (store: ScopedStore) => Promise<T>): Promise<T> {
    let reopened = false;
    let primary = false;
    for (let change = 0; ; change += 1) {
      const found = this.#scopedNow(scope) ?? (await orAbort(this.scoped(scope), scope.signal));
      const store = primary ? { ...found, database: found.database.primary } : found;
      try {
        return await work(store);
      } catch (error) {
        const gone: boolean = sqlstateOf(error) === SQLSTATE.undefinedColumn && !reopened;
        if (!gone && (!isStale(error) || change === MAX_CHANGES)) throw error;
        reopened ||= gone;
        // A replica may be some epochs behind; the primary never is.
        primary = true;
        if (gone) this.#forget();
        else await this.renew(store);
      }
    }
  }

  /** Reads the models of a later epoch than that of `stale`, unless another call has done so. */
  async renew(stale: OpenStore): Promise<OpenStore> {
    const store = await this.open();
    if (store.models.epoch !== stale.models.epoch) return store;
    this.#opening = this.#remember(refreshModels(store));
    return this.#opening;
  }

  /** Reads the models anew, for work that must not begin with old ones. */
  async refresh(): Promise<OpenStore> {
    return this.renew(await this.open());
  }

  /** Waits for what goes on behind the calls. */
  async end(): Promise<void> {
    await this.#beat.end();
    await this.#opening?.then(
      ({ keeper }) => keeper.idle(),
      () => undefined,
    );
  }

  #follow(opening: Promise<OpenStore>, store: OpenStore): void {
    this.#beat.watch(store);
    if (this.#opening === opening) this.#opened = store;
  }

  #forget(): void {
    this.#opening = this.#opened = undefined;
    this.#scopes.clear();
  }

  #remember(opening: Promise<OpenStore>): Promise<OpenStore> {
    this.#forget();
    opening.then(
      (store) => this.#follow(opening, store),
      () => {
        if (this.#opening === opening) this.#opening = undefined;
      },
    );
    return opening;
  }
}

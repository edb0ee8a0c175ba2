import type { Metric } from "../schema/layout.js";
import type { StatementTemplate } from "../db/statement.js";
import { ExpiringCache } from "./expiring-cache.js";
import type { NearestValues } from "./search.js";

/** So many rows in one call may make another way of searching the cheaper one. */
const MANY_ROWS = 100;

/** A valid vector index that searches of the store can use. */
export interface VectorIndex {
  readonly schema: string;
  readonly name: string;
  readonly method: "hnsw" | "ivfflat";
  /** Oid of the table or partition that it is on. */
  readonly relation: number;
  /** Estimated from its size, which unlike statistics is never out of date. */
  readonly entries: number;
  /** Of a partial index, as Postgres prints it. */
  readonly predicate: string | null;
  /** Candidates with which it was measured to reach its recall; see `index-note.ts`. */
  readonly efSearch: number | undefined;
  /** Lists of an IVFFlat index, and how many of them were measured to be enough. */
  readonly lists: number | undefined;
  readonly probes: number | undefined;
}

/** How a collection compares vectors; without a metric, as its table does. */
export interface CollectionMetric {
  readonly metric: Metric | undefined;
}

/** The model version that a tenant reads instead of the active one, as of an epoch. */
interface Override {
  readonly epoch: number;
  readonly version: number | undefined;
}

/** What searches need to know of one tenant. */
export interface TenantFacts {
  readonly rows: number;
  /** Oid of the table or partition that holds the tenant's rows; `undefined` when it has none. */
  readonly relation: number | undefined;
}

/** An index is built or dropped seldom, but everyone's searches should soon know. */
const INDEX_LIFE_MS = 60_000;
/** Large writes of this process are noticed at once, the others by a search that takes long. */
const ROWS_LIFE_MS = 600_000;
/** An exact search that took longer than this may have met a tenant that is no longer small. */
const SLOW_MS = 50;
const SLOW_LIFE_MS = 30_000;

const MAX_TEMPLATES = 100;

/** What a store remembers about its indexes, its tenants' sizes and its filters, so that a search need not ask. */
export class SearchMemory {
  /** When searches next see whether an index is missing, in epoch milliseconds. */
  adviseAt = 0;
  readonly #indexes = new ExpiringCache<VectorIndex[]>(20, INDEX_LIFE_MS);
  readonly #metrics = new ExpiringCache<CollectionMetric | undefined>(10_000, ROWS_LIFE_MS);
  readonly #tenants = new ExpiringCache<TenantFacts>(10_000, ROWS_LIFE_MS);
  readonly #overrides = new ExpiringCache<Override>(10_000, ROWS_LIFE_MS);
  readonly #relations = new Map<string, string>();
  readonly #shares = new ExpiringCache<number>(2_000, ROWS_LIFE_MS);

  readonly #templates = new Map<string, StatementTemplate<NearestValues>>();

  /** The vector indexes that searches by a metric can use, on one column. */
  indexes(column: string, metric: Metric, ask: () => Promise<VectorIndex[]>): Promise<VectorIndex[]> {
    const key = `${metric} ${column}`;
    return this.#indexes.get(key, async () => {
      const indexes = await ask();
      const relations = indexes.map(({ relation }) => relation).toSorted((a, b) => a - b);
      // Partitions that come or go have taken rows of tenants with them.
      if ((this.#relations.get(key) ?? relations.join()) !== relations.join()) this.#tenants.clear();
      this.#relations.set(key, relations.join());
      return indexes;
    });
  }

  /** The same without a wait, when they are remembered. */
  peekIndexes(column: string, metric: Metric): VectorIndex[] | undefined {
    return this.#indexes.peek(`${metric} ${column}`);
  }

  /** What the collection of the store says about its metric, once there is such a collection. */
  async collectionMetric(
    tenant: string,
    ask: () => Promise<CollectionMetric | undefined>,
  ): Promise<CollectionMetric | undefined> {
    const found = await this.#metrics.get(tenant, ask);
    if (found === undefined) this.#metrics.delete(tenant);
    return found;
  }

  /** The model version that a tenant reads instead of the active one, in an epoch of the models. */
  async override(tenant: string, epoch: number, ask: () => Promise<number | undefined>): Promise<number | undefined> {
    const read = async (): Promise<Override> => ({ epoch, version: await ask() });
    const found = await this.#overrides.get(tenant, read);
    if (found.epoch === epoch) return found.version;
    this.#overrides.delete(tenant);
    return (await this.#overrides.get(tenant, read)).version;
  }

  tenant(tenant: string, ask: () => Promise<TenantFacts>): Promise<TenantFacts> {
    return this.#tenants.get(tenant, ask);
  }

  /** The same without a wait, when it is remembered. */
  peekTenant(tenant: string): TenantFacts | undefined {
    return this.#tenants.peek(tenant);
  }

  /** Share of a tenant's rows that a filter keeps, by a key that names both. */
  share(key: string, ask: () => Promise<number>): Promise<number> {
    return this.#shares.get(key, ask);
  }

  /** A statement for the nearest rows whose text was made before. */
  template(key: string, make: () => StatementTemplate<NearestValues>): StatementTemplate<NearestValues> {
    const known = this.#templates.get(key);
    if (known !== undefined) return known;
    // Those of earlier epochs go with the others.
    if (this.#templates.size === MAX_TEMPLATES) this.#templates.clear();
    const made = make();
    this.#templates.set(key, made);
    return made;
  }

  /** To be called with the time that an exact search took: what is remembered may be out of date. */
  noteTime(tenant: string, milliseconds: number): void {
    if (milliseconds > SLOW_MS) this.#tenants.expire(tenant, SLOW_LIFE_MS);
  }

  /**
   * To be called when rows of a tenant were written or deleted. A few change nothing about what is cheaper, and counting
   * anew after each of them would cost more than it tells.
   */
  noteRows(tenant: string, count: number): void {
    if (count >= MANY_ROWS) this.#tenants.delete(tenant);
  }

  /** To be called when a tenant's rows have changed partitions. */
  forgetPartitions(): void {
    this.#indexes.clear();
    this.#tenants.clear();
  }

  /** To be called when an index has been built or dropped. */
  forgetIndexes(): void {
    this.#indexes.clear();
  }
}

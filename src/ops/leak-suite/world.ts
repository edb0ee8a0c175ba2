import { AsyncLocalStorage } from "node:async_hooks";
import type { Pool } from "../../db/pool.js";
import type { PostgresVectorStoreArgs } from "../../store/options.js";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import type { LeakEmbeddings } from "./embeddings.js";
import type { Tally } from "./tally.js";
import { COLLECTIONS, type Collection, type LeakTenant } from "./tenants.js";

/** Quoted, qualified names of what the suite works on. */
export interface WorldTables {
  readonly chunks: string;
  readonly collections: string;
  /** A table of the user's own with a foreign key on the chunks. */
  readonly notes: string;
  readonly registry: string;
}

/** Everything that the operations of one run share. */
export class World {
  readonly #views = new Map<string, PostgresVectorStore>();
  readonly #busy = new Map<number, Promise<unknown>>();
  /** The tenant of the present call, for stores that ask a resolver: a request's context in a server. */
  readonly request = new AsyncLocalStorage<unknown>();

  constructor(
    readonly tenants: readonly LeakTenant[],
    readonly tally: Tally,
    readonly tables: WorldTables,
    readonly embeddings: LeakEmbeddings,
    /** One store for each collection, without a tenant. */
    readonly bases: Readonly<Record<Collection, PostgresVectorStore>>,
    /** The same with a resolver that reads {@link request}. */
    readonly resolvers: Readonly<Record<Collection, PostgresVectorStore>>,
    /** The store as its owner opens it, for the life cycle of tenants. */
    readonly admin: PostgresVectorStore,
    readonly facts: {
      readonly pool: Pool;
      readonly embedded: boolean;
      readonly poolSize: number;
      /** The role of the calls owns the tables, so DDL is its right and no attack. */
      readonly ownsTables: boolean;
      /** The connection's own role may administer the tenants. */
      readonly administers: boolean;
      readonly args: (collection: Collection) => PostgresVectorStoreArgs;
    },
  ) {}

  view(tenant: LeakTenant, collection: Collection): PostgresVectorStore {
    const key = `${collection}\0${tenant.id}`;
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const made = this.bases[collection].forTenant(tenant.id);
    this.#views.set(key, made);
    return made;
  }

  /** Lets one operation at a time work on a tenant, so that its model is exact; other tenants go on. */
  async alone<T>(tenant: LeakTenant, work: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(tenant.index) ?? Promise.resolve();
    const run = before.then(work, work);
    this.#busy.set(
      tenant.index,
      run.catch(() => undefined),
    );
    return run;
  }

  /** Every pair of a tenant and a collection. */
  *places(): Generator<[LeakTenant, Collection]> {
    for (const tenant of this.tenants) for (const collection of COLLECTIONS) yield [tenant, collection];
  }
}

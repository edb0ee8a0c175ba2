/** What a `pg` pool tells of itself; others tell nothing. */
interface CountedPool {
  readonly totalCount?: number;
  readonly idleCount?: number;
  readonly waitingCount?: number;
  readonly options?: { readonly max?: number | undefined };
}

/** A pool and what it is for. */
export interface NamedPool {
  /** `"primary"`, or that of a replica. */
  readonly name: string;
  readonly pool: object;
}

/** The connections of a pool at one moment. */
export interface PoolUse {
  readonly used: number;
  readonly idle: number;
  /** Most that it opens. */
  readonly max: number;
  /** Calls that wait for a connection. */
  readonly waiting: number;
}

/** The pools of one store. */
export interface PoolOwner {
  readonly store: string | undefined;
  readonly pools: readonly NamedPool[];
}

/** `undefined` for a pool that does not count, such as that of the embedded database. */
export function useOf(pool: object): PoolUse | undefined {
  const { totalCount, idleCount, waitingCount, options } = pool as CountedPool;
  if (totalCount === undefined || idleCount === undefined || waitingCount === undefined) return undefined;
  return { used: totalCount - idleCount, idle: idleCount, max: options?.max ?? 0, waiting: waitingCount };
}

// Weak, since a store that is dropped without an end must not stay in memory for being counted.
const owners = new Set<WeakRef<PoolOwner>>();
const dropped = new FinalizationRegistry<WeakRef<PoolOwner>>((owner) => owners.delete(owner));

/** Has the pools of an owner reported while it lives; ended ones too, or their last numbers would stay. */
export function reportPools(owner: PoolOwner): void {
  const reference = new WeakRef(owner);
  owners.add(reference);
  dropped.register(owner, reference);
}

/** Each pool once, under the store that came with it first. */
export function livePools(): { readonly store: string | undefined; readonly name: string; readonly use: PoolUse }[] {
  const seen = new Set<object>();
  return [...owners].flatMap((reference) => {
    const owner = reference.deref();
    return (owner?.pools ?? []).flatMap(({ name, pool }) => {
      const use = useOf(pool);
      if (use === undefined || seen.has(pool)) return [];
      seen.add(pool);
      return [{ store: owner!.store, name, use }];
    });
  });
}

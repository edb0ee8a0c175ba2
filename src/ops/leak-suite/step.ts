import { Document } from "@langchain/core/documents";
import type { QueryReply } from "../../db/pool.js";
import type { PostgresVectorStore } from "../../store/postgres-vector-store.js";
import type { Random } from "../random.js";
import type { Origin } from "./tally.js";
import { rowKey, rowOf, SHARED_IDS, type Collection, type LeakRow, type LeakTenant } from "./tenants.js";
import { readTenant, sameRow } from "./verify.js";
import type { World } from "./world.js";

/** How a call has to end: with a result, with an error, or with either (a cancellation that may come too late). */
export type Expectation = "result" | "refusal" | "either";

/**
 * One operation in progress: who acts, on whom, and the ways to call the store so that all that comes back is looked
 * through for other tenants' data.
 */
export class Step {
  constructor(
    readonly world: World,
    readonly origin: Origin,
    readonly random: Random,
    readonly tenant: LeakTenant,
    /** The tenant whose data is after; its ids are public, its rows are not. */
    readonly other: LeakTenant,
    readonly collection: Collection,
  ) {}

  /** Calls the store as the tenant, through a view or through the resolver of a request. */
  async call<T>(
    expected: Expectation,
    work: (store: PostgresVectorStore) => Promise<T> | T,
    tenant = this.tenant,
  ): Promise<T | undefined> {
    const { world, collection } = this;
    const run = this.random.chance(0.5)
      ? async () => work(world.view(tenant, collection))
      : () => world.request.run(tenant.id, async () => work(world.resolvers[collection]));
    return this.attempt(expected, run, tenant);
  }

  /** Runs anything in the name of a tenant (`undefined`: of one that owns nothing) and looks through what comes of it. */
  async attempt<T>(
    expected: Expectation,
    run: () => Promise<T> | T,
    tenant: LeakTenant | undefined = this.tenant,
  ): Promise<T | undefined> {
    const { tally } = this.world;
    let value: T;
    try {
      value = await run();
    } catch (error) {
      tally.error(this.origin, tenant?.index, error);
      if (expected === "result") tally.surprise(this.origin, error instanceof Error ? error.message : String(error));
      return undefined;
    }
    tally.result(this.origin, tenant?.index, value);
    if (expected === "refusal") tally.surprise(this.origin, "the call was not refused");
    return value;
  }

  /** A statement of the application's own, through `store.pool`. */
  async raw(
    expected: Expectation,
    text: string,
    values: readonly unknown[] = [],
    tenant = this.tenant,
  ): Promise<QueryReply | undefined> {
    const run = (store: PostgresVectorStore): Promise<QueryReply> =>
      (store.pool as unknown as RawPool).query(text, values);
    return this.call(expected, run, tenant);
  }

  /**
   * Calls the store to change rows of the tenant's own, and keeps the model in step. When the call fails, each row must
   * be as it was or as it was to become, which a look at the table decides.
   *
   * @param changes by id; `null` deletes.
   */
  async write<T>(
    expected: Expectation,
    changes: ReadonlyMap<string, LeakRow | null>,
    work: (store: PostgresVectorStore) => Promise<T>,
  ): Promise<T | undefined> {
    let done = false;
    const value = await this.call(expected, async (store) => {
      const result = await work(store);
      done = true;
      return result;
    });
    const stored = done ? undefined : await readTenant(this.world, this.tenant);
    for (const [id, wanted] of changes) {
      const key = rowKey(this.collection, id);
      if (stored !== undefined && !sameRow(stored.get(key), wanted ?? undefined)) continue;
      if (wanted === null) this.tenant.rows.delete(key);
      else this.tenant.rows.set(key, wanted);
    }
    return value;
  }

  /** Counts rows that a call has touched beyond those of the tenant itself. */
  touched(rows: number | null | undefined, allowed = 0): void {
    const beyond = (rows ?? 0) - allowed;
    if (beyond > 0) this.world.tally.crossWrite(this.origin, beyond, `${beyond} rows of others were written`);
  }

  /** Counts rows that a call has seen beyond those of the tenant itself. */
  saw(rows: number, allowed = 0): void {
    const beyond = rows - allowed;
    if (beyond > 0) this.world.tally.leak(this.origin, beyond, `${beyond} rows too many were counted`);
  }

  /** Some ids, mostly those that everybody uses. */
  ids(most = 4): string[] {
    const wanted = new Set<string>();
    const count = 1 + this.random.below(most);
    for (let n = 0; n < count; n += 1) {
      wanted.add(this.random.chance(0.8) ? this.random.pick(SHARED_IDS) : `own-${this.random.below(8)}`);
    }
    return [...wanted];
  }

  /** Ids of the tenant's rows in this collection that fit. */
  matching(fits: (row: LeakRow) => boolean): string[] {
    return [...this.tenant.rows]
      .filter(([key, row]) => key.startsWith(`${this.collection}\0`) && fits(row))
      .map(([key]) => key.split("\0")[1]!);
  }

  /** Fresh versions of rows with these ids. */
  rows(ids: readonly string[] = this.ids()): Map<string, LeakRow> {
    return new Map(ids.map((id) => [id, rowOf(this.tenant, id, this.random)]));
  }

  /** A text that is nearest to a row of the other tenant, as far as others could know its content. */
  bait(): string {
    return `tenant#${this.other.index} note ${this.random.pick(SHARED_IDS)}`;
  }
}

export function toDocuments(rows: ReadonlyMap<string, LeakRow>): Document[] {
  return [...rows].map(([id, { content, metadata }]) => new Document({ id, pageContent: content, metadata }));
}

interface RawPool {
  query(text: string, values?: readonly unknown[]): Promise<QueryReply>;
}

import sql, { empty, type Sql } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { identifier, qualified } from "../../db/identifiers.js";
import { backfillTables } from "../../schema/layout.js";
import type { ScopedStore } from "../../store/open.js";
import type { LiveVersion } from "../../store/versions/store-models.js";
import { tenantRows } from "../tenant-scopes.js";
import type { WaitingRow } from "./stride.js";

/** Pages of one table or partition, of one tenant's rows on which one worker fills the vectors. */
export interface Lease {
  /** In the schema of the store, as partitions are. */
  readonly relation: string;
  readonly firstPage: number;
  /** Not included; `undefined`: to the end of the table, wherever that is by then. */
  readonly endPage: number | undefined;
}

/** A worker that has not been heard of for so long has died, and its pages are another's. */
const LEASE_SECONDS = 60;
const TO_THE_END = "9223372036854775807";
/** A tenant with fewer rows is one lease. */
const SMALL_TENANT = 2_000;

/** What is leased, by whom, and how far that has come, as the database keeps it. */
export class Leases {
  readonly #table: Sql;

  constructor(
    private readonly version: LiveVersion,
    store: ScopedStore,
    private readonly worker: string,
  ) {
    this.#table = qualified(store.schema, backfillTables(store.options.layout)[0]);
  }

  /** Divides a tenant's pages, unless that was done. */
  async prepare(store: ScopedStore, pages: number): Promise<void> {
    const { rows } = await store.database.execute(
      {
        name: "backfill-places",
        sql: sql`
          select (select count(*) from ${this.#table} where ${this.#mine(store)})::float8 as leases,
            (select count(*) from (select from ${store.table} where ${tenantRows(store)} limit ${SMALL_TENANT}::int8) r)::float8 as rows`,
      },
      { settings: store.settings },
    );
    const { leases, rows: count } = rows[0] as { leases: number; rows: number };
    if (leases > 0 || count === 0) return;
    const { rows: places } = await store.database.execute(
      {
        name: "backfill-relation",
        sql: sql`
          select c.relname::text as relation,
            (pg_relation_size(c.oid) / current_setting('block_size')::int8)::float8 as pages
          from pg_class c
          where c.oid = (select tableoid from ${store.table} where ${tenantRows(store)} limit 1)`,
      },
      { settings: store.settings },
    );
    const place = places[0] as { relation: string; pages: number } | undefined;
    if (place === undefined) return;
    const size = count < SMALL_TENANT ? Number.MAX_SAFE_INTEGER : pages;
    const add = sql`
      insert into ${this.#table} (tenant_id, version, relation, first_page, end_page)
      select ${store.tenant}::text, ${this.version.version}::int4, ${place.relation}::text, p,
        case when p + ${String(size)}::int8 >= ${String(place.pages)}::int8 then ${TO_THE_END}::int8 else p + ${String(size)}::int8 end
      from generate_series(0, greatest(${String(place.pages)}::int8 - 1, 0), ${String(size)}::int8) p
      on conflict do nothing`;
    await store.database.transaction(store.settings, (session) =>
      session.execute({ name: "backfill-divide", sql: add }),
    );
  }

  /** Takes the next pages that are nobody's; `undefined` when there are none. */
  async take(store: ScopedStore): Promise<Lease | undefined> {
    const statement = sql`
      update ${this.#table} b set worker = ${this.worker}::uuid, leased_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::float8)
      where ${this.#mine(store)} and (b.relation, b.first_page) = (
        select f.relation, f.first_page from ${this.#table} f
        where ${this.#mine(store)} and not f.done and (f.leased_until is null or f.leased_until < clock_timestamp())
        order by f.relation, f.first_page limit 1 for update skip locked)
      returning b.relation, b.first_page::float8 as first, nullif(b.end_page, ${TO_THE_END}::int8)::float8 as end`;
    const { rows } = await store.database.transaction(store.settings, (session) =>
      session.execute({ name: "backfill-take", sql: statement }),
    );
    const row = rows[0] as { relation: string; first: number; end: number | null } | undefined;
    return row && { relation: row.relation, firstPage: row.first, endPage: row.end ?? undefined };
  }

  /** Whether pages of the tenant are in work elsewhere. */
  async othersAtWork(store: ScopedStore): Promise<boolean> {
    const { rows } = await store.database.execute(
      {
        name: "backfill-others",
        sql: sql`
          select exists (select from ${this.#table} where ${this.#mine(store)} and not done and worker <> ${this.worker}::uuid
            and leased_until >= clock_timestamp()) as busy`,
      },
      { settings: store.settings },
    );
    return rows[0]!["busy"] as boolean;
  }

  /** In the transaction that fills rows: keeps the lease. @returns whether it was still this worker's. */
  async renew(session: Session, store: ScopedStore, lease: Lease, filled: number, inPlace: number): Promise<boolean> {
    const { rowCount } = await session.execute({
      name: "backfill-renew",
      sql: sql`
        update ${this.#table} set filled = filled + ${String(filled)}::int8, kept_in_place = kept_in_place + ${String(inPlace)}::int8,
          leased_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::float8)
        where ${this.#mine(store)} and relation = ${lease.relation}::text and first_page = ${String(lease.firstPage)}::int8
          and worker = ${this.worker}::uuid`,
    });
    return (rowCount ?? 0) > 0;
  }

  /** Gives pages back, done or not. */
  async release(store: ScopedStore, lease: Lease, done: boolean): Promise<void> {
    await store.database.execute(
      {
        name: "backfill-release",
        sql: sql`
          update ${this.#table} set done = ${done}::bool, leased_until = null
          where ${this.#mine(store)} and relation = ${lease.relation}::text and first_page = ${String(lease.firstPage)}::int8
            and worker = ${this.worker}::uuid`,
      },
      { settings: store.settings },
    );
  }

  /** Forgets the leases of the version. */
  async clear(store: ScopedStore): Promise<void> {
    await store.database.execute(
      { name: "backfill-clear", sql: sql`delete from ${this.#table} where ${this.#mine(store)}` },
      { settings: store.settings },
    );
  }

  #mine(store: ScopedStore): Sql {
    return sql`tenant_id = ${store.tenant}::text and version = ${this.version.version}::int4`;
  }
}

/** The rows of a tenant that wait for their vector, on some pages or wherever they are, those set aside left out. */
export async function findWaiting(
  store: ScopedStore,
  version: LiveVersion,
  place: { lease?: Lease; limit?: number },
): Promise<WaitingRow[]> {
  const { lease, limit } = place;
  const { id } = store.columns;
  const from = lease === undefined ? store.table : qualified(store.schema, lease.relation);
  const setAside = qualified(store.schema, backfillTables(store.options.layout)[1]);
  const pages =
    lease === undefined
      ? empty
      : sql`and c.ctid >= ${`(${lease.firstPage},0)`}::tid ${lease.endPage === undefined ? empty : sql`and c.ctid < ${`(${lease.endPage},0)`}::tid`}`;
  const { rows } = await store.database.execute(
    {
      name: "backfill-waiting",
      sql: sql`
        select (c.ctid::text::point)[0]::float8 as page, c.collection, c.${id} as id
        from ${from} c
        where c.tenant_id = ${store.tenant}::text and c.${identifier(version.column)} is null ${pages}
          and not exists (
            select from ${setAside} s where s.tenant_id = ${store.tenant}::text and s.version = ${version.version}::int4
              and s.collection = c.collection and s.id = c.${id} and s.content_hash = c.content_hash)
        ${limit === undefined ? empty : sql`limit ${limit}::int8`}`,
    },
    { settings: store.settings },
  );
  return rows as unknown as WaitingRow[];
}

import sql, { empty, raw } from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import { quoteQualified } from "../../db/identifiers.js";
import { administrationSettings } from "../../db/tenant-scope.js";
import { lexicalTables, settingsComment, STAGING_PREFIX } from "../../schema/lexical.js";
import { DEFAULT_TENANT } from "../options.js";
import type { OpenStore } from "../open.js";
import { registryOf, requireAdministrator } from "../tenants/registry.js";
import { compactLexical, type LexicalPlace } from "./compact.js";
import type { OpenLexical } from "./open.js";

export interface BuildLexicalOptions {
  /** Called after each transaction with the chunks indexed so far by this call. */
  readonly onProgress?: ((indexed: number) => void) | undefined;
  /** Stops between two transactions; another call goes on. */
  readonly signal?: AbortSignal | undefined;
}

const BATCH_ROWS = 2_000;

/**
 * Indexes the rows that were there before the lexical index, for every tenant, in short transactions beside live traffic,
 * and then opens the index to searches. Does nothing to an index that is complete.
 *
 * @returns how many chunks this call indexed.
 * @throws TenantIsolationError unless the connection is the store's administrator, with tenancy.
 */
export async function buildLexical(
  store: OpenStore,
  lexical: OpenLexical,
  options: BuildLexicalOptions = {},
): Promise<number> {
  if (!lexical.settings.building) return 0;
  let indexed = 0;
  for (const place of await findPlaces(store)) {
    for await (const count of buildPlace(store, lexical, place, options.signal)) {
      indexed += count;
      options.onProgress?.(indexed);
    }
    await compactLexical(store, lexical, place, { signal: options.signal });
  }
  const { layout } = store.options;
  const comment = settingsComment({ ...lexical.settings, building: false });
  const table = quoteQualified(store.schema, lexicalTables(layout.table)[0]);
  await store.database.transaction({ lock_timeout: "2s" }, (session) =>
    session.execute({ name: "lexical-built", sql: raw(`comment on table ${table} is ${comment}`) }),
  );
  return indexed;
}

/** Every tenant's collections. @throws TenantIsolationError unless the connection is the store's administrator, with tenancy. */
export async function findPlaces(store: OpenStore): Promise<LexicalPlace[]> {
  const tenancy = store.options.layout.tenancy === "rls";
  const tenants = tenancy
    ? await store.database.transaction({}, async (session) => {
        await requireAdministrator(session, store);
        const { rows } = await session.execute({
          name: "lexical-tenants",
          sql: sql`
            select tenant_id from ${registryOf(store)}
            where store = ${store.options.layout.table}::text and state <> 'deleting' order by tenant_id`,
        });
        return rows.map((row) => row["tenant_id"] as string);
      })
    : [DEFAULT_TENANT];
  const places: LexicalPlace[] = [];
  for (const tenant of tenants) {
    const settings = tenancy ? administrationSettings(tenant) : {};
    const { rows } = await store.database.execute(
      {
        name: "lexical-collections",
        sql: sql`select distinct collection from ${store.table} where tenant_id = ${tenant}::text
          and not starts_with(collection, ${STAGING_PREFIX}::text) order by collection`,
      },
      { settings },
    );
    places.push(...rows.map((row) => ({ tenant, collection: row["collection"] as string, settings })));
  }
  return places;
}

/** Indexes what is not listed yet, in the order of ids, and yields how many chunks each transaction indexed. */
async function* buildPlace(
  store: OpenStore,
  lexical: OpenLexical,
  { tenant, collection, settings }: LexicalPlace,
  signal: AbortSignal | undefined,
): AsyncGenerator<number> {
  const { id } = store.columns;
  let last: string | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const behind = last === undefined ? empty : sql`and ${id} > ${last}::text`;
    const { rows } = await store.database.execute(
      {
        name: "lexical-unlisted",
        sql: sql`
          with page as materialized (
            select ${id} as id from ${store.table}
            where tenant_id = ${tenant}::text and collection = ${collection}::text ${behind}
            order by ${id} limit ${BATCH_ROWS}::int8
          ), listed as materialized (
            select unnest(ids) as id from ${lexical.documents}
            where tenant_id = ${tenant}::text and collection = ${collection}::text
          )
          select (select max(id) from page) as last,
            array(select id from page where not exists (select from listed where listed.id = page.id)) as ids`,
      },
      { settings },
    );
    const { last: next, ids } = rows[0] as { last: string | null; ids: string[] };
    if (next === null) return;
    last = next;
    if (ids.length === 0) continue;
    await store.database.transaction({ ...settings, work_mem: "64MB" }, (session) =>
      session.execute({
        name: "lexical-build",
        sql: sql`select ${lexical.build}(${tenant}::text, ${collection}::text, ${new TextArrayParameter(ids)}::text[])`,
      }),
    );
    yield ids.length;
  }
}

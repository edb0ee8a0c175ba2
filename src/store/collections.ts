import sql from "sql-template-tag";
import type { Session } from "../db/database.js";
import { qualified } from "../db/identifiers.js";
import { ConfigurationError } from "../errors.js";
import type { ScopedStore } from "./open.js";
import { explainRefusal } from "./tenants/refusal.js";

/** Records the store's collection, with its metadata, unless it is there already. */
export async function ensureCollection(store: ScopedStore, session: Session): Promise<void> {
  const { collectionsTable } = store.options.layout;
  if (collectionsTable === undefined) return;
  const metadata = store.options.collectionMetadata;
  await session.execute({
    name: "ensure-collection",
    sql: sql`
      insert into ${qualified(store.schema, collectionsTable)} (tenant_id, name, cmetadata)
      values (
        ${store.tenant}::text, ${store.options.collection}::text,
        ${metadata === null ? null : JSON.stringify(metadata)}::jsonb
      )
      on conflict (tenant_id, name) do nothing`,
  });
}

/**
 * The uuid of the store's collection, which is made when it is not there.
 *
 * @throws TenantIsolationError when the tenant is suspended or being deleted.
 */
export async function getOrCreateCollection(store: ScopedStore): Promise<string> {
  const { collectionsTable } = store.options.layout;
  if (collectionsTable === undefined) {
    throw new ConfigurationError("The store has no collection; set `collectionTableName` or `collectionName`.");
  }
  const findOrCreate = async (session: Session): Promise<string> => {
    await ensureCollection(store, session);
    const { rows } = await session.execute({
      name: "collection",
      sql: sql`
        select uuid::text as uuid from ${qualified(store.schema, collectionsTable)}
        where tenant_id = ${store.tenant}::text and name = ${store.options.collection}::text`,
    });
    return rows[0]!["uuid"] as string;
  };
  return store.database.transaction(store.settings, findOrCreate).catch(async (error: unknown) => {
    throw await explainRefusal(store, error);
  });
}

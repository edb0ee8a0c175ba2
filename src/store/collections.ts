import sql from "sql-template-tag";
import type { Session } from "../db/database.js";
import { qualified } from "../db/identifiers.js";
import { ConfigurationError } from "../errors.js";
import { DEFAULT_TENANT, type OpenStore } from "./open.js";

/** Records the store's collection, with its metadata, unless it is there already. */
export async function ensureCollection(store: OpenStore, session: Session): Promise<void> {
  const { collectionsTable } = store.options.layout;
  if (collectionsTable === undefined) return;
  const metadata = store.options.collectionMetadata;
  await session.execute({
    name: "ensure-collection",
    sql: sql`
      insert into ${qualified(store.schema, collectionsTable)} (tenant_id, name, cmetadata)
      values (
        ${DEFAULT_TENANT}::text, ${store.options.collection}::text,
        ${metadata === null ? null : JSON.stringify(metadata)}::jsonb
      )
      on conflict (tenant_id, name) do nothing`,
  });
}

/** The uuid of the store's collection, which is made when it is not there. */
export async function getOrCreateCollection(store: OpenStore): Promise<string> {
  const { collectionsTable } = store.options.layout;
  if (collectionsTable === undefined) {
    throw new ConfigurationError("The store has no collection; set `collectionTableName` or `collectionName`.");
  }
  return store.database.transaction({}, async (session) => {
    await ensureCollection(store, session);
    const { rows } = await session.execute({
      name: "collection",
      sql: sql`
        select uuid::text as uuid from ${qualified(store.schema, collectionsTable)}
        where tenant_id = ${DEFAULT_TENANT}::text and name = ${store.options.collection}::text`,
    });
    return rows[0]!["uuid"] as string;
  });
}

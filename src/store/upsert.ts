import sql, { empty, raw, type Sql } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { BytesArrayParameter, TextArrayParameter, VectorArrayParameter } from "../db/codec.js";
import { qualified, quoteQualified } from "../db/identifiers.js";
import { TENANTS_TABLE } from "../schema/layout.js";
import { ensureCollection } from "./collections.js";
import { asEmbedding, type ScopedStore } from "./open.js";
import type { ChunkRow } from "./rows.js";
import { explainRefusal } from "./tenants/refusal.js";

/** A row and its vector, of the embedding column's dimensions. */
export interface EmbeddedRow extends ChunkRow {
  readonly vector: ArrayLike<number>;
}

/**
 * Inserts rows, or overwrites those whose id is there, in one transaction: either all are stored or none. Rows are
 * written in the order of their ids, so that concurrent writers of the same ids wait instead of deadlocking.
 *
 * @throws TenantIsolationError when the tenant is suspended or being deleted.
 */
export async function upsertChunks(store: ScopedStore, rows: readonly EmbeddedRow[]): Promise<void> {
  const sorted = [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
  await store.database
    .transaction(store.settings, (session) => writeChunks(store, session, sorted))
    .catch(async (error: unknown) => {
      throw await explainRefusal(store, error);
    });
  store.memory.noteRows(store.tenant, rows.length);
  store.keeper.noteRows(store, rows.length);
}

/** Writes rows, sorted by id, in statements of at most `chunkSize`. */
export async function writeChunks(store: ScopedStore, session: Session, rows: readonly EmbeddedRow[]): Promise<void> {
  await ensureCollection(store, session);
  for (let start = 0; start < rows.length; start += store.options.chunkSize) {
    await upsertBatch(store, session, rows.slice(start, start + store.options.chunkSize));
  }
}

/** Lists the tenant among those of the store, in the same statement as its rows. */
export function registerTenant(store: ScopedStore): Sql {
  if (store.options.layout.tenancy === "off") return empty;
  return sql`
    with registered as (
      insert into ${qualified(store.schema, TENANTS_TABLE)} (tenant_id, store)
      values (${store.tenant}::text, ${store.options.layout.table}::text)
      on conflict (tenant_id, store) do nothing
    )`;
}

/** What the metadata of a row that is there becomes. */
export function mergedMetadata(store: ScopedStore, before: Sql, given: Sql): Sql {
  if (store.options.metadataOnUpsert === "replace") return given;
  return sql`(${before} || ${given}) - array(
          select key from jsonb_each(${given}) where value = 'null'
        )`;
}

/** @param rows a query of tenant, collection, id, content, metadata, content hash and embedding. */
export function upsertSql(store: ScopedStore, registered: Sql, rows: Sql): Sql {
  const { id, content, metadata, embedding } = store.columns;
  return sql`
    ${registered}
    insert into ${store.table} (tenant_id, collection, ${id}, ${content}, ${metadata}, content_hash, ${embedding})
    ${rows}
    on conflict (tenant_id, collection, ${id}) do update set
      ${content} = excluded.${content},
      ${metadata} = ${mergedMetadata(store, sql`${store.table}.${metadata}`, sql`excluded.${metadata}`)},
      content_hash = excluded.content_hash,
      ${embedding} = excluded.${embedding}`;
}

async function upsertBatch(store: ScopedStore, session: Session, rows: readonly EmbeddedRow[]): Promise<void> {
  const { schema, oid } = store.server.vector;
  const texts = (pick: (row: EmbeddedRow) => string): TextArrayParameter => new TextArrayParameter(rows.map(pick));
  const hashes = new BytesArrayParameter(rows.map((row) => row.contentHash));
  const vectors = new VectorArrayParameter(
    rows.map((row) => row.vector),
    oid,
  );
  const unnested = sql`
    select ${store.tenant}::text, ${store.options.collection}::text,
      row.id, row.content, row.metadata::jsonb, row.hash, ${asEmbedding(store, sql`row.vector`)}
    from unnest(
      ${texts((row) => row.id)}::text[],
      ${texts((row) => row.content)}::text[],
      ${texts((row) => row.metadata)}::text[],
      ${hashes}::bytea[],
      ${vectors}::${raw(quoteQualified(schema, "vector"))}[]
    ) as row (id, content, metadata, hash, vector)`;
  await session.execute({ name: "upsert", sql: upsertSql(store, registerTenant(store), unnested) });
}

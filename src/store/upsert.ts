import sql, { empty, join, raw, type Sql } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { BytesArrayParameter, TextArrayParameter } from "../db/codec.js";
import { identifier, qualified } from "../db/identifiers.js";
import type { VectorInput } from "../db/sparse-vector.js";
import { TENANTS_TABLE, type ModelVersion } from "../schema/layout.js";
import { ensureCollection } from "./collections.js";
import { asEmbedding, vectorsParameter } from "./embedding-column.js";
import type { ScopedStore } from "./open.js";
import type { ChunkRow } from "./rows.js";
import { explainRefusal } from "./tenants/refusal.js";
import { fence, holdModels, supplying } from "./versions/fence.js";

/** A row and its vectors, one for each of the versions that are written with it, in their order. */
export interface EmbeddedRow extends ChunkRow {
  readonly vectors: readonly VectorInput[];
}

/**
 * Inserts rows, or overwrites those whose id is there, in one transaction: either all are stored or none. Rows are
 * written in the order of their ids, so that concurrent writers of the same ids wait instead of deadlocking.
 *
 * @throws TenantIsolationError when the tenant is suspended or being deleted.
 */
export async function upsertChunks(
  store: ScopedStore,
  rows: readonly EmbeddedRow[],
  versions: readonly ModelVersion[],
): Promise<void> {
  const sorted = [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
  const columns = versions.map(({ column }) => column);
  await store.database
    .transaction(supplying(store.settings, columns), async (session) => {
      await holdModels(session, store);
      await writeChunks(store, session, sorted, versions);
    })
    .catch(async (error: unknown) => {
      throw await explainRefusal(store, error);
    });
  store.memory.noteRows(store.tenant, rows.length);
  store.keeper.noteRows(store, rows.length);
  store.database.activity.countChunks("written", rows.length);
}

/** Writes rows, sorted by id, in statements of at most `chunkSize`. */
export async function writeChunks(
  store: ScopedStore,
  session: Session,
  rows: readonly EmbeddedRow[],
  versions: readonly ModelVersion[],
): Promise<void> {
  await ensureCollection(store, session);
  for (let start = 0; start < rows.length; start += store.options.chunkSize) {
    await upsertBatch(store, session, rows.slice(start, start + store.options.chunkSize), versions);
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

/** A vector column, and whether every row comes with its vector; one that comes without keeps what is there. */
export interface WrittenColumn {
  readonly column: string;
  readonly complete: boolean;
}

/** @param rows a query of tenant, collection, id, content, metadata, content hash and the vectors of `vectors`. */
export function upsertSql(store: ScopedStore, registered: Sql, rows: Sql, vectors: readonly WrittenColumn[]): Sql {
  const { id, content, metadata } = store.columns;
  const columns = vectors.map(({ column }) => identifier(column));
  const assigned = vectors.map(({ column, complete }) => {
    const name = identifier(column);
    return complete
      ? sql`${name} = excluded.${name}`
      : sql`${name} = coalesce(excluded.${name}, ${store.table}.${name})`;
  });
  return sql`
    ${registered}
    insert into ${store.table} (tenant_id, collection, ${id}, ${content}, ${metadata}, content_hash, ${join(columns)})
    ${rows}
    on conflict (tenant_id, collection, ${id}) do update set
      ${content} = excluded.${content},
      ${metadata} = ${mergedMetadata(store, sql`${store.table}.${metadata}`, sql`excluded.${metadata}`)},
      content_hash = excluded.content_hash,
      ${join(assigned)}`;
}

async function upsertBatch(
  store: ScopedStore,
  session: Session,
  rows: readonly EmbeddedRow[],
  versions: readonly ModelVersion[],
): Promise<void> {
  const texts = (pick: (row: EmbeddedRow) => string): TextArrayParameter => new TextArrayParameter(rows.map(pick));
  const hashes = new BytesArrayParameter(rows.map((row) => row.contentHash));
  const names = versions.map((_, index) => raw(`vector_${index}`));
  const vectors = versions.map((version, index) => {
    const column = rows.map((row) => row.vectors[index]!);
    return vectorsParameter(store, column, version);
  });
  const cast = versions.map((version, index) => asEmbedding(store, sql`row.${names[index]!}`, version));
  const unnested = sql`
    select ${store.tenant}::text, ${store.options.collection}::text,
      row.id, row.content, row.metadata::jsonb, row.hash, ${join(cast)}
    from unnest(
      ${texts((row) => row.id)}::text[],
      ${texts((row) => row.content)}::text[],
      ${texts((row) => row.metadata)}::text[],
      ${hashes}::bytea[],
      ${join(vectors)}
    ) as row (id, content, metadata, hash, ${join(names)})
    where ${fence(store)}`;
  const columns = versions.map(({ column }) => ({ column, complete: true }));
  await session.execute({ name: "upsert", sql: upsertSql(store, registerTenant(store), unnested, columns) });
}

import sql, { raw } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { BytesArrayParameter, TextArrayParameter, VectorArrayParameter } from "../db/codec.js";
import { quoteQualified } from "../db/identifiers.js";
import { ensureCollection } from "./collections.js";
import { asEmbedding, DEFAULT_TENANT, type OpenStore } from "./open.js";
import type { ChunkRow } from "./rows.js";

/** A row and its vector, of the embedding column's dimensions. */
export interface EmbeddedRow extends ChunkRow {
  readonly vector: ArrayLike<number>;
}

/**
 * Inserts rows, or overwrites those whose id is there, in one transaction: either all are stored or none. Rows are
 * written in the order of their ids, so that concurrent writers of the same ids wait instead of deadlocking.
 */
export async function upsertChunks(store: OpenStore, rows: readonly EmbeddedRow[]): Promise<void> {
  const sorted = [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
  await store.database.transaction({}, async (session) => {
    await ensureCollection(store, session);
    for (let start = 0; start < sorted.length; start += store.options.chunkSize) {
      await upsertBatch(store, session, sorted.slice(start, start + store.options.chunkSize));
    }
  });
}

async function upsertBatch(store: OpenStore, session: Session, rows: readonly EmbeddedRow[]): Promise<void> {
  const { id, content, metadata, embedding } = store.columns;
  const { schema, oid } = store.server.vector;
  const texts = (pick: (row: EmbeddedRow) => string): TextArrayParameter => new TextArrayParameter(rows.map(pick));
  const hashes = new BytesArrayParameter(rows.map((row) => row.contentHash));
  const vectors = new VectorArrayParameter(
    rows.map((row) => row.vector),
    oid,
  );
  await session.execute({
    name: "upsert",
    sql: sql`
      insert into ${store.table} (tenant_id, collection, ${id}, ${content}, ${metadata}, content_hash, ${embedding})
      select ${DEFAULT_TENANT}::text, ${store.options.collection}::text,
        row.id, row.content, row.metadata::jsonb, row.hash, ${asEmbedding(store, sql`row.vector`)}
      from unnest(
        ${texts((row) => row.id)}::text[],
        ${texts((row) => row.content)}::text[],
        ${texts((row) => row.metadata)}::text[],
        ${hashes}::bytea[],
        ${vectors}::${raw(quoteQualified(schema, "vector"))}[]
      ) as row (id, content, metadata, hash, vector)
      on conflict (tenant_id, collection, ${id}) do update set
        ${content} = excluded.${content},
        ${metadata} = excluded.${metadata},
        content_hash = excluded.content_hash,
        ${embedding} = excluded.${embedding}`,
  });
}

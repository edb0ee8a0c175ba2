import sql, { raw } from "sql-template-tag";
import { BytesArrayParameter, TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { identifier, qualified, quoteIdentifier } from "../../db/identifiers.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import { backfillTables, type RegisteredModel } from "../../schema/layout.js";
import { decryptContents } from "../../store/content-cipher.js";
import { asEmbedding, vectorsParameter } from "../../store/embedding-column.js";
import type { ScopedStore } from "../../store/open.js";
import { fence, holdModels } from "../../store/versions/fence.js";
import type { LiveVersion } from "../../store/versions/store-models.js";
import type { WaitingRow } from "./stride.js";

/** A waiting row with the text that its vector is to be of. */
export interface ReadRow extends WaitingRow {
  readonly content: string;
  readonly hash: Uint8Array;
}

export interface FilledRow extends ReadRow {
  readonly vector: VectorInput;
}

/** What one transaction has done. */
export interface Written {
  readonly filled: number;
  /** Of those, how many stayed on their page: without an index on the column, these are heap-only updates. */
  readonly inPlace: number;
  /** The transaction's id. */
  readonly xid: string;
}

/** Reads the texts of waiting rows, in the clear; those that are gone are left out. */
export async function readContents(store: ScopedStore, rows: readonly WaitingRow[]): Promise<ReadRow[]> {
  const { id, content } = store.columns;
  const { rows: found } = await store.database.execute(
    {
      name: "backfill-read",
      sql: sql`
        select c.collection, c.${id} as id, c.${content} as content, encode(c.content_hash, 'base64') as hash, w.page
        from unnest(${new TextArrayParameter(rows.map((row) => row.collection))}::text[],
          ${new TextArrayParameter(rows.map((row) => row.id))}::text[],
          ${new TextArrayParameter(rows.map((row) => String(row.page)))}::text[]::float8[]) as w (collection, id, page)
        join ${store.table} c on c.tenant_id = ${store.tenant}::text and c.collection = w.collection and c.${id} = w.id`,
    },
    { settings: store.settings },
  );
  const stored = found as { collection: string; id: string; content: string; hash: string; page: number }[];
  const contents = await decryptContents(store.options.contentCipher, store.tenant, stored);
  return stored.map((row, index) => ({
    ...row,
    content: contents[index]!,
    hash: new Uint8Array(Buffer.from(row.hash, "base64")),
  }));
}

/** Stores vectors beside the very texts that they are of, where none has come meanwhile. Within a transaction. */
export async function fillRows(
  session: Session,
  store: ScopedStore,
  version: LiveVersion,
  rows: readonly FilledRow[],
): Promise<Written> {
  const { id } = store.columns;
  const column = identifier(version.column);
  await holdModels(session, store);
  const vectors = rows.map((row) => row.vector);
  return runFill(
    session,
    sql`
      update ${store.table} c set ${column} = ${asEmbedding(store, sql`w.vector`, version)}
      from unnest(${new TextArrayParameter(rows.map((row) => row.collection))}::text[],
        ${new TextArrayParameter(rows.map((row) => row.id))}::text[],
        ${new TextArrayParameter(rows.map((row) => String(row.page)))}::text[]::int8[],
        ${new BytesArrayParameter(rows.map((row) => row.hash))}::bytea[],
        ${vectorsParameter(store, vectors, version)}) as w (collection, id, page, hash, vector)
      where c.tenant_id = ${store.tenant}::text and c.collection = w.collection and c.${id} = w.id
        and c.content_hash = w.hash and c.${column} is null and ${fence(store)}
      returning (c.ctid::text::point)[0]::int8 = w.page as kept`,
  );
}

/** Makes vectors from those of another version, in the database. Within a transaction. */
export async function deriveRows(
  session: Session,
  store: ScopedStore,
  version: RegisteredModel,
  source: RegisteredModel,
  rows: readonly WaitingRow[],
): Promise<Written> {
  const { id } = store.columns;
  const column = identifier(version.column);
  const { schema } = store.server.vector;
  const name = (part: string): string => `${quoteIdentifier(schema)}.${quoteIdentifier(part)}`;
  const from = `c.${quoteIdentifier(source.column)}`;
  const shortened =
    version.dimensions === source.dimensions
      ? from
      : `${name("l2_normalize")}(${name("subvector")}(${from}, 1, ${version.dimensions}))`;
  await holdModels(session, store);
  return runFill(
    session,
    sql`
      update ${store.table} c set ${column} = ${raw(shortened)}::${raw(name(version.storageType))}
      from unnest(${new TextArrayParameter(rows.map((row) => row.collection))}::text[],
        ${new TextArrayParameter(rows.map((row) => row.id))}::text[],
        ${new TextArrayParameter(rows.map((row) => String(row.page)))}::text[]::int8[]) as w (collection, id, page)
      where c.tenant_id = ${store.tenant}::text and c.collection = w.collection and c.${id} = w.id
        and c.${column} is null and ${raw(from)} is not null and ${fence(store)}
      returning (c.ctid::text::point)[0]::int8 = w.page as kept`,
  );
}

async function runFill(session: Session, update: ReturnType<typeof sql>): Promise<Written> {
  const { rows } = await session.execute({
    name: "backfill-write",
    sql: sql`
      with filled as (${update})
      select count(*)::float8 as filled, (count(*) filter (where kept))::float8 as kept,
        pg_current_xact_id()::text as xid from filled`,
  });
  const row = rows[0] as { filled: number; kept: number; xid: string };
  return { filled: row.filled, inPlace: row.kept, xid: row.xid };
}

/** Sets rows aside whose text cannot be embedded, until the text changes or they are to be tried again. */
export async function setAside(
  store: ScopedStore,
  version: LiveVersion,
  rows: readonly (ReadRow & { readonly fault: Error })[],
): Promise<void> {
  const table = qualified(store.schema, backfillTables(store.options.layout)[1]);
  const texts = (pick: (row: (typeof rows)[number]) => string): TextArrayParameter =>
    new TextArrayParameter(rows.map(pick));
  await store.database.transaction(store.settings, (session) =>
    session.execute({
      name: "backfill-set-aside",
      sql: sql`
        insert into ${table} (tenant_id, version, collection, id, content_hash, reason)
        select ${store.tenant}::text, ${version.version}::int4, w.collection, w.id, w.hash, w.reason
        from unnest(${texts((row) => row.collection)}::text[], ${texts((row) => row.id)}::text[],
          ${new BytesArrayParameter(rows.map((row) => row.hash))}::bytea[],
          ${texts((row) => row.fault.message.slice(0, 500))}::text[]) as w (collection, id, hash, reason)
        on conflict (tenant_id, version, collection, id) do update set
          content_hash = excluded.content_hash, reason = excluded.reason, noted_at = now()`,
    }),
  );
}

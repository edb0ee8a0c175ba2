import sql, { empty, type Sql } from "sql-template-tag";
import { BytesArrayParameter, TextArrayParameter } from "../../db/codec.js";
import { qualified } from "../../db/identifiers.js";
import { sourceTables } from "../../schema/layout.js";
import type { ScopedStore } from "../open.js";

/** Something that was ingested, such as a file, without the list of its chunks. */
export interface SourceState {
  /** What `metadata.source` of its chunks says. */
  readonly source: string;
  /** SHA-256 of its bytes in hexadecimal; `undefined` while it is being written, or after a writer has died. */
  readonly hash: string | undefined;
  /** How many chunks it has. While there is no hash: how many it may have. */
  readonly chunks: number;
  /** How many of them are in the store; fewer after somebody else has deleted some. */
  readonly present: number;
  /** How it was loaded and split. */
  readonly settings: string;
  /** Changes with every write, and is never used again for the same name. */
  readonly version: string;
}

export interface StoredSource extends SourceState {
  /** Ids of its chunks in their order. While there is no hash: of all that may be there, in any order. */
  readonly chunkIds: readonly string[];
}

/** Sources read at a time. */
const PAGE = 2_000;

export function sourcesTable(store: ScopedStore): Sql {
  return qualified(store.schema, sourceTables(store.options.layout)[0]);
}

/** The predicate that keeps a statement on the table of sources within the call's tenant and collection. */
export function sourceScope(store: ScopedStore): Sql {
  return sql`tenant_id = ${store.tenant}::text and collection = ${store.options.collection}::text`;
}

/** The tenant's sources in the order of their names, page by page. */
export async function* listSources(store: ScopedStore, prefix: string | undefined): AsyncGenerator<SourceState> {
  let last: string | undefined;
  for (;;) {
    const { rows } = await store.database.execute(
      {
        name: "list-sources",
        sql: sql`
          select source, encode(content_hash, 'hex') as hash, settings, version::text as version,
            cardinality(chunk_ids) as chunks, ${present(store)} as present
          from ${sourcesTable(store)} as s where ${sourceScope(store)}
            ${prefix === undefined ? empty : sql`and starts_with(source, ${prefix}::text)`}
            ${last === undefined ? empty : sql`and source > ${last}::text`}
          order by source limit ${PAGE}::int8`,
      },
      { settings: store.settings },
    );
    for (const row of rows) yield toState(row as unknown as Row);
    if (rows.length < PAGE) return;
    last = (rows.at(-1) as unknown as Row).source;
  }
}

/** The sources of these names that are there, with their chunks. */
export async function findSources(store: ScopedStore, names: readonly string[]): Promise<StoredSource[]> {
  if (names.length === 0) return [];
  const { rows } = await store.database.execute(
    {
      name: "find-sources",
      sql: sql`
        select source, encode(content_hash, 'hex') as hash, settings, version::text as version,
          cardinality(chunk_ids) as chunks, ${present(store)} as present, chunk_ids as "chunkIds"
        from ${sourcesTable(store)} as s
        where ${sourceScope(store)} and source = any(${new TextArrayParameter(names)}::text[])`,
    },
    { settings: store.settings },
  );
  return (rows as unknown as (Row & { chunkIds: string[] })[]).map((row) => ({
    ...toState(row),
    chunkIds: row.chunkIds,
  }));
}

/** Sources whose bytes have one of these hashes. */
export async function findByHash(
  store: ScopedStore,
  hashes: readonly string[],
): Promise<{ source: string; hash: string }[]> {
  if (hashes.length === 0) return [];
  const bytes = new BytesArrayParameter(hashes.map((hash) => Buffer.from(hash, "hex")));
  const { rows } = await store.database.execute(
    {
      name: "find-sources-by-hash",
      sql: sql`
        select source, encode(content_hash, 'hex') as hash from ${sourcesTable(store)}
        where ${sourceScope(store)} and content_hash = any(${bytes}::bytea[]) order by source`,
    },
    { settings: store.settings },
  );
  return rows as unknown as { source: string; hash: string }[];
}

function present(store: ScopedStore): Sql {
  return sql`(
    select count(*)::int4 from ${store.table} as c
    where c.tenant_id = ${store.tenant}::text and c.collection = ${store.options.collection}::text
      and c.${store.columns.id} = any(s.chunk_ids)
  )`;
}

interface Row {
  source: string;
  hash: string | null;
  settings: string;
  version: string;
  chunks: number;
  present: number;
}

function toState({ source, hash, settings, version, chunks, present: there }: Row): SourceState {
  return { source, hash: hash ?? undefined, settings, version, chunks, present: there };
}

import sql from "sql-template-tag";
import { quoteQualified } from "../db/identifiers.js";
import type { OpenStore } from "./open.js";

const REFRESH_MS = 60_000;
/** Above this many rows a search without an index takes tens of milliseconds. */
const ROWS_WITHOUT_INDEX = 10_000;

/** When each store last looked whether its table wants an index; `Infinity` once it has warned. */
const lookedAt = new WeakMap<OpenStore, number>();

/** Whether a valid vector index exists, so that a search may be approximate. Reads the catalog, takes no lock. */
export async function hasVectorIndex(store: OpenStore): Promise<boolean> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute({
    name: "find-vector-index",
    sql: sql`
      select exists (
        select from pg_index i
        join pg_class c on c.oid = i.indexrelid
        join pg_am a on a.oid = c.relam
        where i.indrelid = to_regclass(${table}::text) and i.indisvalid and a.amname in ('hnsw', 'ivfflat')
      ) as found`,
  });
  return rows[0]!["found"] as boolean;
}

/** Warns, once for a store, when its table is large and has no vector index. Looks at most once a minute. */
export async function warnWithoutIndex(store: OpenStore): Promise<void> {
  const now = Date.now();
  if (now - (lookedAt.get(store) ?? 0) < REFRESH_MS) return;
  lookedAt.set(store, now);
  if ((await hasVectorIndex(store)) || !(await hasManyRows(store))) return;
  lookedAt.set(store, Number.POSITIVE_INFINITY);
  const { layout, logger } = store.options;
  logger.warn(
    `langchain-pgvector: the table ${JSON.stringify(layout.table)} has more than ` +
      `${ROWS_WITHOUT_INDEX.toLocaleString("en")} rows and no vector index, so every search reads all of them. ` +
      "Build one with: await store.createHnswIndex()",
  );
}

async function hasManyRows(store: OpenStore): Promise<boolean> {
  const { rows } = await store.database.execute({
    name: "count-rows",
    sql: sql`
      select count(*) > ${ROWS_WITHOUT_INDEX}::int8 as many
      from (select from ${store.table} limit ${ROWS_WITHOUT_INDEX + 1}::int8) as first_rows`,
  });
  return rows[0]!["many"] as boolean;
}

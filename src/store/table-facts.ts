import sql from "sql-template-tag";
import { quoteQualified } from "../db/identifiers.js";
import type { OpenStore } from "./open.js";

/** What searches need to know about the table; looked up at most once a minute. */
export interface TableFacts {
  /** Whether a valid vector index exists, so that a search may be approximate. */
  readonly hasVectorIndex: boolean;
}

const REFRESH_MS = 60_000;
/** Above this many rows a search without an index takes tens of milliseconds. */
const ROWS_WITHOUT_INDEX = 10_000;

interface CachedFacts {
  readonly readAt: number;
  readonly facts: Promise<TableFacts>;
  warned: boolean;
}

const cache = new WeakMap<OpenStore, CachedFacts>();

/** The facts about a store's table; warns once per store when it is large and has no vector index. */
export function tableFacts(store: OpenStore): Promise<TableFacts> {
  const cached = cache.get(store);
  if (cached !== undefined && Date.now() - cached.readAt < REFRESH_MS) return cached.facts;
  const entry: CachedFacts = {
    readAt: Date.now(),
    warned: cached?.warned ?? false,
    facts: readFacts(store).then(({ hasVectorIndex, manyRows }) => {
      if (manyRows && !hasVectorIndex && !entry.warned) {
        entry.warned = true;
        store.options.logger.warn(missingIndexWarning(store));
      }
      return { hasVectorIndex };
    }),
  };
  entry.facts.catch(() => cache.delete(store));
  cache.set(store, entry);
  return entry.facts;
}

/** Makes the next search look again, after an index was made or dropped. */
export function forgetTableFacts(store: OpenStore): void {
  cache.delete(store);
}

async function readFacts(store: OpenStore): Promise<TableFacts & { manyRows: boolean }> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute({
    name: "table-facts",
    sql: sql`
      select
        exists (
          select from pg_index i
          join pg_class c on c.oid = i.indexrelid
          join pg_am a on a.oid = c.relam
          where i.indrelid = to_regclass(${table}::text) and i.indisvalid and a.amname in ('hnsw', 'ivfflat')
        ) as has_vector_index,
        (select count(*) from (select from ${store.table} limit ${ROWS_WITHOUT_INDEX + 1}::int8) as first_rows)
          > ${ROWS_WITHOUT_INDEX}::int8 as many_rows`,
  });
  const row = rows[0] as { has_vector_index: boolean; many_rows: boolean };
  return { hasVectorIndex: row.has_vector_index, manyRows: row.many_rows };
}

function missingIndexWarning(store: OpenStore): string {
  const { table } = store.options.layout;
  return (
    `langchain-pgvector: the table ${JSON.stringify(table)} has more than ${ROWS_WITHOUT_INDEX.toLocaleString("en")} rows ` +
    `and no vector index, so every search reads all of them. Build one with: await store.createHnswIndex()`
  );
}

import sql from "sql-template-tag";
import type { ScopedStore } from "./open.js";
import { vectorIndexes } from "./plan-search.js";

const REFRESH_MS = 60_000;
/** Above this many rows a search without an index takes tens of milliseconds. */
const ROWS_WITHOUT_INDEX = 10_000;

export function isAdviceDue({ memory }: ScopedStore): boolean {
  return Date.now() >= memory.adviseAt;
}

/** Warns, once for a store, when its table is large and has no vector index. Due once a minute. */
export async function adviseIndex(store: ScopedStore): Promise<void> {
  store.memory.adviseAt = Date.now() + REFRESH_MS;
  if ((await vectorIndexes(store)).length > 0 || !(await hasManyRows(store))) return;
  store.memory.adviseAt = Number.POSITIVE_INFINITY;
  const { layout, logger } = store.options;
  logger.warn(
    `langchain-pgvector: the table ${JSON.stringify(layout.table)} has more than ` +
      `${ROWS_WITHOUT_INDEX.toLocaleString("en")} rows and no vector index, so every search reads all of them. ` +
      "Build one with: await store.createHnswIndex()",
  );
}

async function hasManyRows(store: ScopedStore): Promise<boolean> {
  const statement = {
    name: "count-rows",
    sql: sql`
      select count(*) > ${ROWS_WITHOUT_INDEX}::int8 as many
      from (select from ${store.table} limit ${ROWS_WITHOUT_INDEX + 1}::int8) as first_rows`,
  };
  const { rows } = await store.database.execute(statement, { settings: store.settings });
  return rows[0]!["many"] as boolean;
}

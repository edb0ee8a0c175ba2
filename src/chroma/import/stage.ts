import sql, { type Sql } from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { addRows } from "../../store/add-rows.js";
import { scope, type ScopedStore } from "../../store/open.js";
import type { Layout } from "../../schema/layout.js";
import type { PreparedRow } from "./prepare.js";

/** A table of collections lists what is visible, and staged rows are not. */
export function withoutCollections(staged: ScopedStore): ScopedStore {
  const layout: Layout = { ...staged.options.layout, collectionsTable: undefined };
  return { ...staged, options: { ...staged.options, layout } };
}

/** Stores staged rows in place of those of their ids. */
export async function replaceStaged(staged: ScopedStore, rows: readonly PreparedRow[]): Promise<void> {
  const vectors = rows.map((row) => row.vector);
  await addRows(withoutCollections(staged), rows, vectors);
}

/**
 * The rows of some ids. Each is looked up by itself: a table that was filled a moment ago has no statistics, from which
 * the planner would conclude that reading all of the collection is the shortest way to a page of it.
 */
export async function lookUp(
  store: ScopedStore,
  ids: readonly string[],
  columns: Sql,
): Promise<Record<string, unknown>[]> {
  const { rows } = await store.database.execute(
    {
      name: "import-look-up",
      sql: sql`
        select found.* from unnest(${new TextArrayParameter(ids)}::text[]) as wanted ("langchain_pgvector id")
        cross join lateral (
          select ${columns} from ${store.table}
          where ${scope(store)} and ${store.columns.id} = "langchain_pgvector id" limit 1
        ) as found`,
    },
    { settings: store.settings },
  );
  return rows;
}

/** Which of some ids are there. */
export async function idsIn(store: ScopedStore, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await lookUp(store, ids, sql`${store.columns.id} as id`);
  return new Set(rows.map((row) => row["id"] as string));
}

export async function countRows(store: ScopedStore, signal?: AbortSignal): Promise<number> {
  const { rows } = await store.database.execute(
    { name: "import-count", sql: sql`select count(*)::float8 as rows from ${store.table} where ${scope(store)}` },
    { settings: store.settings, signal },
  );
  return rows[0]!["rows"] as number;
}

/** Removes what an interrupted run has copied. */
export async function discardStaged(staged: ScopedStore): Promise<void> {
  const discard = (session: Session): Promise<unknown> =>
    session.execute({ name: "import-discard", sql: sql`delete from ${staged.table} where ${scope(staged)}` });
  await staged.database.transaction(staged.settings, discard);
}

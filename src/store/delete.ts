import sql, { type Sql } from "sql-template-tag";
import { TextArrayParameter } from "../db/codec.js";
import { ConfigurationError, FilterError } from "../errors.js";
import { combineFilters, compileFilter, parseFilter, regexFilterError, type Filter } from "./filter/index.js";
import { scope, type ScopedStore } from "./open.js";
import { checkId } from "./rows.js";

export interface DeleteParams {
  /** Exact ids; those that are not there are passed over. */
  ids?: string[];
  /** Metadata filter, combined with the store's own. An empty filter is refused. */
  filter?: Filter;
}

/**
 * Checks what is to be deleted, before any I/O.
 *
 * @throws ConfigurationError unless exactly one of `ids` and `filter` is given.
 * @throws FilterError for an empty filter, which would delete everything.
 */
export function planDelete(params: DeleteParams): (store: ScopedStore) => Promise<number> {
  const { ids, filter } = params;
  if ((ids === undefined) === (filter === undefined)) {
    throw new ConfigurationError(
      ids === undefined
        ? "delete needs `ids` or a `filter`; got neither."
        : "delete takes `ids` or a `filter`, not both; make two calls.",
    );
  }
  if (ids !== undefined) {
    if (!Array.isArray(ids)) throw new ConfigurationError(`ids must be an array of strings, got ${typeof ids}.`);
    const wanted = ids.map((id) => checkId(id));
    if (wanted.length === 0) return () => Promise.resolve(0);
    return (store) => deleteWhere(store, sql`${store.columns.id} = any(${new TextArrayParameter(wanted)}::text[])`);
  }
  const node = parseFilter(filter);
  if (node === undefined) {
    throw new FilterError("delete: an empty filter would delete every row; say which rows, or delete by ids.", "");
  }
  return (store) => {
    const narrowed = combineFilters(store.options.filter, node)!;
    return deleteWhere(store, compileFilter(narrowed, store.columns)).catch((error: unknown) => {
      throw regexFilterError(error, narrowed) ?? error;
    });
  };
}

async function deleteWhere(store: ScopedStore, condition: Sql): Promise<number> {
  // A transaction rather than a lone statement, because that is what is tried again after a deadlock with a writer.
  const deleted = await store.database.transaction(store.settings, async (session) => {
    const { rowCount } = await session.execute({
      name: "delete",
      sql: sql`delete from ${store.table} where ${scope(store)} and ${condition}`,
    });
    return rowCount ?? 0;
  });
  store.memory.noteRows(store.tenant, deleted);
  store.keeper.noteRows(store, deleted);
  store.database.activity.countChunks("deleted", deleted);
  return deleted;
}

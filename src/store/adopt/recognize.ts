import { ConfigurationError, SchemaDriftError } from "../../errors.js";
import type { SchemaState } from "../../schema/inspect.js";
import { FIXED_COLUMNS, type Layout } from "../../schema/layout.js";
import { isBaseClassTable } from "../../schema/plan.js";

/** A `vector` column as Postgres prints its type, with or without dimensions and the extension's schema. */
const VECTOR = /(^|\.)vector(\(\d+\))?$/;

/**
 * Checks, without reading a row, that the table is one that LangChain's PGVectorStore made.
 *
 * @throws SchemaDriftError when it is missing, somebody else's, or has columns that ours would collide with.
 * @throws ConfigurationError when it has collections and the options do not say where.
 */
export function checkBaseTable(state: SchemaState, layout: Layout): void {
  const name = JSON.stringify(layout.table);
  const { columns } = state.chunks;
  if (!state.chunks.exists) throw new SchemaDriftError(`There is no table ${name} in ${JSON.stringify(state.schema)}.`);
  const missing = Object.values(layout.columns).filter((column) => !columns.has(column));
  const isVector = VECTOR.test(columns.get(layout.columns.embedding) ?? "");
  if (!isBaseClassTable(state.chunks) || missing.length > 0 || !isVector || state.server.vector === undefined) {
    throw new SchemaDriftError(
      `The table ${name} was not made by LangChain's PGVectorStore, or with other column names: it has ` +
        `${[...columns].map(([column, type]) => `${column} ${type}`).join(", ")}. ` +
        "Set `columns` (--columns) to the names it was created with.",
    );
  }
  const taken = Object.values(FIXED_COLUMNS).filter((column) => columns.has(column));
  if (taken.length > 0) {
    throw new SchemaDriftError(
      `The table ${name} has a column ${taken.join(", ")} of its own, a name that the library needs. ` +
        `Rename it first: alter table ... rename column ${taken[0]} to old_${taken[0]};`,
    );
  }
  if (columns.has("collection_id") && !state.collections?.exists) {
    const looked = layout.collectionsTable === undefined ? "" : ` (there is none named ${layout.collectionsTable})`;
    throw new ConfigurationError(
      `The table ${name} has collections; say in which table: set \`collectionTableName\` (--collection-table)${looked}.`,
    );
  }
}

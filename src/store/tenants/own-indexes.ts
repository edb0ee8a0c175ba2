import sql from "sql-template-tag";
import { printedLiteral, qualified, quoteQualified } from "../../db/identifiers.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { RECALL_TABLE } from "../../schema/layout.js";
import { dropIndex } from "../build-index.js";
import type { OpenStore } from "../open.js";

/**
 * Drops the partial indexes of a tenant's rows alone, which carry its id in name and definition, and what was measured of
 * them. A role that does not own the table is told to have the owner drop them.
 */
export async function removeOwnIndexes(
  store: OpenStore,
  tenant: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { table } = store.options.layout;
  const { rows } = await store.database.execute({
    name: "tenant-indexes",
    sql: sql`
      select c.relname::text as name, n.nspname::text as schema
      from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_namespace n on n.oid = c.relnamespace
      where i.indrelid = to_regclass(${quoteQualified(store.schema, table)}::text)
        and strpos(pg_get_expr(i.indpred, i.indrelid), ${`(tenant_id = ${printedLiteral(tenant)}::text)`}::text) > 0`,
  });
  const recall = qualified(store.schema, RECALL_TABLE);
  for (const { name, schema } of rows as { name: string; schema: string }[]) {
    try {
      await store.database.connection((session) => dropIndex(session, { schema, table, name }, { signal }), signal);
      await store.database.execute({
        name: "forget-recall",
        sql: sql`delete from ${recall} where store = ${table}::text and index_name = ${name}::text`,
      });
    } catch (error) {
      if (sqlstateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
      store.options.logger.warn(
        `langchain-pgvector: the index ${quoteQualified(schema, name)} of the deleted tenant is left, since this role ` +
          "does not own the table. Have the owner drop it: drop index concurrently.",
      );
    }
  }
  store.memory.forgetIndexes();
}

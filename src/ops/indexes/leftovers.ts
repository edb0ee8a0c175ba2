import sql from "sql-template-tag";
import { quoteQualified } from "../../db/identifiers.js";
import { dropIndex, type EnsureIndexOptions } from "../../store/build-index.js";
import type { OpenStore } from "../../store/open.js";

/** Others may begin rebuilds for as long as they are waited for. */
const MAX_ROUNDS = 5;

/**
 * Drops what interrupted rebuilds have left on the table and its partitions: invalid indexes to whose names Postgres has
 * added `_ccnew` or `_ccold`. They slow every write and serve nobody. A rebuild that is still at work is waited for by the lock that
 * a drop takes; when it has ended well, there is nothing of that name to drop.
 *
 * @returns their names.
 */
export async function cleanLeftovers(store: OpenStore, options: EnsureIndexOptions): Promise<string[]> {
  const cleaned = new Set<string>();
  // A rebuild that ends while it is waited for may leave `_ccold` where `_ccnew` was found.
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const leftovers = await findLeftovers(store);
    if (leftovers.length === 0) break;
    for (const index of leftovers) {
      await store.database.connection((session) => dropIndex(session, index, options), options.signal);
      cleaned.add(index.name);
    }
  }
  return [...cleaned];
}

async function findLeftovers(store: OpenStore): Promise<{ schema: string; table: string; name: string }[]> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute({
    name: "leftover-indexes",
    sql: sql`
      select n.nspname::text as schema, t.relname::text as table, c.relname::text as name
      from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_class t on t.oid = i.indrelid
      join pg_namespace n on n.oid = t.relnamespace
      where not i.indisvalid and c.relkind = 'i' and c.relname ~ '_cc(new|old)[0-9]*$'
        and (i.indrelid = to_regclass(${table}::text)
          or i.indrelid in (select relid from pg_partition_tree(to_regclass(${table}::text))))
      order by c.relname`,
  });
  return rows as unknown as { schema: string; table: string; name: string }[];
}

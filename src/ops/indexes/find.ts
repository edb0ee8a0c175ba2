import sql from "sql-template-tag";
import { quoteQualified } from "../../db/identifiers.js";
import { ConfigurationError } from "../../errors.js";
import type { OpenStore } from "../../store/open.js";

/** One index of a store's table, by its name. */
export interface FoundIndex {
  readonly schema: string;
  /** The table or partition that it is on. */
  readonly table: string;
  readonly name: string;
  readonly method: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly comment: string | null;
  /** Whether it is the index of a partitioned table, which has none of the rows itself. */
  readonly partitioned: boolean;
  /** The table's index that it is a part of. */
  readonly parent: string | null;
  /** The constraint that needs it. */
  readonly constraint: string | null;
  readonly valid: boolean;
}

/** What Postgres adds to the name of an index that it builds beside the old one, and to the old one afterwards. */
export const LEFTOVER = /_cc(new|old)\d*$/;

/** The indexes of the table and its partitions, in the order of their tables and names. */
export async function findIndexes(store: OpenStore): Promise<FoundIndex[]> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute({
    name: "find-indexes",
    sql: sql`
      select n.nspname::text as schema, t.relname::text as table, c.relname::text as name, a.amname::text as method,
        coalesce((
          select jsonb_object_agg(split_part(o, '=', 1), split_part(o, '=', 2)::float8)
          from unnest(c.reloptions) as o where split_part(o, '=', 2) ~ '^[0-9]+$'
        ), '{}') as parameters,
        obj_description(c.oid, 'pg_class') as comment, c.relkind = 'I' as partitioned, i.indisvalid as valid,
        (select p.relname::text from pg_inherits h join pg_class p on p.oid = h.inhparent where h.inhrelid = c.oid) as parent,
        (select k.conname::text from pg_constraint k where k.conindid = c.oid and k.contype in ('p', 'u', 'x') limit 1) as constraint
      from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_am a on a.oid = c.relam
      join pg_class t on t.oid = i.indrelid
      join pg_namespace n on n.oid = c.relnamespace
      where i.indrelid = to_regclass(${table}::text)
        or i.indrelid in (select relid from pg_partition_tree(to_regclass(${table}::text)))
      order by t.relname, c.relname`,
  });
  return rows as unknown as FoundIndex[];
}

/** The index of that name; without one the only vector index. @throws ConfigurationError naming those that there are. */
export function chooseIndex(store: OpenStore, indexes: readonly FoundIndex[], name: string | undefined): FoundIndex {
  const table = JSON.stringify(store.options.layout.table);
  const vector = indexes.filter(
    ({ method, parent, valid, name: its }) =>
      parent === null && (method === "hnsw" || method === "ivfflat") && (valid || !LEFTOVER.test(its)),
  );
  const named = name === undefined ? vector : indexes.filter((index) => index.name === name);
  if (named.length === 1) return named[0]!;
  const names = (name === undefined ? vector : indexes).map((index) => JSON.stringify(index.name)).join(", ");
  if (name !== undefined) {
    throw new ConfigurationError(`The table ${table} has no index ${JSON.stringify(name)}; it has ${names || "none"}.`);
  }
  throw new ConfigurationError(
    named.length === 0
      ? `The table ${table} has no vector index. Build one with: indexes create`
      : `The table ${table} has several vector indexes; say which one: ${names}.`,
  );
}

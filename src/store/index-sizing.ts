import sql, { raw, type Sql } from "sql-template-tag";
import { quoteQualified } from "../db/identifiers.js";
import type { OpenStore } from "./open.js";
import { storedBytes } from "./storage.js";

/** What decides how an index is built. */
export interface IndexSizing {
  /** Estimated by statistics and by size; partitions together. */
  readonly rows: number;
  readonly empty: boolean;
  /** Bytes. */
  readonly sharedBuffers: number;
}

/**
 * Rows of a table of `pg_class`: the pages that it has now, each with as many as the last vacuum or analyze found; null
 * before one. The counter of live rows has those of a load twice for a while when an analyze came right after it.
 */
export function estimatedRows(alias: string): Sql {
  const table = raw(alias);
  return sql`case when ${table}.reltuples > 0 and ${table}.relpages > 0 then round(${table}.reltuples::float8 / ${table}.relpages
    * (pg_relation_size(${table}.oid) / current_setting('block_size')::int)) when ${table}.reltuples > 0 then ${table}.reltuples end`;
}

export async function readIndexSizing(store: OpenStore): Promise<IndexSizing> {
  const { layout } = store.options;
  const table = quoteQualified(store.schema, layout.table);
  const vector = storedBytes(store.model);
  const { rows } = await store.database.execute({
    name: "index-sizing",
    sql: sql`
      select coalesce(sum(case
          when pg_relation_size(c.oid) = 0 then 0
          when coalesce(${estimatedRows("c")}, s.n_live_tup) > 0 then coalesce(${estimatedRows("c")}, s.n_live_tup)
          else pg_table_size(c.oid) / ${vector}::float8
        end), 0)::float8 as rows,
        coalesce(sum(pg_relation_size(c.oid)), 0) = 0 as empty,
        pg_size_bytes(current_setting('shared_buffers'))::float8 as "sharedBuffers"
      from (
        select to_regclass(${table}::text)::oid as oid
        union select relid from pg_partition_tree(to_regclass(${table}::text))
      ) r
      join pg_class c on c.oid = r.oid and c.relkind = 'r'
      left join pg_stat_user_tables s on s.relid = c.oid`,
  });
  const sizing = rows[0] as unknown as IndexSizing;
  // Deleted rows leave a table its size. Under row-level security its owner sees no rows to ask about.
  if (sizing.empty || layout.tenancy === "rls") return sizing;
  const found = await store.database.execute({
    name: "has-rows",
    sql: sql`select exists (select from ${store.table}) as there`,
  });
  return found.rows[0]!["there"] === true ? sizing : { ...sizing, rows: 0, empty: true };
}

import sql from "sql-template-tag";
import type { Statement } from "../../db/statement.js";

/** What a search depends on beside its indexes. */
export interface SearchedTable {
  /** As the planner knows them; -1 when it was never told. */
  readonly rows: number;
  readonly bytes: number;
  readonly live: number;
  readonly dead: number;
  readonly changedSinceAnalyze: number;
  /** Of the embedding column, as SQL. */
  readonly type: string | null;
}

/** The statement that reads {@link SearchedTable}, partitions summed. */
export function readSearchedTable(table: string, column: string): Statement {
  return {
    name: "read-searched-table",
    sql: sql`
      with parts as (
        select to_regclass(${table}::text)::oid as oid
        union select relid from pg_partition_tree(to_regclass(${table}::text))
      )
      select case when bool_or(c.reltuples < 0 and pg_relation_size(c.oid) > 0) then -1 else sum(greatest(c.reltuples, 0)) end::float8 as rows,
        sum(pg_relation_size(c.oid))::float8 as bytes, sum(pg_stat_get_live_tuples(c.oid))::float8 as live,
        sum(pg_stat_get_dead_tuples(c.oid))::float8 as dead, sum(pg_stat_get_mod_since_analyze(c.oid))::float8 as "changedSinceAnalyze",
        (select format_type(a.atttypid, a.atttypmod) from pg_attribute a
          where a.attrelid = to_regclass(${table}::text) and a.attname = ${column}::text) as type
      from parts join pg_class c on c.oid = parts.oid and c.relkind = 'r'`,
  };
}

/** The planner's number, or the size's when it has none. */
export function rowsOf({ rows, live, bytes }: SearchedTable): number {
  return rows >= 0 ? Math.max(rows, live) : Math.max(live, bytes / 8_192);
}

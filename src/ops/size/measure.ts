import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { SchemaVersionError } from "../../errors.js";
import { inspectSchema } from "../../schema/inspect.js";
import type { Layout, ModelVersion } from "../../schema/layout.js";
import { lexicalTables } from "../../schema/lexical.js";
import { estimatedRows } from "../../store/index-sizing.js";
import type { TableSize } from "./table.js";

/** What a store takes now, read from the catalog; bytes unless the name says otherwise. */
export interface StoreSize {
  readonly model: ModelVersion;
  /** From the pages there are and how many rows the last `analyze` found on each; before one, as statistics count them. */
  readonly rows: number;
  readonly table: TableSize;
  /** Every index on the vectors together. */
  readonly indexBytes: number;
  readonly lexicalBytes: number;
  readonly addedRowsPerDay: number;
  /** Days that the statistics behind {@link addedRowsPerDay} cover. */
  readonly observedDays: number;
}

/**
 * Measures a store: sizes of its files, with all partitions, and how fast rows came since the statistics began. Reads the
 * catalog alone.
 *
 * @throws SchemaVersionError when there is no such store.
 */
export async function measureStore(session: Session, layout: Layout): Promise<StoreSize> {
  const { activeModel: model, schema } = await inspectSchema(session, layout);
  if (model === undefined) {
    throw new SchemaVersionError(
      `There is no store ${JSON.stringify(layout.table)}; give --vectors and --dimensions to estimate one, or name another --table.`,
    );
  }
  const table = quoteQualified(schema, layout.table);
  const lexical = lexicalTables(layout.table).map((name) => quoteQualified(schema, name));
  const { rows } = await session.execute({
    name: "store-size",
    sql: sql`
      with parts as (
        select c.oid, c.reltoastrelid,
          ${estimatedRows("c")} as estimated
        from pg_class c
        where c.oid = to_regclass(${table}::text) and c.relkind = 'r'
          or c.oid in (select relid from pg_partition_tree(to_regclass(${table}::text)) where isleaf)
      ), indexes as (
        select i.indisprimary, a.amname in ('hnsw', 'ivfflat') as vectors, pg_relation_size(i.indexrelid) as bytes
        from pg_index i join parts p on p.oid = i.indrelid
        join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
      ), activity as (
        select sum(coalesce(p.estimated, s.n_live_tup)) as rows, sum(s.n_tup_ins - s.n_tup_del) as added
        from pg_stat_all_tables s join parts p on p.oid = s.relid
      ), since as (
        select greatest(extract(epoch from now() - coalesce(
          (select stats_reset from pg_stat_database where datname = current_database()), pg_postmaster_start_time())) / 86400,
          0.0001) as days
      )
      select
        (select rows from activity)::float8 as rows,
        (select sum(pg_table_size(oid) - coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0)) from parts)::float8 as heap,
        (select coalesce(sum(pg_total_relation_size(nullif(reltoastrelid, 0))), 0) from parts)::float8 as toast,
        (select coalesce(sum(bytes), 0) from indexes where not vectors)::float8 as keys,
        (select coalesce(sum(bytes), 0) from indexes where vectors)::float8 as vectors,
        (select coalesce(sum(pg_total_relation_size(to_regclass(name))), 0) from unnest(${new TextArrayParameter(lexical)}::text[]) as l(name))::float8 as lexical,
        (select added from activity)::float8 as added, (select days from since)::float8 as days`,
  });
  const row = rows[0] as unknown as Record<
    "rows" | "heap" | "toast" | "keys" | "vectors" | "lexical" | "added" | "days",
    number
  >;
  return {
    model,
    rows: row.rows,
    table: { heapBytes: row.heap, toastBytes: row.toast, primaryKeyBytes: row.keys },
    indexBytes: row.vectors,
    lexicalBytes: row.lexical,
    addedRowsPerDay: Math.max(0, row.added / row.days),
    observedDays: row.days,
  };
}

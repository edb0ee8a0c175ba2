import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { SchemaVersionError } from "../../errors.js";
import { inspectSchema } from "../../schema/inspect.js";
import type { Layout } from "../../schema/layout.js";
import { lexicalTables } from "../../schema/lexical.js";
import { estimatedRows } from "../../store/index-sizing.js";
import type { ProcessStats } from "./process.js";
import { readStatements, type StatementStats } from "./statements.js";

/** An index of the store and how it is used. Counts since the server's statistics were reset. */
export interface IndexStats {
  readonly name: string;
  readonly table: string;
  readonly method: string;
  readonly valid: boolean;
  readonly bytes: number;
  readonly scans: number;
  readonly tuplesRead: number;
  readonly tuplesFetched: number;
  readonly blocksHit: number;
  readonly blocksRead: number;
}

/** One table of the store, all of its partitions counted together. */
export interface TableStats {
  readonly name: string;
  readonly rows: number;
  readonly deadRows: number;
  readonly heapBytes: number;
  readonly toastBytes: number;
  readonly inserts: number;
  readonly updates: number;
  /** Updates that no index had to follow. */
  readonly hotUpdates: number;
  readonly deletes: number;
  readonly blocksHit: number;
  readonly blocksRead: number;
  /** Seconds since the last vacuum, by hand or automatic; `undefined` when there was none. */
  readonly sinceVacuum: number | undefined;
}

export interface ReplicaStats {
  readonly name: string;
  readonly state: string;
  readonly lagBytes: number;
  readonly lagSeconds: number;
}

/** What the server says about a store at one moment. */
export interface StoreStats {
  readonly at: Date;
  readonly store: string;
  readonly tables: readonly TableStats[];
  readonly indexes: readonly IndexStats[];
  /** By name, slowest in total first; `undefined` when `pg_stat_statements` is not there or may not be read. */
  readonly statements: readonly StatementStats[] | undefined;
  readonly connections: { readonly used: number; readonly active: number; readonly max: number };
  /** Standbys of this server, as its replication slots report them. */
  readonly replicas: readonly ReplicaStats[];
  /** Seconds that this server, being a standby, is behind its primary; `undefined` on a primary. */
  readonly behindSeconds: number | undefined;
  /** Of the process that asks, where it has the store open. */
  readonly process?: ProcessStats;
}

/**
 * Reads the statistics of a store: catalogs and views alone, no row of a table.
 *
 * @throws SchemaVersionError when there is no such store.
 */
export async function readStats(session: Session, layout: Layout): Promise<StoreStats> {
  const { activeModel, schema } = await inspectSchema(session, layout);
  if (activeModel === undefined) {
    throw new SchemaVersionError(
      `There is no store ${JSON.stringify(layout.table)} in this database; name another --table or --schema.`,
    );
  }
  const names = [layout.table, ...lexicalTables(layout.table)];
  const tables = new TextArrayParameter(names.map((name) => quoteQualified(schema, name)));
  // The smaller estimate of rows: the counter may have a load twice, the pages still have what no vacuum has removed.
  // A counter that knows of no row at all was lost in a crash.
  const { rows } = await session.execute({
    name: "stats",
    sql: sql`
      with roots as (
        select to_regclass(name) as root, split as name
        from unnest(${tables}::text[], ${new TextArrayParameter(names)}::text[]) as t(name, split)
        where to_regclass(name) is not null
      ), parts as (
        select r.name, r.root, c.oid, c.reltoastrelid, ${estimatedRows("c")} as estimated
        from roots r join pg_class c on c.oid = r.root and c.relkind = 'r'
          or c.oid in (select relid from pg_partition_tree(r.root) where isleaf and relid <> r.root)
      ), tables as (
        select p.name,
          coalesce(sum(least(p.estimated, case when s.n_live_tup + s.n_dead_tup > 0 then s.n_live_tup end)), 0)::float8 as rows,
          sum(s.n_dead_tup)::float8 as "deadRows",
          sum(pg_table_size(p.oid) - coalesce(pg_total_relation_size(nullif(p.reltoastrelid, 0)), 0))::float8 as "heapBytes",
          coalesce(sum(pg_total_relation_size(nullif(p.reltoastrelid, 0))), 0)::float8 as "toastBytes",
          sum(s.n_tup_ins)::float8 as inserts, sum(s.n_tup_upd)::float8 as updates,
          sum(s.n_tup_hot_upd)::float8 as "hotUpdates", sum(s.n_tup_del)::float8 as deletes,
          sum(coalesce(o.heap_blks_hit, 0) + coalesce(o.toast_blks_hit, 0))::float8 as "blocksHit",
          sum(coalesce(o.heap_blks_read, 0) + coalesce(o.toast_blks_read, 0))::float8 as "blocksRead",
          extract(epoch from now() - max(greatest(s.last_vacuum, s.last_autovacuum)))::float8 as "sinceVacuum"
        from parts p
        left join pg_stat_all_tables s on s.relid = p.oid
        left join pg_statio_all_tables o on o.relid = p.oid
        group by p.name
      ), indexes as (
        select c.relname::text as name, p.name as table, a.amname::text as method, i.indisvalid as valid,
          pg_relation_size(i.indexrelid)::float8 as bytes, coalesce(s.idx_scan, 0)::float8 as scans,
          coalesce(s.idx_tup_read, 0)::float8 as "tuplesRead", coalesce(s.idx_tup_fetch, 0)::float8 as "tuplesFetched",
          coalesce(o.idx_blks_hit, 0)::float8 as "blocksHit", coalesce(o.idx_blks_read, 0)::float8 as "blocksRead"
        from parts p
        join pg_index i on i.indrelid = p.oid
        join pg_class c on c.oid = i.indexrelid
        join pg_am a on a.oid = c.relam
        left join pg_stat_all_indexes s on s.indexrelid = i.indexrelid
        left join pg_statio_all_indexes o on o.indexrelid = i.indexrelid
      ), replicas as (
        select coalesce(nullif(application_name, ''), pid::text) as name, coalesce(state, 'unknown') as state,
          coalesce(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end,
            replay_lsn), 0)::float8 as "lagBytes",
          coalesce(extract(epoch from replay_lag), 0)::float8 as "lagSeconds"
        from pg_stat_replication
      )
      select
        (select coalesce(json_agg(t order by t.name), '[]') from tables t) as tables,
        (select coalesce(json_agg(i order by i.table, i.name), '[]') from indexes i) as indexes,
        (select coalesce(json_agg(r order by r.name), '[]') from replicas r) as replicas,
        (select json_build_object('used', count(*), 'active', count(*) filter (where state = 'active'),
          'max', current_setting('max_connections')::int) from pg_stat_activity where backend_type = 'client backend') as connections,
        case when pg_is_in_recovery() then case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
          else extract(epoch from now() - pg_last_xact_replay_timestamp()) end end::float8 as behind`,
  });
  const row = rows[0] as unknown as Omit<StoreStats, "at" | "store" | "statements" | "behindSeconds" | "process"> & {
    behind: number | null;
  };
  return {
    at: new Date(),
    store: layout.table,
    tables: row.tables.map((table) => ({ ...table, sinceVacuum: table.sinceVacuum ?? undefined })),
    indexes: row.indexes,
    statements: await readStatements(session),
    connections: row.connections,
    replicas: row.replicas,
    behindSeconds: row.behind ?? undefined,
  };
}

import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { TENANTS_TABLE } from "../../schema/layout.js";

/** A table of the store, or a partition, with what the statistics collector counted. */
export interface TableFacts {
  /** Quoted and qualified. */
  readonly name: string;
  readonly relation: string;
  /** The table that it is a partition of, at the top; else itself. */
  readonly root: string;
  readonly partitioned: boolean;
  readonly partition: boolean;
  readonly unlogged: boolean;
  /** -1 when it was never counted. */
  readonly rows: number;
  readonly bytes: number;
  readonly toastBytes: number;
  /** Bytes of an average row, from the planner's statistics; 0 when there are none, or row-level security hides them from this role. */
  readonly rowBytes: number;
  readonly options: Readonly<Record<string, string>>;
  readonly live: number;
  readonly dead: number;
  readonly changedSinceAnalyze: number;
  readonly updates: number;
  readonly hotUpdates: number;
  readonly lastVacuum: string | null;
  readonly lastAnalyze: string | null;
  /** Transactions since its oldest row was frozen. */
  readonly age: number;
  readonly primaryKey: boolean;
  /** Rights that the app role needs on it and does not have. */
  readonly missingRights: readonly string[];
  /** Names of its triggers that do not run. */
  readonly disabledTriggers: readonly string[];
  readonly triggers: readonly string[];
  /** Storage of each column that is compressed, by name and type. */
  readonly compressed: readonly { readonly column: string; readonly type: string }[];
}

/** Tables (quoted and qualified) and their partitions. */
export async function readTables(
  session: Session,
  tables: readonly string[],
  appRole: string | undefined,
): Promise<TableFacts[]> {
  const { rows } = await session.execute({
    name: "doctor-tables",
    sql: sql`
      with recursive tables as (
        select to_regclass(t.name)::oid as oid, to_regclass(t.name)::oid as root from unnest(${new TextArrayParameter(tables)}::text[]) as t (name)
        where to_regclass(t.name) is not null
        union
        select h.inhrelid, tables.root from tables join pg_inherits h on h.inhparent = tables.oid
        join pg_class p on p.oid = h.inhrelid and p.relkind in ('r', 'p')
      )
      select format('%I.%I', n.nspname, c.relname) as name, c.relname::text as relation,
        (select r.relname::text from pg_class r where r.oid = tables.root) as root,
        c.relkind = 'p' as partitioned, c.relispartition as partition, c.relpersistence = 'u' as unlogged,
        c.reltuples::float8 as rows,
        case c.relkind when 'p' then 0 else pg_relation_size(c.oid) end::float8 as bytes,
        case when c.reltoastrelid = 0 then 0 else pg_relation_size(c.reltoastrelid) end::float8 as "toastBytes",
        coalesce((select sum(s.avg_width) from pg_stats s where s.schemaname = n.nspname and s.tablename = c.relname), 0)::float8 as "rowBytes",
        coalesce((select jsonb_object_agg(option_name, option_value) from pg_options_to_table(c.reloptions)), '{}') as options,
        pg_stat_get_live_tuples(c.oid)::float8 as live, pg_stat_get_dead_tuples(c.oid)::float8 as dead,
        pg_stat_get_mod_since_analyze(c.oid)::float8 as "changedSinceAnalyze",
        pg_stat_get_tuples_updated(c.oid)::float8 as updates, pg_stat_get_tuples_hot_updated(c.oid)::float8 as "hotUpdates",
        greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid))::text as "lastVacuum",
        greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))::text as "lastAnalyze",
        case c.relkind when 'p' then 0 else age(c.relfrozenxid) end::float8 as age,
        exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'p') as "primaryKey",
        array(
          select p.name from unnest('{select,insert,update,delete}'::text[]) as p (name), pg_roles app
          where app.rolname = ${appRole ?? null}::text and not has_table_privilege(app.oid, c.oid, p.name)
            and (c.relname <> ${TENANTS_TABLE}::text or p.name in ('select', 'insert'))
        ) as "missingRights",
        array(select t.tgname::text from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled = 'D') as "disabledTriggers",
        array(select t.tgname::text from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal) as triggers,
        coalesce((
          select jsonb_agg(jsonb_build_object('column', a.attname, 'type', t.typname) order by a.attnum)
          from pg_attribute a join pg_type t on t.oid = a.atttypid
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attstorage in ('x', 'm')
            and t.typname in ('vector', 'halfvec', 'sparsevec')
        ), '[]') as compressed
      from tables
      join pg_class c on c.oid = tables.oid
      join pg_namespace n on n.oid = c.relnamespace
      order by c.relname`,
  });
  return rows as unknown as TableFacts[];
}

import sql, { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { quoteQualified } from "../../db/identifiers.js";

/** A transaction that has been open for a while, of whichever database: vacuum waits for all of them. */
export interface OpenTransaction {
  readonly pid: number;
  readonly role: string | null;
  readonly application: string;
  readonly state: string;
  readonly seconds: number;
  /** Transactions that have begun since what it may still see; `null` when it holds nothing back. */
  readonly holdsBack: number | null;
}

export interface Activity {
  /** Connections of clients in use. */
  readonly connections: number;
  readonly transactions: readonly OpenTransaction[];
  readonly prepared: readonly { readonly gid: string; readonly owner: string; readonly seconds: number }[];
  readonly standbys: readonly { readonly name: string; readonly state: string | null; readonly bytes: number | null }[];
  readonly slots: readonly { readonly name: string; readonly active: boolean; readonly bytes: number }[];
  /** Of the database: transactions since its oldest row was frozen. */
  readonly age: number;
  /** `undefined` when the extension is not there or shows this role nothing. */
  readonly statements: readonly StatementTimes[] | undefined;
  /** Sequences beside the tables. */
  readonly sequences: readonly { readonly name: string; readonly used: number }[];
}

/** One statement of the library, by the name in its comment. */
export interface StatementTimes {
  readonly name: string;
  readonly calls: number;
  readonly meanMs: number;
  readonly totalMs: number;
}

export async function readActivity(session: Session): Promise<Activity> {
  const { rows } = await session.execute({
    name: "doctor-activity",
    sql: sql`
      select
        (select count(*) from pg_stat_activity where backend_type = 'client backend')::float8 as connections,
        (select age(datfrozenxid) from pg_database where datname = current_database())::float8 as age,
        coalesce((
          select jsonb_agg(jsonb_build_object('pid', pid, 'role', usename, 'application', application_name,
            'state', state, 'seconds', extract(epoch from clock_timestamp() - xact_start),
            'holdsBack', greatest(age(backend_xmin), age(backend_xid))) order by xact_start)
          from pg_stat_activity
          where xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'
        ), '[]') as transactions,
        coalesce((
          select jsonb_agg(jsonb_build_object('gid', gid, 'owner', owner, 'seconds', extract(epoch from clock_timestamp() - prepared)) order by prepared)
          from pg_prepared_xacts
        ), '[]') as prepared,
        coalesce((
          select jsonb_agg(jsonb_build_object('name', application_name, 'state', state,
            'bytes', case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) end))
          from pg_stat_replication
        ), '[]') as standbys,
        coalesce((
          select jsonb_agg(jsonb_build_object('name', slot_name, 'active', active,
            'bytes', case when pg_is_in_recovery() then 0 else pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) end))
          from pg_replication_slots where restart_lsn is not null
        ), '[]') as slots,
        coalesce((
          select jsonb_agg(jsonb_build_object('name', format('%I.%I', schemaname, sequencename),
            'used', (last_value::numeric - min_value) / nullif(max_value::numeric - min_value, 0)))
          from pg_sequences where last_value is not null and not cycle and increment_by > 0
        ), '[]') as sequences`,
  });
  return { ...(rows[0] as unknown as Omit<Activity, "statements">), statements: await readStatements(session) };
}

async function readStatements(session: Session): Promise<StatementTimes[] | undefined> {
  const { rows: found } = await session.execute({
    name: "doctor-statements-schema",
    sql: sql`
      select n.nspname::text as schema from pg_extension e join pg_namespace n on n.oid = e.extnamespace
      where e.extname = 'pg_stat_statements'`,
  });
  const schema = found[0]?.["schema"] as string | undefined;
  if (schema === undefined) return undefined;
  const times = session.execute({
    name: "doctor-statements",
    sql: sql`
      select substring(query from 'langchain-pgvector:([a-z-]+)') as name, sum(calls)::float8 as calls,
        sum(total_exec_time)::float8 as "totalMs", (sum(total_exec_time) / sum(calls))::float8 as "meanMs"
      from ${raw(quoteQualified(schema, "pg_stat_statements"))}
      where dbid = (select oid from pg_database where datname = current_database()) and query like '%langchain-pgvector:%'
      group by 1 having sum(calls) > 0
      order by 3 desc`,
  });
  try {
    return (await times).rows as unknown as StatementTimes[];
  } catch (error) {
    if (UNREADABLE.has(sqlstateOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** Not among `shared_preload_libraries`, or not for this role. */
const UNREADABLE: ReadonlySet<string> = new Set(["55000", SQLSTATE.insufficientPrivilege]);

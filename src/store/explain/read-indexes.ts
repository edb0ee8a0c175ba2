import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Statement } from "../../db/statement.js";

/** An index of a store's tables, as the catalog describes it. */
export interface IndexFacts {
  readonly oid: number;
  /** Quoted and qualified, as is {@link table}. */
  readonly name: string;
  readonly table: string;
  /** The table's own name, without quotes. */
  readonly relation: string;
  readonly method: string;
  /** The first column; `null` for an expression. */
  readonly column: string | null;
  /** The first column or expression as SQL. */
  readonly expression: string;
  readonly opclass: string;
  readonly predicate: string | null;
  readonly valid: boolean;
  readonly building: boolean;
  readonly unique: boolean;
  /** Whether a constraint, or the index of a partitioned table, depends on it. */
  readonly required: boolean;
  /** Whether it is that of a partitioned table, without entries of its own. */
  readonly parent: boolean;
  readonly bytes: number;
  readonly scans: number;
  /** Transactions since it was made. */
  readonly age: number;
  /** Such as `lists=100`. */
  readonly options: readonly string[];
  /** What stands behind the table's name in `create index`. */
  readonly definition: string;
  /** Of the table: rows as the planner knows them (-1 when it does not), and bytes. */
  readonly rows: number;
  readonly tableBytes: number;
}

/** The statement that lists the indexes of tables (quoted and qualified) and of their partitions. */
export function readIndexesStatement(tables: readonly string[]): Statement {
  return {
    name: "read-indexes",
    sql: sql`
      with recursive tables as (
        select to_regclass(t.name)::oid as oid from unnest(${new TextArrayParameter(tables)}::text[]) as t (name)
        where to_regclass(t.name) is not null
        union
        select h.inhrelid from tables join pg_inherits h on h.inhparent = tables.oid
        join pg_class p on p.oid = h.inhrelid and p.relkind in ('r', 'p')
      )
      select i.indexrelid::int8::float8 as oid, format('%I.%I', n.nspname, c.relname) as name,
        format('%I.%I', tn.nspname, t.relname) as table, t.relname::text as relation, a.amname::text as method,
        (select v.attname::text from pg_attribute v where v.attrelid = i.indrelid and v.attnum = i.indkey[0]) as column,
        pg_get_indexdef(i.indexrelid, 1, true) as expression, o.opcname::text as opclass,
        pg_get_expr(i.indpred, i.indrelid) as predicate, i.indisvalid as valid, i.indisunique as unique,
        exists (select from pg_stat_progress_create_index b where b.index_relid = i.indexrelid) as building,
        exists (select from pg_constraint k where k.conindid = i.indexrelid)
          or exists (select from pg_inherits h where h.inhrelid = i.indexrelid) as required,
        c.relkind = 'I' as parent,
        case c.relkind when 'I' then 0 else pg_relation_size(i.indexrelid) end::float8 as bytes,
        coalesce(pg_stat_get_numscans(i.indexrelid), 0)::float8 as scans,
        age(i.xmin)::float8 as age, coalesce(c.reloptions, '{}') as options,
        regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? USING ', 'using ') as definition,
        t.reltuples::float8 as rows, case t.relkind when 'p' then 0 else pg_relation_size(t.oid) end::float8 as "tableBytes"
      from tables
      join pg_class t on t.oid = tables.oid
      join pg_namespace tn on tn.oid = t.relnamespace
      join pg_index i on i.indrelid = t.oid
      join pg_class c on c.oid = i.indexrelid
      join pg_namespace n on n.oid = c.relnamespace
      join pg_am a on a.oid = c.relam
      join pg_opclass o on o.oid = i.indclass[0]
      order by t.relname, c.relname`,
  };
}

export function isVectorIndex({ method }: IndexFacts): boolean {
  return method === "hnsw" || method === "ivfflat";
}

/** The value of a storage option, such as `lists`. */
export function indexOption({ options }: IndexFacts, name: string): number | undefined {
  const found = options.find((option) => option.startsWith(`${name}=`));
  return found === undefined ? undefined : Number(found.slice(name.length + 1));
}

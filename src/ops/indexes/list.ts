import sql from "sql-template-tag";
import { quoteQualified } from "../../db/identifiers.js";
import { estimatedRows } from "../../store/index-sizing.js";
import { areListsStale, chooseLists } from "../../store/index-parameters.js";
import { parseIndexNote, type IndexNote } from "../../store/index-note.js";
import { isOn } from "../../store/explain/index-faults.js";
import { metricOfOperatorClass } from "../../store/metric.js";
import type { OpenStore } from "../../store/open.js";
import { tenantOfPredicate } from "../../store/table-facts.js";
import type { Metric } from "../../schema/layout.js";
import { LEFTOVER } from "./find.js";

/** An index of a store's table, or of one of its partitions. */
export interface IndexInfo {
  readonly name: string;
  /** The table or partition that it is on. */
  readonly table: string;
  /** Access method: `hnsw`, `ivfflat`, `btree`, `gin`. */
  readonly type: string;
  /** What stands behind the table in `create index`. */
  readonly definition: string;
  /** `m` and `ef_construction`, or `lists`. */
  readonly parameters: Readonly<Record<string, number>>;
  /** What distances a vector index is for. */
  readonly metric: Metric | undefined;
  /** Whether searches of this store can use it: a valid vector index on the column of a model version, by its metric. */
  readonly serves: boolean;
  /** The tenant whose rows a partial index holds. */
  readonly tenantId: string | undefined;
  /** The table's index that it is the part of, on a partitioned table. */
  readonly parent: string | undefined;
  readonly unique: boolean;
  /** Whether a constraint needs it. */
  readonly constraint: boolean;
  /** `false`: an interrupted build, which slows writes and serves nobody. */
  readonly valid: boolean;
  /** What an interrupted rebuild has left behind. */
  readonly leftover: boolean;
  readonly bytes: number;
  /** Rows in it, when it was built or last vacuumed; `undefined` when the server has not counted. */
  readonly rows: number | undefined;
  readonly scans: number;
  readonly tuplesRead: number;
  readonly tuplesFetched: number;
  /** Of a build that is at work: what the server is at, and the share of it that is done, 0 to 1. */
  readonly building: { readonly phase: string; readonly done: number | undefined } | undefined;
  /** What its searches were measured to need; see `tune`. */
  readonly measured: IndexNote | undefined;
  /** The number of lists that the rows call for now, when an IVFFlat index has far more or fewer. */
  readonly staleLists: number | undefined;
}

/** Every index of the table and its partitions. Reads catalogue and statistics; takes no lock that could hold anyone up. */
export async function listIndexes(store: OpenStore): Promise<IndexInfo[]> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute(
    {
      name: "list-indexes",
      sql: sql`
        select c.relname::text as name, t.relname::text as table, a.amname::text as type,
          substr(pg_get_indexdef(c.oid), 1 + position(' USING ' in pg_get_indexdef(c.oid))) as definition,
          c.reloptions as options, o.opcname::text as opclass, v.attname::text as column,
          pg_get_indexdef(c.oid, 1, true) as expression,
          pg_get_expr(i.indpred, i.indrelid) as predicate, parent.relname::text as parent,
          i.indisunique as unique, i.indisvalid as valid,
          exists (select from pg_constraint k where k.conindid = c.oid and k.contype in ('p', 'u', 'x')) as constraint,
          pg_relation_size(c.oid)::float8 as bytes, c.reltuples::float8 as rows, coalesce(${estimatedRows("t")}, st.n_live_tup, 0)::float8 as "tableRows",
          coalesce(s.idx_scan, 0)::float8 as scans, coalesce(s.idx_tup_read, 0)::float8 as read,
          coalesce(s.idx_tup_fetch, 0)::float8 as fetched, obj_description(c.oid, 'pg_class') as note,
          p.phase, p.blocks_done::float8 as "blocksDone", p.blocks_total::float8 as "blocksTotal"
        from pg_index i
        join pg_class c on c.oid = i.indexrelid
        join pg_class t on t.oid = i.indrelid
        join pg_am a on a.oid = c.relam
        left join pg_opclass o on o.oid = i.indclass[0]
        left join pg_attribute v on v.attrelid = i.indrelid and v.attnum = i.indkey[0]
        left join pg_inherits h on h.inhrelid = c.oid
        left join pg_class parent on parent.oid = h.inhparent
        left join pg_stat_all_indexes s on s.indexrelid = c.oid
        left join pg_stat_all_tables st on st.relid = t.oid
        left join pg_stat_progress_create_index p on p.index_relid = c.oid
        where i.indrelid = to_regclass(${table}::text)
          or i.indrelid in (select relid from pg_partition_tree(to_regclass(${table}::text)))
        order by t.relname <> ${store.options.layout.table}::text, t.relname, c.relname`,
    },
    { settings: { search_path: "pg_catalog" } },
  );
  return (rows as unknown as IndexRow[]).map((row) => toInfo(store, row));
}

interface IndexRow {
  name: string;
  table: string;
  type: string;
  definition: string;
  options: string[] | null;
  opclass: string | null;
  column: string | null;
  expression: string;
  predicate: string | null;
  parent: string | null;
  unique: boolean;
  valid: boolean;
  constraint: boolean;
  bytes: number;
  rows: number;
  tableRows: number;
  scans: number;
  read: number;
  fetched: number;
  note: string | null;
  phase: string | null;
  blocksDone: number | null;
  blocksTotal: number | null;
}

/** What is about to be searched, and what still may be, needs its index as well. */
function servesSome(store: OpenStore, row: IndexRow): boolean {
  const others = store.models.live.filter(({ version }) => version !== store.model.version);
  return isOn(row, store.model, store.options.metric) || others.some((version) => isOn(row, version, version.metric));
}

/** Larger than this an index has entries, whatever the server last counted. */
const EMPTY_BYTES = 16_384;

function toInfo(store: OpenStore, row: IndexRow): IndexInfo {
  const parameters = Object.fromEntries(
    (row.options ?? [])
      .map((option) => option.split("=") as [string, string])
      .map(([key, value]) => [key, Number(value)]),
  );
  const metric = row.opclass === null ? undefined : metricOfOperatorClass(row.opclass, store.model.storageType);
  const vector = row.type === "hnsw" || row.type === "ivfflat";
  const lists = row.type === "ivfflat" ? (parameters["lists"] ?? 100) : undefined;
  return {
    name: row.name,
    table: row.table,
    type: row.type,
    definition: row.definition,
    parameters,
    metric: vector ? metric : undefined,
    serves: vector && row.valid && servesSome(store, row),
    tenantId: tenantOfPredicate(row.predicate),
    parent: row.parent ?? undefined,
    unique: row.unique,
    constraint: row.constraint,
    valid: row.valid,
    leftover: !row.valid && LEFTOVER.test(row.name),
    bytes: row.bytes,
    rows: row.valid && (row.rows > 0 || row.bytes <= EMPTY_BYTES) ? Math.max(0, row.rows) : undefined,
    scans: row.scans,
    tuplesRead: row.read,
    tuplesFetched: row.fetched,
    building:
      row.phase === null
        ? undefined
        : { phase: row.phase, done: row.blocksTotal ? row.blocksDone! / row.blocksTotal : undefined },
    measured: parseIndexNote(row.note),
    staleLists: lists !== undefined && areListsStale(lists, row.tableRows) ? chooseLists(row.tableRows) : undefined,
  };
}

import { vectorOf } from "../embeddings.js";
import type { LeakOperation } from "../operation.js";
import type { Step } from "../step.js";

/** Statements without any predicate on the tenant, in the shapes that SQL offers; `{t}` is the table of chunks. */
const READS: Readonly<Record<string, string>> = {
  "whole table": "select * from {t}",
  "table command": "table {t}",
  union: "select text from {t} union all select metadata::text from {t}",
  "common table expression": "with all_rows as materialized (select * from {t}) select text from all_rows",
  "recursive query":
    "with recursive r as (select text, 1 as depth from {t} union all select text, depth + 1 from r where depth < 2) select * from r",
  "lateral join":
    "select a.text, b.text as other from {t} a cross join lateral (select text from {t} where id = a.id) b",
  aggregates: "select string_agg(text, '|') as texts, jsonb_agg(metadata) as metadata, count(*) from {t}",
  extremes: "select min(text) as first, max(text) as last, min(metadata::text) as m from {t}",
  "row as text": "select t::text, to_jsonb(t) from {t} t",
  "window function": "select lag(text) over (order by id, tenant_id) as before, text from {t}",
  sample: "select text from {t} tablesample system (100)",
  "system columns": "select ctid::text, xmin::text, text from {t} where ctid > '(0,0)'::tid",
  "locking read": "select text from {t} for share",
  "locking read for update": "select text from {t} for update skip locked",
  "patterns on the text": "select text from {t} where text like 'LEAKMARK%' or text ~ 'LEAKMARK'",
  "operators on the metadata": "select text from {t} where metadata ? 'marker' or metadata @> '{\"n\": 1}'",
  "sub-select in an array": "select array(select text from {t}) as texts",
  "row expansion": "select (t).* from {t} t",
  "query as an argument": "select query_to_xml('select * from {t}', true, false, '')",
  "statistics of words": "select * from ts_stat('select to_tsvector(''simple'', text) from {t}')",
  collections: "select * from {c}",
  registry: "select * from {r}",
  notes: "select n.*, c.text from {n} n join {t} c on c.id = n.chunk_id",
  "planner statistics": "select * from pg_stats where tablename = '{name}'",
  "extended statistics": "select * from pg_stats_ext_exprs",
  "running statements": "select query from pg_stat_activity",
  "prepared statements": "select * from pg_prepared_statements",
  cursors: "select * from pg_cursors",
  "plan with values":
    "explain (analyze, verbose, costs off) select text from {t} where text like 'LEAKMARK%' order by text",
};

/** Catalog views, plans and functions that a database may lack or close; none may show rows of others. */
const MAY_FAIL = new Set(["query as an argument", "extended statistics"]);

export const RAW_READ_OPERATIONS: readonly LeakOperation[] = [
  ...Object.entries(READS).map(([name, text]): LeakOperation => ({
    name: `raw read: ${name}`,
    run: (step) => step.raw(MAY_FAIL.has(name) ? "either" : "result", named(step, text)),
  })),
  {
    name: "raw read: nearest to a row of another tenant",
    weight: 3,
    run: (step) =>
      step.raw("result", named(step, "select text from {t} order by embedding::text <> $1, id limit 50"), [
        `[${vectorOf(step.bait()).join(",")}]`,
      ]),
  },
  {
    name: "raw read: count",
    weight: 3,
    run: async (step) => {
      const reply = await step.raw(
        "result",
        named(step, "select count(*)::int as rows, count(distinct tenant_id)::int as tenants from {t}"),
      );
      const { rows = 0, tenants = 0 } = (reply?.rows[0] ?? {}) as { rows?: number; tenants?: number };
      step.saw(rows, step.tenant.rows.size);
      step.saw(tenants, 1);
    },
  },
  {
    name: "raw read: another tenant by name",
    weight: 4,
    run: async (step) => {
      const text = step.random.pick([
        "select * from {t} where tenant_id = $1",
        "select * from {t} where tenant_id = any(array[$1])",
        "select * from {t} where tenant_id = $1 and id = 'doc-1'",
        "select * from {t} where (tenant_id, collection, id) = ($1, 'alpha', 'doc-2')",
        "select * from {c} where tenant_id = $1",
        "select * from {r} where tenant_id = $1",
        "select * from {n} where tenant_id = $1",
      ]);
      step.saw((await step.raw("result", named(step, text), [step.other.id]))?.rows.length ?? 0);
    },
  },
  {
    name: "raw read: all but oneself",
    weight: 3,
    run: async (step) => {
      const text = step.random.pick([
        "select * from {t} where tenant_id <> $1",
        "select * from {r} where tenant_id <> $1",
      ]);
      step.saw((await step.raw("result", named(step, text), [step.tenant.id]))?.rows.length ?? 0);
    },
  },
];

/** Puts the names of the tables into a statement. */
export function named(step: Step, text: string): string {
  const { chunks, collections, notes, registry } = step.world.tables;
  const name = step.world.facts.args(step.collection).tableName ?? "";
  return text
    .replaceAll("{t}", chunks)
    .replaceAll("{c}", collections)
    .replaceAll("{n}", notes)
    .replaceAll("{r}", registry)
    .replaceAll("{name}", name);
}

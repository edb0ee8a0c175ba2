import sql, { join, type Sql } from "sql-template-tag";
import { printedLiteral, quoteQualified } from "../db/identifiers.js";
import { indexedBytes } from "./build-memory.js";
import { compileFilter, type FilterNode } from "./filter/index.js";
import { parseIndexNote } from "./index-note.js";
import { operatorClassName } from "./metric.js";
import { scope, type OpenStore, type ScopedStore } from "./open.js";
import type { TenantFacts, VectorIndex } from "./search-memory.js";

/** Reads the catalogue, of a replica too unless it says otherwise; takes no lock that could hold anyone up. */
export async function findVectorIndexes(store: OpenStore, from: "any" | "primary" = "any"): Promise<VectorIndex[]> {
  const { options, model } = store;
  const table = quoteQualified(store.schema, options.layout.table);
  const statement = {
    name: "find-vector-indexes",
    sql: sql`
      select i.indrelid::int8::float8 as relation, n.nspname::text as schema, c.relname::text as name,
        a.amname::text as method, pg_get_expr(i.indpred, i.indrelid) as predicate,
        (select substr(option, 7)::int4 from unnest(c.reloptions) as option where option like 'lists=%') as lists,
        pg_relation_size(i.indexrelid)::float8 as bytes, current_setting('block_size')::float8 as page,
        obj_description(i.indexrelid, 'pg_class') as note
      from pg_index i
      join pg_class c on c.oid = i.indexrelid and c.relkind = 'i'
      join pg_namespace n on n.oid = c.relnamespace
      join pg_am a on a.oid = c.relam and a.amname in ('hnsw', 'ivfflat')
      join pg_attribute v on v.attrelid = i.indrelid and v.attname = ${model.column}::text
        and case when ${model.quantization === "binary"}::bool
          then i.indkey[0] = 0 and pg_get_expr(i.indexprs, i.indrelid) like '%binary_quantize(%' and exists (
            select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
              and d.refobjid = i.indrelid and d.refobjsubid = v.attnum)
          else v.attnum = i.indkey[0] end
      join pg_opclass o on o.oid = i.indclass[0]
        and o.opcname = ${operatorClassName(options.metric, model.storageType, model.quantization)}::text
      where i.indisvalid
        and (i.indrelid = to_regclass(${table}::text)
          or i.indrelid in (select relid from pg_partition_tree(to_regclass(${table}::text))))`,
  };
  const { rows } = await store.database.execute(statement, from === "any" ? { replica: "any" } : {});
  return (rows as unknown as IndexRow[]).map(({ bytes, page, note, lists, ...index }) => {
    const setting = parseIndexNote(note)?.setting;
    return {
      ...index,
      efSearch: setting?.efSearch,
      // Without the option an IVFFlat index has pgvector's default.
      lists: index.method === "ivfflat" ? (lists ?? 100) : undefined,
      probes: setting?.probes,
      entries: Math.ceil((bytes / page) * entriesPerPage(page, model)),
    };
  });
}

interface IndexRow {
  relation: number;
  schema: string;
  name: string;
  method: "hnsw" | "ivfflat";
  lists: number | null;
  predicate: string | null;
  bytes: number;
  page: number;
  note: string | null;
}

/** An HNSW entry is its vector and, at `m` 16, about 300 bytes of neighbours and headers; a page holds whole ones. */
function entriesPerPage(page: number, model: OpenStore["model"]): number {
  return Math.max(1, Math.floor(page / (indexedBytes(model) + 300)));
}

/** Counting stops here, at a cost of some 10 ms; the planner's estimate is good enough for more. */
const MAX_COUNT = 100_000;

export async function readTenantFacts(store: ScopedStore): Promise<TenantFacts> {
  const row = await first(
    store,
    "tenant-facts",
    sql`
      select (select count(*) from (select from ${store.table} where ${scope(store)} limit ${MAX_COUNT}::int8) as r)::float8 as rows,
        (select tableoid::int8::float8 from ${store.table} where ${scope(store)} limit 1) as relation`,
  );
  const { rows, relation } = row as unknown as { rows: number; relation: number | null };
  const known = rows < MAX_COUNT ? rows : Math.max(rows, await estimateRows(store));
  return { rows: known, relation: relation ?? undefined };
}

async function estimateRows(store: ScopedStore): Promise<number> {
  const from = sql`select from ${store.table} where ${scope(store)}`;
  const row = await first(store, "estimate-rows", sql`explain (format json) ${from}`);
  const [explained] = row["QUERY PLAN"] as [{ Plan: { "Plan Rows": number } }];
  return explained.Plan["Plan Rows"];
}

const SAMPLE_ROWS = 1_000;

/** Share of the tenant's rows that a filter keeps, 0 to 1, among the first thousand that come. */
export async function sampleShare(store: ScopedStore, filter: FilterNode): Promise<number> {
  const { content, metadata, promoted } = store.columns;
  const read = [content, metadata, ...[...promoted.values()].map(({ column }) => column)];
  const sample: Sql = sql`select ${join(read)} from ${store.table} where ${scope(store)} limit ${SAMPLE_ROWS}::int8`;
  const condition = compileFilter(filter, store.columns);
  const row = await first(
    store,
    "sample-filter",
    sql`
      select count(*) filter (where ${condition})::float8 as matching, count(*)::float8 as sampled
      from (${sample}) as sample`,
  );
  const { matching, sampled } = row as unknown as { matching: number; sampled: number };
  // A filter that kept none of the sample may still keep some of the rest.
  return sampled === 0 ? 0 : Math.max(matching, 0.5) / sampled;
}

async function first(store: ScopedStore, name: string, statement: Sql): Promise<Record<string, unknown>> {
  const { rows } = await store.database.execute({ name, sql: statement }, { settings: store.settings, replica: "any" });
  return rows[0]!;
}

/** Whether a partial index with this predicate holds all rows of the tenant and the collection. */
export function coversTenant(predicate: string | null, tenant: string, collection: string): boolean {
  if (predicate === null) return true;
  const tenantIs = `(tenant_id = ${printedLiteral(tenant)}::text)`;
  const collectionIs = `(collection = ${printedLiteral(collection)}::text)`;
  return [tenantIs, collectionIs, `(${tenantIs} AND ${collectionIs})`, `(${collectionIs} AND ${tenantIs})`].includes(
    predicate,
  );
}

/** The tenant whose rows a partial index with this predicate is for; `undefined` when it names none. */
export function tenantOfPredicate(predicate: string | null): string | undefined {
  const [, literal] = /\(tenant_id = '((?:[^']|'')*)'::text\)/.exec(predicate ?? "") ?? [];
  return literal?.replaceAll("''", "'");
}

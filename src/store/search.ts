import { Document } from "@langchain/core/documents";
import sql, { empty, raw, type Sql } from "sql-template-tag";
import { orAbort } from "../db/abort.js";
import type { ReadRoute } from "../db/database.js";
import type { BinaryParameter } from "../db/pool.js";
import { StatementTemplate, type Statement } from "../db/statement.js";
import type { VectorInput } from "../db/sparse-vector.js";
import { compileFilter, regexFilterError, type FilterNode } from "./filter/index.js";
import { distanceOperator, hammingOperator, signsOf, similarityOf } from "./metric.js";
import { adviseIndex, isAdviceDue } from "./index-advice.js";
import { asEmbedding, embeddingAsText, toEmbedded, vectorValue, type Embedded } from "./embedding-column.js";
import { scope, type ScopedStore } from "./open.js";
import { planFromMemory, planSearch } from "./plan-search.js";
import { strategySettings, type SearchStrategy } from "./search-strategy.js";
import { checkVector } from "./vectors.js";
import { callNotes } from "../telemetry/call.js";

export interface DenseSearch {
  /** The query vector; of the `dimensions` of the store. */
  readonly vector: VectorInput;
  readonly k: number;
  /** Combined with the store's own filter by the caller. */
  readonly filter: FilterNode | undefined;
  readonly includeEmbeddings: boolean;
  /** At least so many candidates; when it is not said, as many as the index is known to need. */
  readonly efSearch: number | undefined;
  readonly probes: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Which replicas may answer; the primary does otherwise. */
  readonly replica?: ReadRoute;
}

/** One row found by vector; with its own vector when it was asked for. */
export interface DenseHit extends Readonly<Embedded> {
  readonly document: Document;
  /** Lower is better. */
  readonly distance: number;
  /** Higher is better; see {@link similarityOf}. */
  readonly similarity: number;
}

/**
 * The `k` rows nearest to a vector, nearest first. One statement, one round trip, exact or by index as the tenant's size
 * and the filter make it cheaper; when an index scan met too few rows to be trusted, an exact search in the same call
 * makes up for it.
 */
export function denseSearch(store: ScopedStore, search: DenseSearch): Promise<DenseHit[]> {
  return searchByVector(store, search, justNearest(store));
}

/** A statement around the rows nearest to a vector, and how its reply is read. */
export interface VectorStatement<T> {
  /** `counted` says that the nearest rows come with `met`, how many the scan met. */
  readonly statement: (nearest: Sql, counted: boolean) => Statement;
  /** Names a statement that has no values but those of the nearest rows, so that its text is made once. */
  readonly recurring?: string;
  /** The result, and `met`: that of the rows, else how many came by vector. */
  readonly read: (rows: Record<string, unknown>[]) => { readonly result: T; readonly met: number };
}

/** Runs a statement around the rows nearest to a vector as {@link denseSearch} does. */
export async function searchByVector<T>(
  store: ScopedStore,
  search: DenseSearch,
  around: VectorStatement<T>,
): Promise<T> {
  checkVector(search.vector, store.model, store.options.metric, () => "The query vector");
  const started = performance.now();
  const strategy = planFromMemory(store, search) ?? (await orAbort(planSearch(store, search), search.signal));
  const notes = callNotes();
  if (notes !== undefined) notes.strategy = strategy.kind;
  const begun = performance.now();
  const found = await runVectorStatement(store, search, strategy, around, started);
  if (strategy.kind === "exact") store.memory.noteTime(store.tenant, performance.now() - begun);
  // Advice must not cost the caller the rows that are already here.
  if (isAdviceDue(store)) await adviseIndex(store).catch(() => undefined);
  if (strategy.kind === "exact" || found.met >= strategy.enough) return found.result;
  if (notes !== undefined) notes.strategy = "both";
  return (await runVectorStatement(store, search, { kind: "exact" }, around, started)).result;
}

/** One search in a given way: the hits, and how many rows the scan met. */
export async function runSearch(
  store: ScopedStore,
  search: DenseSearch,
  strategy: SearchStrategy,
): Promise<{ readonly hits: DenseHit[]; readonly met: number }> {
  const { result, met } = await runVectorStatement(store, search, strategy, justNearest(store), performance.now());
  return { hits: result, met };
}

function justNearest(store: ScopedStore): VectorStatement<DenseHit[]> {
  return {
    statement: (nearest) => ({ name: "search", sql: nearest }),
    recurring: "search",
    read: (rows) => {
      const found = rows as unknown as SearchRow[];
      return { result: found.map((row) => toHit(row, store)), met: found[0]?.met ?? found.length };
    },
  };
}

/** @param started when the call began, by `performance.now()`: `timeoutMs` is for all of it. */
async function runVectorStatement<T>(
  store: ScopedStore,
  search: DenseSearch,
  strategy: SearchStrategy,
  around: VectorStatement<T>,
  started: number,
): Promise<{ readonly result: T; readonly met: number }> {
  const elapsed = Math.floor(performance.now() - started);
  const timeoutMs = search.timeoutMs === undefined ? undefined : Math.max(1, search.timeoutMs - elapsed);
  try {
    const { rows } = await store.database.execute(statementFor(store, search, strategy, around), {
      settings: strategySettings(strategy, { iterative: store.iterativeScan }, store.settings),
      signal: search.signal,
      timeoutMs,
      prepare: keepsPlan(strategy, around) ? "generic" : true,
      replica: search.replica,
    });
    return around.read(rows);
  } catch (error) {
    throw regexFilterError(error, search.filter) ?? error;
  }
}

/** Looking words up has better ways than bitmaps, so that only the plain statement keeps the plan of an exact search. */
function keepsPlan(
  { kind, keepsPlan: same = false }: SearchStrategy,
  { recurring }: VectorStatement<unknown>,
): boolean {
  return same && (kind === "index" || recurring !== undefined);
}

function statementFor<T>(
  store: ScopedStore,
  search: DenseSearch,
  strategy: SearchStrategy,
  { statement, recurring }: VectorStatement<T>,
): Statement {
  const { filter, includeEmbeddings, k } = search;
  const exact = strategy.kind === "exact";
  const bySigns = store.model.quantization === "binary" && !exact;
  const counted = isCounted(search, strategy);
  const predicate = exact ? undefined : strategy.predicate;
  const shape = { filter, includeEmbeddings, bySigns, exact, counted, predicate };
  const fetch = exact ? k : bySigns ? rerankedOf(strategy) : strategy.fetch;
  const values = { tenant: store.tenant, vector: vectorValue(search.vector, store.model), fetch, k };
  if (recurring === undefined || filter !== undefined) return statement(nearestSql(store, shape, values), counted);
  const { models, model, options } = store;
  const kind = `${recurring} ${exact} ${counted} ${includeEmbeddings}`;
  const key = `${kind} ${models.epoch} ${options.metric} ${model.column} ${options.collection}\n${predicate}`;
  const make = (): StatementTemplate<NearestValues> =>
    new StatementTemplate((slots) => statement(nearestSql(store, shape, slots), counted));
  return store.memory.template(key, make).statement(values);
}

/** Whether the rows have to say how many the scan met, since more of them had to be met than are returned. */
function isCounted(search: DenseSearch, strategy: SearchStrategy): boolean {
  return strategy.kind === "index" && strategy.enough > search.k;
}

/** The distance of the current row to a vector, as an expression. */
export function distanceTo(store: ScopedStore, vector: Sql): Sql {
  return sql`${store.columns.embedding} ${distanceOperator(store.options.metric, store.server.vector.schema)} ${vector}`;
}

/** What an index of signs is scanned by: how many signs differ from those of a vector. */
function signDistance(store: ScopedStore, vector: Sql): Sql {
  const { schema } = store.server.vector;
  const { dimensions } = store.model;
  return sql`${signsOf(store.columns.embedding, dimensions, schema)} ${hammingOperator(schema)} ${signsOf(sql`(${vector})`, dimensions, schema)}`;
}

/** What decides about the text of a statement for the nearest rows. */
interface NearestShape {
  readonly filter: FilterNode | undefined;
  readonly includeEmbeddings: boolean;
  readonly exact: boolean;
  readonly bySigns: boolean;
  readonly counted: boolean;
  readonly predicate: string | undefined;
}

/** Its values, beside those of a filter. */
export interface NearestValues {
  readonly tenant: string;
  readonly vector: BinaryParameter;
  /** Rows that are taken from the scan. */
  readonly fetch: number;
  readonly k: number;
}

function nearestSql(store: ScopedStore, shape: NearestShape, { tenant, vector: value, fetch, k }: NearestValues): Sql {
  const { id, content, metadata } = store.columns;
  const vector = asEmbedding(store, sql`${value}`);
  const distance = distanceTo(store, vector);
  // Version 18 forgets over a single partition that its index was discouraged; this order no index can serve anyway.
  const measured = store.partitioned && shape.exact ? sql`(${distance}) + 0` : distance;
  const filter = shape.filter === undefined ? empty : sql` and ${compileFilter(shape.filter, store.columns)}`;
  const partial = shape.predicate === undefined ? empty : sql` and ${raw(shape.predicate)}`;
  // The order must be the bare distance, or no index can serve it; by name, so that the vector travels once. A relaxed
  // scan is sorted again outside, and rows without a direction (NaN) are dropped there, where they cannot change the plan.
  return sql`
    with nearest as materialized (
      select ${id} as id, ${content} as content, ${metadata} as metadata,
        ${shape.includeEmbeddings ? sql`${embeddingAsText(store)} as embedding,` : empty} ${measured} as distance
      from ${store.table}
      where ${scope({ ...store, tenant })}${partial}${filter}
      order by ${shape.bySigns ? signDistance(store, vector) : raw("distance")}
      limit ${fetch}::int8
    )
    select *${shape.counted ? sql`, (count(*) over ())::int4 as met` : empty}
    from nearest where distance <> 'NaN' order by distance, id limit ${k}::int8`;
}

/** All candidates of a scan by signs are compared exactly: signs alone say too little. */
function rerankedOf(strategy: Extract<SearchStrategy, { kind: "index" }>): number {
  return Math.max(strategy.fetch, strategy.efSearch);
}

interface SearchRow {
  id: string;
  content: string;
  metadata: Record<string, unknown>;
  embedding?: string;
  distance: number;
  met?: number;
}

function toHit(row: SearchRow, store: ScopedStore): DenseHit {
  const { id, content, metadata, embedding, distance } = row;
  const document = new Document({ id, pageContent: content, metadata });
  const hit = { document, distance, similarity: similarityOf(distance, store.options.metric) };
  return embedding === undefined ? hit : { ...hit, ...toEmbedded(embedding, store.model) };
}

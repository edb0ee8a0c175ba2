import { Document } from "@langchain/core/documents";
import sql, { empty, raw, type Sql } from "sql-template-tag";
import { orAbort } from "../db/abort.js";
import type { ReadRoute, Statement } from "../db/database.js";
import type { VectorInput } from "../db/sparse-vector.js";
import { compileFilter, regexFilterError, type FilterNode } from "./filter/index.js";
import { distanceOperator, hammingOperator, signsOf, similarityOf } from "./metric.js";
import { adviseIndex } from "./index-advice.js";
import { embeddingAsText, toEmbedded, vectorParameter, type Embedded } from "./embedding-column.js";
import { scope, type ScopedStore } from "./open.js";
import { findIndexOf, planSearch } from "./plan-search.js";
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

/** The first pgvector that goes on scanning an index when a filter has removed too many rows. */
const ITERATIVE_SCAN_VERSION = [0, 8] as const;

/**
 * The `k` rows nearest to a vector, nearest first. One statement, one round trip, exact or by index as the tenant's size
 * and the filter make it cheaper; when an index scan met too few rows to be trusted, an exact search in the same call
 * makes up for it.
 */
export async function denseSearch(store: ScopedStore, search: DenseSearch): Promise<DenseHit[]> {
  return searchByVector(store, search, justNearest(store));
}

/** A statement around the rows nearest to a vector, and how its reply is read. */
export interface VectorStatement<T> {
  /** `counted` says that the nearest rows come with `met`, how many the scan met. */
  readonly statement: (nearest: Sql, counted: boolean) => Statement;
  /** The result, and `met`: that of the rows, else how many came by vector. */
  readonly read: (rows: Record<string, unknown>[]) => { readonly result: T; readonly met: number };
  /** Whether making the plan takes long enough to keep one where any values have the same. */
  readonly long?: boolean;
}

/** Runs a statement around the rows nearest to a vector as {@link denseSearch} does. */
export async function searchByVector<T>(
  store: ScopedStore,
  search: DenseSearch,
  around: VectorStatement<T>,
): Promise<T> {
  checkVector(search.vector, store.model, store.options.metric, () => "The query vector");
  const started = performance.now();
  const strategy = await orAbort(planSearch(store, search), search.signal);
  const notes = callNotes();
  if (notes !== undefined) notes.strategy = strategy.kind;
  const begun = performance.now();
  const found = await runVectorStatement(store, search, strategy, around, started);
  if (strategy.kind === "exact") store.memory.noteTime(store.tenant, performance.now() - begun);
  // Advice must not cost the caller the rows that are already here.
  await adviseIndex(store).catch(() => undefined);
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
  { statement, read, long = false }: VectorStatement<T>,
  started: number,
): Promise<{ readonly result: T; readonly met: number }> {
  const scan = { iterative: hasIterativeScan(store.server.vector.version) };
  const elapsed = Math.floor(performance.now() - started);
  const timeoutMs = search.timeoutMs === undefined ? undefined : Math.max(1, search.timeoutMs - elapsed);
  const settings = { ...store.settings, ...strategySettings(strategy, scan) };
  const counted = isCounted(search, strategy);
  const generic = long && (await isSamePlan(store, search, strategy));
  const { rows } = await store.database
    .execute(statement(searchSql(store, search, strategy), counted), {
      settings,
      signal: search.signal,
      timeoutMs,
      prepare: generic ? "generic" : true,
      replica: search.replica,
    })
    .catch((error: unknown) => {
      throw regexFilterError(error, search.filter) ?? error;
    });
  return read(rows);
}

/** Whether the plan is the same for all tenants, vectors and numbers of rows: the one index of all of them serves it. */
async function isSamePlan(store: ScopedStore, search: DenseSearch, strategy: SearchStrategy): Promise<boolean> {
  if (strategy.kind === "exact" || store.partitioned || search.filter !== undefined) return false;
  return (await findIndexOf(store))?.predicate === null;
}

/** Whether the rows have to say how many the scan met, since more of them had to be met than are returned. */
function isCounted(search: DenseSearch, strategy: SearchStrategy): boolean {
  return strategy.kind === "index" && strategy.enough > search.k;
}

/** The distance of the current row to a vector, as an expression. */
export function distanceTo(store: ScopedStore, vector: VectorInput): Sql {
  const operator = distanceOperator(store.options.metric, store.server.vector.schema);
  return sql`${store.columns.embedding} ${operator} ${vectorParameter(store, vector)}`;
}

/** What an index of signs is scanned by: how many signs differ from those of a vector. */
function signDistance(store: ScopedStore, vector: VectorInput): Sql {
  const { schema } = store.server.vector;
  const { dimensions } = store.model;
  const asked = vectorParameter(store, vector);
  return sql`${signsOf(store.columns.embedding, dimensions, schema)} ${hammingOperator(schema)} ${signsOf(sql`(${asked})`, dimensions, schema)}`;
}

function searchSql(store: ScopedStore, search: DenseSearch, strategy: SearchStrategy): Sql {
  const { id, content, metadata } = store.columns;
  const distance = distanceTo(store, search.vector);
  // Version 18 forgets over a single partition that its index was discouraged; this order no index can serve anyway.
  const measured = store.partitioned && strategy.kind === "exact" ? sql`(${distance}) + 0` : distance;
  const filter = search.filter === undefined ? empty : sql` and ${compileFilter(search.filter, store.columns)}`;
  const counted = isCounted(search, strategy);
  const bySigns = store.model.quantization === "binary" && strategy.kind === "index";
  const fetch = strategy.kind === "exact" ? search.k : bySigns ? rerankedOf(strategy) : strategy.fetch;
  // The order must be the bare distance, or no index can serve it; by name, so that the vector travels once. A relaxed
  // scan is sorted again outside, and rows without a direction (NaN) are dropped there, where they cannot change the plan.
  return sql`
    with nearest as materialized (
      select ${id} as id, ${content} as content, ${metadata} as metadata,
        ${search.includeEmbeddings ? sql`${embeddingAsText(store)} as embedding,` : empty} ${measured} as distance
      from ${store.table}
      where ${scope(store)}${filter}
      order by ${bySigns ? signDistance(store, search.vector) : raw("distance")}
      limit ${fetch}::int8
    )
    select *${counted ? sql`, (count(*) over ())::int4 as met` : empty}
    from nearest where distance <> 'NaN' order by distance, id limit ${search.k}::int8`;
}

/** All candidates of a scan by signs are compared exactly: signs alone say too little. */
function rerankedOf(strategy: Extract<SearchStrategy, { kind: "index" }>): number {
  return Math.max(strategy.fetch, strategy.efSearch);
}

function hasIterativeScan(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantMajor, wantMinor] = ITERATIVE_SCAN_VERSION;
  return major > wantMajor || (major === wantMajor && minor >= wantMinor);
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
  const similarity = similarityOf(distance, store.options.metric);
  return { document, distance, similarity, ...toEmbedded(embedding, store.model) };
}

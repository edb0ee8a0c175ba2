import sql, { raw, type Sql } from "sql-template-tag";
import { quoteIdentifier } from "../db/identifiers.js";
import type { VectorInput } from "../db/sparse-vector.js";
import { asEmbedding, vectorsParameter } from "./embedding-column.js";
import type { FilterNode } from "./filter/index.js";
import { distanceOperator } from "./metric.js";
import { scope, type ScopedStore } from "./open.js";
import { planSearch, tenantFacts } from "./plan-search.js";
import { searchFor, type Question } from "./recall-questions.js";
import { runSearch } from "./search.js";
import type { SearchStrategy } from "./search-strategy.js";

/** Microseconds for one row: what fetching its vector takes, and each question that it is compared with. */
const ROW_COST = { fetch: 4, question: 0.3 } as const;
const MOST_TOGETHER = 100;
/** Computed twice, a distance may differ by rounding. */
const ROUNDING = 1e-6;

interface AskOptions {
  readonly k: number;
  readonly filter?: FilterNode | undefined;
  /** Of `performance.now()`. */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
}

/** Asks exactly, until all are asked or the deadline has passed. */
export async function askExactly(
  store: ScopedStore,
  vectors: readonly VectorInput[],
  { k, filter, deadline, signal }: AskOptions,
): Promise<Question[]> {
  const [first] = vectors;
  if (first !== undefined && filter === undefined && store.model.storageType !== "sparsevec") {
    const strategy = await planSearch(store, searchFor(first, { k }));
    if (strategy.kind === "index") return askTogether(store, vectors, strategy, { k, deadline, signal });
  }
  return askEach(store, vectors, { k, filter, deadline, signal });
}

async function askEach(
  store: ScopedStore,
  vectors: readonly VectorInput[],
  { k, filter, deadline, signal }: AskOptions,
): Promise<Question[]> {
  const questions: Question[] = [];
  for (const vector of vectors) {
    if (performance.now() >= deadline) break;
    const { hits } = await runSearch(store, searchFor(vector, { k, filter, signal }), { kind: "exact" });
    if (hits.length > 0) questions.push({ store, vector, filter, limit: hits.at(-1)!.distance, nearest: hits.length });
  }
  return questions;
}

/**
 * The same for many questions in one pass over the rows, which are fetched once instead of once for each. A search by index
 * says how far away the `k` nearest are at most, so that of all distances only the few below that have to be kept. Questions
 * that the index finds fewer than `k` rows for are asked one by one: left out, they would flatter it.
 */
async function askTogether(
  store: ScopedStore,
  vectors: readonly VectorInput[],
  strategy: SearchStrategy,
  { k, deadline, signal }: AskOptions,
): Promise<Question[]> {
  const { rows } = await tenantFacts(store);
  const questions: Question[] = [];
  const waiting = [...vectors];
  while (waiting.length > 0 && performance.now() < deadline) {
    const perRow = (1_000 * (deadline - performance.now())) / Math.max(1, rows);
    const affordable = Math.floor((perRow - ROW_COST.fetch) / ROW_COST.question);
    const batch = waiting.splice(0, Math.max(1, Math.min(MOST_TOGETHER, affordable)));
    const bounded: { vector: VectorInput; bound: number }[] = [];
    const unbounded: VectorInput[] = [];
    for (const vector of batch) {
      const { hits } = await runSearch(store, searchFor(vector, { k, signal }), strategy);
      if (hits.length === k) bounded.push({ vector, bound: hits.at(-1)!.distance });
      else unbounded.push(vector);
    }
    questions.push(...(await askEach(store, unbounded, { k, deadline, signal })));
    if (bounded.length === 0) continue;
    const limits = await limitsOf(store, bounded, k, signal);
    bounded.forEach(({ vector }, index) => {
      const limit = limits.get(index);
      if (limit !== undefined) questions.push({ store, vector, filter: undefined, limit, nearest: k });
    });
  }
  return questions;
}

/** Distance of the `k`-th nearest row to each vector, by its place, where so many are within its bound. */
async function limitsOf(
  store: ScopedStore,
  asked: readonly { readonly vector: VectorInput; readonly bound: number }[],
  k: number,
  signal: AbortSignal | undefined,
): Promise<Map<number, number>> {
  const { schema } = store.server.vector;
  const operator = distanceOperator(store.options.metric, schema);
  const vectors = vectorsParameter(
    store,
    asked.map(({ vector }) => vector),
    store.model,
  );
  const bounds = asked.map(({ bound }) => bound + ROUNDING * Math.max(1, Math.abs(bound)));
  // Cut out whole: the copy is in memory, where the column's own would be fetched out of TOAST for each comparison.
  const whole: Sql = raw(`${quoteIdentifier(schema)}.subvector`);
  const distance = sql`stored.embedding ${operator} asked.vector`;
  const { rows } = await store.database.execute(
    {
      name: "ask-exactly",
      sql: sql`
        with asked as materialized (
          select ${asEmbedding(store, sql`vector`)} as vector, bound, place
          from unnest(${vectors}, ${bounds}::float8[]) with ordinality as a (vector, bound, place)
        )
        select (asked.place - 1)::int4 as place, (array_agg(${distance} order by ${distance}))[${k}::int4] as distance
        from (
          select ${whole}(${store.columns.embedding}, 1, ${store.model.dimensions}::int4) as embedding
          from ${store.table} where ${scope(store)} and ${store.columns.embedding} is not null
          offset 0
        ) as stored
        join asked on ${distance} <= asked.bound
        group by asked.place`,
    },
    // The rows have to be the outer side of the join: kept for the inner one, all their vectors would go through a file.
    { settings: { ...store.settings, jit: "off", enable_material: "off" }, signal },
  );
  return new Map(
    rows.flatMap(({ place, distance: limit }) => (limit === null ? [] : [[place as number, limit as number] as const])),
  );
}

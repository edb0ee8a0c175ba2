import sql from "sql-template-tag";
import { qualified } from "../db/identifiers.js";
import { mix, type VectorInput } from "../db/sparse-vector.js";
import { TENANTS_TABLE } from "../schema/layout.js";
import { embeddingAsText, readEmbedding } from "./embedding-column.js";
import type { FilterNode } from "./filter/index.js";
import type { SearchSetting } from "./index-note.js";
import { scope, scopeTo, type OpenStore, type ScopedStore } from "./open.js";
import { DEFAULT_TENANT } from "./options.js";
import { tenantFacts } from "./plan-search.js";
import type { DenseHit, DenseSearch } from "./search.js";

/** How much of another row's vector is added to a row's to make a question. */
const ADDED = 0.55;
/** Tenants whose rows are counted to find the largest. */
const COUNTED_TENANTS = 50;
/** Distances of one vector that two plans computed may differ by rounding. */
const TIE = 1e-6;

/** A search whose true answer is known. */
export interface Question {
  readonly store: ScopedStore;
  readonly vector: VectorInput;
  readonly filter: FilterNode | undefined;
  /** Distance of the last of the true `k` nearest. */
  readonly limit: number;
  /** How many there are: `k`, or all rows that match when they are fewer. */
  readonly nearest: number;
}

/** Some active tenants with their rows, the largest first; the only one without tenancy. */
export async function largestTenants(open: OpenStore): Promise<{ store: ScopedStore; rows: number }[]> {
  const { layout } = open.options;
  const counted: { store: ScopedStore; rows: number }[] = [];
  for (const tenant of layout.tenancy === "off" ? [DEFAULT_TENANT] : await someTenants(open)) {
    const store = scopeTo(open, tenant);
    counted.push({ store, rows: (await tenantFacts(store)).rows });
  }
  return counted.toSorted((a, b) => b.rows - a.rows);
}

async function someTenants(open: OpenStore): Promise<string[]> {
  const { rows } = await open.database.execute({
    name: "some-tenants",
    sql: sql`
      select tenant_id from ${qualified(open.schema, TENANTS_TABLE)}
      where store = ${open.options.layout.table}::text and state = 'active'
      order by random() limit ${COUNTED_TENANTS}::int8`,
  });
  return rows.map((row) => row["tenant_id"] as string);
}

/**
 * Vectors to ask with: each a row's with a part of another row's added. Vectors of rows themselves are far too easy:
 * recall 0.997 where real questions had 0.943, and mixtures 0.93 or less. See docs/decisions/0007-search-strategy.md.
 */
export async function sampleQuestions(store: ScopedStore, count: number): Promise<VectorInput[]> {
  // Shuffled, since rows that lie together in the table are often alike.
  const vectors = shuffled(await sampleVectors(store, 2 * count));
  return Array.from({ length: Math.floor(vectors.length / 2) }, (_, i) =>
    mix(vectors[2 * i]!, vectors[2 * i + 1]!, ADDED),
  );
}

/** Share of the true nearest that the hits have, 0 to 1; another row at the same distance counts. */
export function recallOfHits({ limit, nearest }: Question, hits: readonly DenseHit[]): number {
  const found = hits.filter(({ distance }) => distance <= limit + TIE * Math.max(1, Math.abs(limit))).length;
  return Math.min(1, found / nearest);
}

/** The mean of some recalls, and its standard error. */
export function meanRecall(recalls: readonly number[]): { recall: number; error: number } {
  const count = recalls.length;
  const recall = recalls.reduce((sum, value) => sum + value, 0) / Math.max(1, count);
  const variance = recalls.reduce((sum, value) => sum + (value - recall) ** 2, 0) / Math.max(1, count - 1);
  return { recall, error: Math.sqrt(variance / Math.max(1, count)) };
}

/** A plain search by vector. */
export function searchFor(
  vector: VectorInput,
  options: {
    readonly k: number;
    readonly filter?: FilterNode | undefined;
    readonly setting?: SearchSetting | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): DenseSearch {
  const { k, filter, setting, signal } = options;
  return {
    vector,
    k,
    filter,
    includeEmbeddings: false,
    efSearch: setting?.efSearch,
    probes: setting?.probes,
    timeoutMs: undefined,
    signal,
  };
}

/** Vectors of rows from all over the tenant. */
export async function sampleVectors(store: ScopedStore, count: number): Promise<VectorInput[]> {
  const { rows: size } = await tenantFacts(store);
  const share = Math.min(1, (1.5 * count) / Math.max(1, size));
  const { rows } = await store.database.execute(
    {
      name: "sample-vectors",
      sql: sql`
        select ${embeddingAsText(store)} as embedding from ${store.table}
        where ${scope(store)} and random() < ${share}::float8 and ${store.columns.embedding} is not null
        limit ${count}::int8`,
    },
    { settings: store.settings },
  );
  return rows.map((row) => readEmbedding(row["embedding"] as string, store.model));
}

function shuffled<T>(items: readonly T[]): T[] {
  const places = items.map((item) => ({ item, place: Math.random() }));
  return places.toSorted((a, b) => a.place - b.place).map(({ item }) => item);
}

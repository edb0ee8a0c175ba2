import sql from "sql-template-tag";
import { decodeVector } from "../db/codec.js";
import { qualified, quoteLiteral, quoteQualified } from "../db/identifiers.js";
import { applySteps } from "../schema/apply.js";
import { TENANTS_TABLE } from "../schema/layout.js";
import { formatIndexNote, type IndexNote } from "./index-note.js";
import { scope, scopeTo, type OpenStore, type ScopedStore } from "./open.js";
import { DEFAULT_TENANT } from "./options.js";
import { findIndexOf, planSearch } from "./plan-search.js";
import { embeddingAsText, runSearch, type DenseSearch } from "./search.js";
import { readTenantFacts } from "./table-facts.js";

const K = 10;
/** How much of another row's vector is added to a row's to make a question. */
const ADDED = 0.55;
/** Numbers of candidates that are tried, from the server's default to the largest that it allows. */
const EF_SEARCH = [40, 64, 100, 160, 250, 320, 400, 500, 640, 800, 1_000] as const;
const MAX_QUERIES = 150;
/** With fewer the figure says little. */
const MIN_QUERIES = 20;
/** The exact searches, which read all rows, stop after this. */
const BUDGET_MS = 15_000;
export const DEFAULT_TARGET_RECALL = 0.99;
/** Tenants whose rows are counted to find those that are large enough to use the index, and how many of them are asked. */
const COUNTED_TENANTS = 50;
const MEASURED_TENANTS = 3;
/** Distances of one vector that two plans computed may differ by rounding. */
const TIE = 1e-6;

interface Question {
  readonly store: ScopedStore;
  readonly vector: readonly number[];
  /** Distance of the last of the true `K` nearest. */
  readonly limit: number;
}

/**
 * Measures an index that has just been built and keeps the figure as its comment. A failure is logged only: the index is
 * there and serves, without the figure with the default.
 *
 * @param tenant whose rows the index holds, when it is one tenant's alone.
 */
export async function noteRecall(
  store: OpenStore,
  name: string,
  target = DEFAULT_TARGET_RECALL,
  tenant?: string,
): Promise<void> {
  try {
    await measureAndNote(store, name, target, tenant);
  } catch (error) {
    store.options.logger.warn(`langchain-pgvector: the recall of ${name} was not measured: ${String(error)}`);
  }
}

async function measureAndNote(
  store: OpenStore,
  name: string,
  target: number,
  tenant: string | undefined,
): Promise<void> {
  const note = await measureEfSearch(store, name, target, tenant);
  if (note === undefined) return;
  const { efSearch, recall } = note;
  if (recall < target) {
    store.options.logger.warn(
      `langchain-pgvector: searches by ${name} reach a recall of ${recall.toFixed(3)} with ${efSearch} candidates, not ` +
        `${target}. Build it anew with a larger m or efConstruction.`,
    );
  }
  const comment = `comment on index ${quoteQualified(store.schema, name)} is ${quoteLiteral(formatIndexNote(note))};\n`;
  await applySteps(store.database, [{ name: "note-recall", sql: comment }]);
  store.memory.forgetIndexes();
}

/**
 * Finds the fewest candidates with which searches by an index reach a recall@10 of `target` (0 to 1) against exact ones.
 * Reads rows of the tenants at hand, asks up to 150 questions and takes about 15 s at most for exact searches.
 *
 * A question is a row's vector with a part of another row's added. Vectors of rows themselves are far too easy: recall
 * 0.997 where real questions had 0.943, and mixtures 0.93 or less. See docs/decisions/0007-search-strategy.md.
 *
 * @param tenant whose rows the index holds, when it is one tenant's alone.
 * @returns `undefined` when too few rows use the index, or exact searches take too long, for a figure to be had.
 */
async function measureEfSearch(
  open: OpenStore,
  indexName: string,
  target: number,
  tenant: string | undefined,
): Promise<IndexNote | undefined> {
  const questions: Question[] = [];
  const stores = tenant === undefined ? await largestTenants(open) : [scopeTo(open, tenant)];
  const deadline = performance.now() + BUDGET_MS;
  for (const store of stores) {
    if ((await findIndexOf(store))?.name !== indexName) continue;
    if ((await planSearch(store, { k: K, filter: undefined, efSearch: EF_SEARCH[0] })).kind === "exact") continue;
    questions.push(...(await askExactly(store, Math.ceil(MAX_QUERIES / stores.length), deadline)));
  }
  if (questions.length < MIN_QUERIES) return undefined;
  // Half-way to 1: with less to spare, 200 other questions came out at 0.989 now and then.
  const aim = (1 + target) / 2;
  let note: IndexNote | undefined;
  for (const efSearch of EF_SEARCH) {
    note = { efSearch, recall: await recallOf(questions, efSearch), queries: questions.length };
    if (note.recall >= aim) break;
  }
  return note;
}

/** The largest of some tenants, or the only one without tenancy. */
async function largestTenants(open: OpenStore): Promise<ScopedStore[]> {
  const { layout } = open.options;
  if (layout.tenancy === "off") return [scopeTo(open, DEFAULT_TENANT)];
  const { rows } = await open.database.execute({
    name: "some-tenants",
    sql: sql`
      select tenant_id from ${qualified(open.schema, TENANTS_TABLE)}
      where store = ${layout.table}::text and state = 'active' order by random() limit ${COUNTED_TENANTS}::int8`,
  });
  const counted: { store: ScopedStore; rows: number }[] = [];
  for (const { tenant_id } of rows as { tenant_id: string }[]) {
    const store = scopeTo(open, tenant_id);
    counted.push({ store, rows: (await readTenantFacts(store)).rows });
  }
  return counted
    .toSorted((a, b) => b.rows - a.rows)
    .slice(0, MEASURED_TENANTS)
    .map(({ store }) => store);
}

async function askExactly(store: ScopedStore, count: number, deadline: number): Promise<Question[]> {
  // Shuffled, since rows that lie together in the table are often alike.
  const vectors = shuffled(await sampleVectors(store, 2 * count));
  const questions: Question[] = [];
  for (let i = 0; i + 1 < vectors.length && performance.now() < deadline; i += 2) {
    const [first, second] = [vectors[i]!, vectors[i + 1]!];
    const vector = first.map((value, place) => (value + ADDED * second[place]!) / (1 + ADDED));
    const { hits } = await runSearch(store, searchFor(vector), { kind: "exact" });
    if (hits.length === K) questions.push({ store, vector, limit: hits.at(-1)!.distance });
  }
  return questions;
}

function shuffled<T>(items: readonly T[]): T[] {
  const places = items.map((item) => ({ item, place: Math.random() }));
  return places.toSorted((a, b) => a.place - b.place).map(({ item }) => item);
}

/** Vectors of rows from all over the tenant. */
async function sampleVectors(store: ScopedStore, count: number): Promise<number[][]> {
  const { rows: size } = await readTenantFacts(store);
  const share = Math.min(1, (1.5 * count) / Math.max(1, size));
  const { rows } = await store.database.execute(
    {
      name: "sample-vectors",
      sql: sql`
        select ${embeddingAsText(store)} as embedding from ${store.table}
        where ${scope(store)} and random() < ${share}::float8 limit ${count}::int8`,
    },
    { settings: store.settings },
  );
  return rows.map((row) => decodeVector(row["embedding"] as string));
}

/** Share of the true nearest that searches by index find, 0 to 1; another row at the same distance counts. */
async function recallOf(questions: readonly Question[], efSearch: number): Promise<number> {
  let found = 0;
  for (const { store, vector, limit } of questions) {
    const strategy = await planSearch(store, { k: K, filter: undefined, efSearch });
    const { hits } = await runSearch(store, searchFor(vector), strategy);
    found += hits.filter(({ distance }) => distance <= limit + TIE * Math.max(1, Math.abs(limit))).length;
  }
  return found / (K * questions.length);
}

function searchFor(vector: readonly number[]): DenseSearch {
  return {
    vector,
    k: K,
    filter: undefined,
    includeEmbeddings: false,
    efSearch: undefined,
    probes: undefined,
    timeoutMs: undefined,
    signal: undefined,
  };
}

import { Document } from "@langchain/core/documents";
import sql, { empty, join, raw, type Sql } from "sql-template-tag";
import type { ReadRoute } from "../../db/database.js";
import { ConfigurationError } from "../../errors.js";
import { embeddingAsText, vectorParameter, toEmbedded, type Embedded } from "../embedding-column.js";
import { fuse, type Fusion, type FusionCandidate, type FusionWeights } from "../fusion/fusion.js";
import { regexFilterError, type FilterNode } from "../filter/index.js";
import { similarityOf } from "../metric.js";
import { scope, type OpenStore, type ScopedStore } from "../open.js";
import { distanceTo, searchByVector, type DenseSearch } from "../search.js";
import type { OpenLexical } from "./open.js";
import { parseLexicalQuery, type LexicalQuery } from "./query.js";
import { lexicalLeg, lexicalReport, type Effort, type ExtraTerm } from "./statement.js";
import { findExtraTerms } from "./vocabulary.js";

export interface WordSearch {
  readonly text: string;
  readonly k: number;
  readonly filter: FilterNode | undefined;
  readonly language: string | undefined;
  readonly includeEmbeddings: boolean;
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly replica?: ReadRoute;
}

export interface HybridSearch extends DenseSearch {
  readonly text: string;
  readonly language: string | undefined;
  readonly fusion: Fusion;
  readonly weights: FusionWeights;
  /** Rows that each leg gives. */
  readonly candidates: number | undefined;
}

/** One row found by words, by vector, or by both. */
export interface WordHit extends Readonly<Embedded> {
  readonly document: Document;
  /** Higher is better, 0 to 1: the share of the highest BM25 there could be, or the fused score of a hybrid search. */
  readonly score: number;
  readonly distance?: number;
  readonly similarity?: number;
  readonly dense?: { readonly rank: number; readonly distance: number };
  readonly lexical?: { readonly rank: number; readonly bm25: number; readonly terms: readonly string[] };
}

/** The lexical index of a store. @throws ConfigurationError with the cure when it has none that is complete. */
export function requireLexical(store: ScopedStore): OpenLexical {
  const { options, lexical } = store;
  const table = options.layout.table;
  if (options.contentCipher !== undefined) {
    throw new ConfigurationError(
      'This store encrypts its content (`contentCipher`), so there are no words to search; use searchType: "similarity".',
    );
  }
  if (lexical === undefined) throw missingLexical(store);
  if (lexical.settings.building) {
    throw new ConfigurationError(
      `The lexical index of ${JSON.stringify(table)} has not been finished. As the owner, finish it with: npx langchain-pgvector init --table ${table} --lexical`,
    );
  }
  return lexical;
}

/** What to say to whoever needs a lexical index that is not there. */
export function missingLexical(store: OpenStore): ConfigurationError {
  const { table } = store.options.layout;
  return new ConfigurationError(
    `The table ${JSON.stringify(table)} has no lexical index, which lexical and hybrid searches need. ` +
      `As the owner, add it, online, with: npx langchain-pgvector init --table ${table} --lexical`,
  );
}

/**
 * The `k` best rows by BM25, best first, in one statement and one round trip unless a word is spelt like no other.
 *
 * @returns `undefined` when the query has no word that could be looked up, such as stop words only.
 */
export async function lexicalSearch(store: ScopedStore, search: WordSearch): Promise<WordHit[] | undefined> {
  const lexical = requireLexical(store);
  const { settings } = store;
  const run = async (query: LexicalQuery, extra: readonly ExtraTerm[], effort: Effort): Promise<Reply> => {
    const leg = lexicalLeg(store, lexical, {
      ...search,
      query,
      extra,
      effort,
      fetch: search.k,
      columns: search.includeEmbeddings ? sql`, ${embeddingAsText(store)} as embedding` : empty,
    });
    const { rows } = await store.database
      .execute(
        {
          name: "search-lexical",
          sql: sql`
            with ${leg}
            select ${lexicalReport(effort, sql`coalesce(l.place, 1) = 1`)}, l.* from (select 1) as one left join lexical l on true order by l.place`,
        },
        {
          settings,
          signal: search.signal,
          timeoutMs: search.timeoutMs,
          prepare: "generic",
          replica: search.replica,
        },
      )
      .catch((error: unknown) => {
        throw regexFilterError(error, search.filter) ?? error;
      });
    return readReply(rows);
  };
  const reply = await withExtraTerms(store, lexical, search, search.k, run);
  if (reply.report.terms.length === 0) return undefined;
  return reply.rows.map((row) => toWordHit(row, reply.report, store));
}

/**
 * The `k` best rows by both legs, fused, from one statement and so one snapshot. Each leg gives `candidates`, when it is
 * not said at least 50 and ten for each row wanted; the filter is in both.
 *
 * @returns as {@link lexicalSearch}.
 */
export async function hybridSearch(store: ScopedStore, search: HybridSearch): Promise<WordHit[] | undefined> {
  const lexical = requireLexical(store);
  const fetch = Math.max(search.k, search.candidates ?? Math.max(50, 10 * search.k));
  const dense: DenseSearch = { ...search, k: fetch };
  // With the fusions that are built in, a row of one leg has no more than all those above it in that leg, so that only the
  // first can be among the results. Of the others, scores are enough, and a look at the vector can be saved.
  const hopeful = typeof search.fusion === "function" ? fetch : search.k;
  const distance = sql`
    coalesce(d.distance, (
      select ${distanceTo(store, vectorParameter(store, search.vector))} from ${store.table}
      where ${scope(store)} and ${store.columns.id} = l.id and l.level <= ${hopeful}::int8
    ))`;
  const isHopeful = sql`(d.id = l.id or d.place <= ${hopeful}::int8 or l.level <= ${hopeful}::int8) is true`;
  const whole = ["content", "metadata", ...(search.includeEmbeddings ? ["embedding"] : [])].map((name) => {
    const column = raw(name);
    return sql`case when ${isHopeful} then coalesce(d.${column}, l.${column}) end as ${column}`;
  });
  const embedding = search.includeEmbeddings ? sql`, ${embeddingAsText(store)} as embedding` : empty;
  const run = (query: LexicalQuery, extra: readonly ExtraTerm[], effort: Effort): Promise<Reply> =>
    searchByVector(store, dense, {
      statement: (nearest: Sql, counted) => ({
        name: "search-hybrid",
        sql: sql`
          with ${lexicalLeg(store, lexical, { ...search, query, extra, effort, fetch, columns: embedding })},
          dense as materialized (
            select *, row_number() over (order by distance, id) as place from (${nearest}) as n
          )
          select ${lexicalReport(effort, sql`coalesce(h."densePlace", h.place, 1) = 1`)}, h.* from (select 1) as one left join (
            select coalesce(d.id, l.id) as id, ${isHopeful} as hopeful, ${join(whole)}, ${distance} as distance,
              l.bm25, l.matched, l.place, d.place as "densePlace"${counted ? sql`, d.met` : empty}
            from dense d
            full join (select *, rank() over (order by bm25 desc) as level from lexical) as l on l.id = d.id
          ) as h on true`,
      }),
      read: (rows) => {
        const result = readReply(rows);
        const near = result.rows.filter((row) => row.densePlace !== null);
        return { result, met: near[0]?.met ?? near.length };
      },
    });
  const reply = await withExtraTerms(store, lexical, search, fetch, run);
  if (reply.report.terms.length === 0) return undefined;
  return fuseRows(store, reply, search);
}

/** Runs a search, and again where its words are unknown to the tenant, or its rows were gone, and that could help. */
async function withExtraTerms(
  store: ScopedStore,
  lexical: OpenLexical,
  search: {
    text: string;
    language: string | undefined;
    filter: FilterNode | undefined;
    signal: AbortSignal | undefined;
  },
  fetch: number,
  run: (query: LexicalQuery, extra: readonly ExtraTerm[], effort: Effort) => Promise<Reply>,
): Promise<Reply> {
  let query = parseLexicalQuery(search.text);
  let effort: Effort =
    search.filter !== undefined || query.required.length > 0 || query.excluded.length > 0 ? "complete" : "pruned";
  let extra = await findExtraTerms(store, lexical, { prefixes: query.prefixes, unknown: [] }, search.signal);
  let reply = await run(query, extra, effort);
  const { terms, frequencies } = reply.report;
  const unknown = terms.filter((_, index) => frequencies[index] === 0);
  const similar = await findExtraTerms(store, lexical, { prefixes: [], unknown }, search.signal);
  if (similar.length > 0) {
    extra = [...extra, ...similar];
    reply = await run(query, extra, effort);
  }
  if (query.required.length > 0 && !reply.rows.some((row) => row.bm25 !== null)) {
    // Questions quote words for other reasons, too: where the quotes rule out everything, the words alone count.
    query = { ...query, required: [] };
    reply = await run(query, extra, effort);
  }
  const { bound } = reply.report;
  if (bound > 0 && scoreAt(reply, fetch) <= bound) {
    effort = "scored";
    reply = await run(query, extra, effort);
  }
  const found = reply.rows.filter((row) => row.bm25 !== null).length;
  if (effort !== "complete" && found < fetch && reply.report.matches > found)
    reply = await run(query, extra, "complete");
  return reply;
}

interface Report {
  readonly terms: readonly string[];
  readonly frequencies: readonly number[];
  readonly matches: number;
  /** The highest score that a chunk which was left out may have. */
  readonly bound: number;
  /** BM25 of a text that consists of the query's terms and nothing else, endlessly often. */
  readonly best: number;
}

interface WordRow {
  readonly id: string;
  /** False in a row that cannot be among the results and has neither content nor metadata. */
  readonly hopeful?: boolean;
  readonly content: string;
  readonly metadata: Record<string, unknown>;
  readonly embedding?: string;
  readonly distance?: number | null;
  readonly bm25: number | null;
  readonly matched: string | bigint | number | null;
  readonly place: string | bigint | number | null;
  readonly densePlace?: string | bigint | number | null;
  readonly met?: number | null;
}

interface Reply {
  readonly report: Report;
  readonly rows: readonly WordRow[];
}

function readReply(rows: Record<string, unknown>[]): Reply {
  return {
    report: rows.find((row) => row["terms"] !== null) as unknown as Report,
    rows: (rows as unknown as WordRow[]).filter((row) => row.id !== null),
  };
}

/** Score of the last row that is wanted, 0 when there are not that many. */
function scoreAt(reply: Reply, fetch: number): number {
  const scores = reply.rows.flatMap(({ bm25 }) => (bm25 === null ? [] : [bm25]));
  return scores.length < fetch ? 0 : Math.min(...scores);
}

function toWordHit(row: WordRow, report: Report, store: ScopedStore): WordHit {
  const { metric } = store.options;
  const distance = row.distance ?? undefined;
  // A vector without a direction has no distance to anything.
  const measured = distance !== undefined && !Number.isNaN(distance);
  return {
    document: new Document({ id: row.id, pageContent: row.content, metadata: row.metadata }),
    score: report.best > 0 ? (row.bm25 ?? 0) / report.best : 0,
    ...(measured && { distance, similarity: similarityOf(distance, metric) }),
    ...(measured && row.densePlace != null && { dense: { rank: Number(row.densePlace), distance } }),
    ...(row.bm25 !== null && {
      lexical: { rank: Number(row.place), bm25: row.bm25, terms: matchedTerms(row, report) },
    }),
    ...toEmbedded(row.embedding, store.model),
  };
}

function matchedTerms({ matched }: WordRow, { terms }: Report): string[] {
  const bits = BigInt(matched ?? 0);
  return terms.filter((_, index) => ((bits >> BigInt(index)) & 1n) === 1n);
}

/** The best rows by both legs; only those become hits, of some two hundred. */
function fuseRows(store: ScopedStore, reply: Reply, { fusion, weights, k }: HybridSearch): WordHit[] {
  const { metric } = store.options;
  const dense: FusionCandidate[] = [];
  const lexical: FusionCandidate[] = [];
  for (const { id, distance, densePlace, bm25, place } of reply.rows) {
    if (densePlace != null && distance != null && !Number.isNaN(distance)) {
      dense.push({ id, rank: Number(densePlace), score: similarityOf(distance, metric) });
    }
    if (bm25 !== null) lexical.push({ id, rank: Number(place), score: bm25 });
  }
  const scores = fuse({ dense: dense.sort(byRank), lexical: lexical.sort(byRank) }, fusion, weights);
  return reply.rows
    .filter(({ hopeful }) => hopeful)
    .map((row) => ({ row, score: scores.get(row.id) ?? 0 }))
    .sort((one, other) => other.score - one.score || (one.row.id < other.row.id ? -1 : 1))
    .slice(0, k)
    .map(({ row, score }) => ({ ...toWordHit(row, reply.report, store), score }));
}

function byRank(one: FusionCandidate, other: FusionCandidate): number {
  return one.rank - other.rank;
}

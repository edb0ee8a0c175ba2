import sql from "sql-template-tag";
import { pause } from "../../db/pause.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import { embeddingAsText, readEmbedding } from "../../store/embedding-column.js";
import { readingVersion, type ScopedStore } from "../../store/open.js";
import { searchByVector, type VectorStatement } from "../../store/search.js";
import { activeVersion } from "../model-registry.js";
import { tenantRows } from "../tenant-scopes.js";

const QUESTIONS = 16;
/** Searches that say how it is without the backfill, and how it is now. */
const UNDISTURBED = 100;
const RECENT = 40;
/** Fewer recent ones decide nothing; so many new ones decide again. */
const ENOUGH = 20;
const NEW_ONES = 10;
const FIRST_MS = 3_000;
/** One search in so many times the time that it takes: sampling is to be no load itself. */
const SPACING = 20;
const SHORTEST_GAP_MS = 50;
const LONGEST_GAP_MS = 1_000;
const FIRST_SHARE = 0.1;
/** While writes take less of the time than this, no more than one search in twenty meets one. */
const LEAST_SHARE = 0.05;
/**
 * The most of the time that writing may take, for each whole time that searches may take longer. What is timed here is not
 * all that others wait for: on two busy cores p95 of their searches was 1.2 times as long at a share of 0.1, and 1.7 at 0.2.
 */
const SHARE_PER_SLOWDOWN = 0.4;
const LONGEST_REST_MS = 5_000;

/**
 * Finds out how much searches feel the writes of a backfill, and so how much of the time writing may take. Searches are
 * timed by the server, so that neither the network nor what this process is busy with counts.
 */
export class SearchLoad {
  #undisturbed: number[] = [];
  #recent: number[] = [];
  #fresh = 0;
  readonly #mostShare: number;
  #share: number;
  /** Odd while something is written. */
  #writes = 0;
  #lastWriteMs = 0;
  readonly #ended = new AbortController();
  #sampling: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: ScopedStore,
    /** How many times their time before searches may take. */
    private readonly limit: number,
  ) {
    this.#mostShare = Math.min(1, Math.max(LEAST_SHARE, SHARE_PER_SLOWDOWN * (limit - 1)));
    this.#share = Math.min(FIRST_SHARE, this.#mostShare);
  }

  /** Measures searches before anything is written, and goes on doing so until {@link end}. */
  async begin(signal: AbortSignal | undefined): Promise<void> {
    const searching = readingVersion(this.store, activeVersion(this.store));
    const questions = await findQuestions(searching);
    if (questions.length === 0) return;
    // The first ones find out about indexes and sizes.
    for (let i = 0; i < 3; i += 1) await timeSearch(searching, questions[0]!);
    const until = performance.now() + FIRST_MS;
    for (let i = 0; i < ENOUGH + NEW_ONES && (i < NEW_ONES || performance.now() < until); i += 1) {
      this.#undisturbed.push(await timeSearch(searching, questions[i % QUESTIONS] ?? questions[0]!));
      await pause(SPACING * Math.random(), signal);
    }
    this.#sampling = this.#sample(searching, questions);
  }

  async end(): Promise<void> {
    this.#ended.abort();
    await this.#sampling;
  }

  /** Runs what writes. */
  async during<T>(write: () => Promise<T>): Promise<T> {
    this.#writes += 1;
    const began = performance.now();
    try {
      return await write();
    } finally {
      this.#writes += 1;
      this.#lastWriteMs = performance.now() - began;
    }
  }

  /** How long to write nothing now, in milliseconds. */
  get restMs(): number {
    return Math.min(LONGEST_REST_MS, this.#lastWriteMs * (1 / this.#share - 1));
  }

  async #sample(searching: ScopedStore, questions: readonly VectorInput[]): Promise<void> {
    for (let turn = 0; !this.#ended.signal.aborted; turn += 1) {
      const writes = this.#writes;
      // A failure is for those to see who asked for something.
      const ms = await timeSearch(searching, questions[turn % questions.length]!).catch(() => undefined);
      if (ms !== undefined) this.#note(ms, writes === this.#writes && writes % 2 === 0);
      const gap = Math.min(LONGEST_GAP_MS, Math.max(SHORTEST_GAP_MS, SPACING * (ms ?? LONGEST_GAP_MS)));
      await pause(gap * (0.5 + Math.random()), this.#ended.signal).catch(() => undefined);
    }
  }

  /** Writes less by four tenths where searches take too long, more by three tenths where they do not. */
  #note(ms: number, undisturbed: boolean): void {
    if (undisturbed) this.#undisturbed = [...this.#undisturbed, ms].slice(-UNDISTURBED);
    this.#recent = [...this.#recent, ms].slice(-RECENT);
    this.#fresh += 1;
    if (this.#recent.length < ENOUGH || this.#fresh < NEW_ONES) return;
    const usual = percentile95(this.#undisturbed);
    // Differences below this are the processor's, not the backfill's.
    const slow = percentile95(this.#recent) > Math.max(this.limit * usual, usual + 0.25);
    this.#share = Math.min(this.#mostShare, Math.max(LEAST_SHARE, this.#share * (slow ? 0.6 : 1.3)));
    this.#fresh = 0;
    if (slow) this.#recent = [];
  }
}

async function findQuestions(store: ScopedStore): Promise<VectorInput[]> {
  const { rows } = await store.database.execute(
    {
      name: "pace-questions",
      sql: sql`
        select ${embeddingAsText(store)} as embedding from ${store.table}
        where ${tenantRows(store)} and ${store.columns.embedding} is not null limit ${QUESTIONS}::int8`,
    },
    { settings: store.settings },
  );
  return rows.map((row) => readEmbedding(row["embedding"] as string, store.model));
}

/** Milliseconds from when the server has read a search to its last row. */
function timeSearch(store: ScopedStore, vector: VectorInput): Promise<number> {
  return searchByVector(
    store,
    {
      vector,
      k: 10,
      filter: undefined,
      includeEmbeddings: false,
      efSearch: undefined,
      probes: undefined,
      timeoutMs: undefined,
      signal: undefined,
    },
    TIMED,
  );
}

const TIMED: VectorStatement<number> = {
  statement: (nearest, counted) => ({
    name: "search-pace",
    sql: sql`
      with found as materialized (${nearest}),
      counted as materialized (select count(*)::int4 as rows, ${counted ? sql`max(met)` : sql`count(*)::int4`} as met from found)
      select met, extract(epoch from clock_timestamp() - statement_timestamp())::float8 * 1000 as ms from counted`,
  }),
  read: (rows) => {
    const { met, ms } = rows[0] as { met: number | null; ms: number };
    return { result: ms, met: met ?? 0 };
  },
};

function percentile95(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))]!;
}

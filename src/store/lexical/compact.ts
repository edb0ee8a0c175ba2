import sql, { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import type { Settings } from "../../db/settings.js";
import { COMPACTION_LOCK } from "../../schema/lexical.js";
import type { OpenStore } from "../open.js";
import type { OpenLexical } from "./open.js";

export interface CompactOptions {
  /** Called after each transaction with the segments merged so far. */
  readonly onProgress?: ((merged: number) => void) | undefined;
  /** Stops between two transactions; another call goes on. */
  readonly signal?: AbortSignal | undefined;
}

export interface CompactedLexical {
  /** Segments that were merged into others. */
  readonly merged: number;
  /** Whether another process was compacting the same collection, so that this call left it alone. */
  readonly busy: boolean;
}

/** What is compacted: one collection of one tenant. */
export interface LexicalPlace {
  readonly tenant: string;
  readonly collection: string;
  readonly settings: Settings;
}

/** Chunks of the largest segment; a chunk's number in it has two bytes. */
const MAX_CHUNKS = 16_384;

/** Rewrites a collection's index without what is gone, in transactions of at most one large segment each. */
export async function compactLexical(
  store: OpenStore,
  lexical: OpenLexical,
  place: LexicalPlace,
  { onProgress, signal }: CompactOptions,
): Promise<CompactedLexical> {
  let merged = 0;
  // What comes in meanwhile is left to the next call: else this one would not end while there are writers.
  let before: ReadonlySet<string> | undefined;
  const made = new Set<string>();
  for (;;) {
    signal?.throwIfAborted();
    const step = await underLock(store, place, async (session) => {
      const segments = await readSegments(session, store, lexical, place);
      before ??= new Set(segments.map(({ segment }) => segment));
      const group = chooseSegments(segments, before, made);
      if (group.length === 0) {
        await countDead(session, lexical, place, segments);
        return 0;
      }
      made.add(await merge(session, lexical, place, group, true));
      return group.length;
    });
    if (step === undefined) return { merged, busy: true };
    if (step === 0) return { merged, busy: false };
    merged += step;
    onProgress?.(merged);
  }
}

/** Merges what has become too much for searches or for rankings; costs one small statement when there is nothing to do. */
export async function compactWhereNeeded(store: OpenStore, lexical: OpenLexical, place: LexicalPlace): Promise<void> {
  for (;;) {
    const { rows } = await store.database.execute(
      {
        name: "lexical-needs",
        sql: sql`
          select
            coalesce(sum(dead) > greatest(8, 0.05 * sum(chunks)), false) as dead,
            (select array_agg(segment::text) from (
              select segment, sum(chunks) over (partition by tier order by chunks, segment) as total,
                count(*) over (partition by tier) as together, min(tier) over () as first, tier
              from (
                select segment, chunks, case when chunks < 512 then 1 else 2 end as tier from ${lexical.segments}
                where ${within(place)} and chunks between 64 and 4095
              ) as sized
            ) as s where together >= 8 and total <= ${MAX_CHUNKS}::int8 and tier = first) as merge
          from ${lexical.segments} where ${within(place)}`,
      },
      { settings: place.settings },
    );
    const { dead, merge: segments } = rows[0] as { dead: boolean; merge: string[] | null };
    if (dead) return void (await compactLexical(store, lexical, place, {}));
    if (segments === null) return;
    const done = await underLock(store, place, async (session) => {
      await merge(session, lexical, place, segments, false);
      return true;
    });
    if (done === undefined) return;
  }
}

interface Segment {
  readonly segment: string;
  readonly chunks: number;
  /** Those of them that are still there, and in no later segment. */
  readonly live: number;
}

/**
 * Segments to write anew together: those with dead chunks and small ones, smallest first, as many as fit into one. Of those
 * that were `made` on the way, only the small ones.
 */
function chooseSegments(
  segments: readonly Segment[],
  before: ReadonlySet<string>,
  made: ReadonlySet<string>,
): string[] {
  const isSmall = ({ segment, chunks }: Segment): boolean =>
    chunks > 0 && chunks < MAX_CHUNKS / 2 && (before.has(segment) || made.has(segment));
  const small = segments.filter(isSmall).length > 1;
  const worth = segments
    .filter((segment) => (segment.live < segment.chunks && before.has(segment.segment)) || (small && isSmall(segment)))
    .sort((a, b) => a.live - b.live);
  let total = 0;
  const chosen: string[] = [];
  for (const { segment, live } of worth) {
    total += live;
    if (total > MAX_CHUNKS) break;
    chosen.push(segment);
  }
  return chosen;
}

async function readSegments(
  session: Session,
  store: OpenStore,
  lexical: OpenLexical,
  place: LexicalPlace,
): Promise<Segment[]> {
  const { id, content } = store.columns;
  const { rows } = await session.execute({
    name: "lexical-segments",
    sql: sql`
      with listed as materialized (
        select d.segment, l.id, l.hash, row_number() over (partition by l.id, l.hash order by d.segment desc) as copy
        from ${lexical.documents} d cross join lateral unnest(d.ids, d.hashes) as l (id, hash)
        where ${within(place)}
      ), live as materialized (
        select l.segment, count(*) as live from listed l
        -- One lookup for each: a planner without statistics would rather compare everything with everything.
        cross join lateral (
          select from ${store.table} c
          where c.tenant_id = ${place.tenant}::text and c.collection = ${place.collection}::text
            and c.${id} = l.id and hashtextextended(c.${content} collate "C", 0) = l.hash
          limit 1
        ) as c
        where l.copy = 1 group by l.segment
      )
      select s.segment::text as segment, s.chunks, coalesce(live.live, 0)::float8 as live
      from ${lexical.segments} s left join live using (segment) where ${within(place)}`,
  });
  return rows as unknown as Segment[];
}

/** Counts the dead anew: those that came in meanwhile are left, all others are gone. */
async function countDead(
  session: Session,
  lexical: OpenLexical,
  place: LexicalPlace,
  segments: readonly Segment[],
): Promise<void> {
  const seen = sql`${segments.map(({ segment }) => segment)}::text[]::int8[]`;
  const dead = sql`${segments.map(({ chunks, live }) => String(chunks - live))}::text[]::int4[]`;
  await session.execute({
    name: "lexical-count-dead",
    sql: sql`
      with emptied as (
        delete from ${lexical.segments} where ${within(place)} and chunks = 0 and segment = any(${seen})
      )
      update ${lexical.segments} s set dead = counted.dead
      from unnest(${seen}, ${dead}) as counted (segment, dead)
      where ${within(place)} and s.chunks > 0 and s.segment = counted.segment and s.dead <> counted.dead`,
  });
}

async function merge(
  session: Session,
  lexical: OpenLexical,
  { tenant, collection }: LexicalPlace,
  segments: readonly string[],
  thorough: boolean,
): Promise<string> {
  const { rows } = await session.execute({
    name: "lexical-merge",
    sql: sql`
      select ${lexical.merge}(${tenant}::text, ${collection}::text, ${segments}::text[]::int8[], ${thorough}::bool)::text as segment`,
  });
  return rows[0]!["segment"] as string;
}

/** Runs a step alone among all compactors of the collection; `undefined` when another one is at it. */
function underLock<T>(
  store: OpenStore,
  { tenant, collection, settings }: LexicalPlace,
  work: (session: Session) => Promise<T>,
): Promise<T | undefined> {
  return store.database.transaction({ ...settings, work_mem: "64MB" }, async (session) => {
    const { rows } = await session.execute({
      name: "lexical-lock",
      sql: sql`select pg_try_advisory_xact_lock(${raw(String(COMPACTION_LOCK))}, hashtext(${`${tenant}\u0001${collection}`}::text)) as locked`,
    });
    return rows[0]!["locked"] === true ? work(session) : undefined;
  });
}

function within({ tenant, collection }: LexicalPlace) {
  return sql`tenant_id = ${tenant}::text and collection = ${collection}::text`;
}

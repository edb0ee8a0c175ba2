import sql from "sql-template-tag";
import type { Database, Session } from "../db/database.js";

/** How far the building of an index has come. */
export interface IndexProgress {
  /** The index's name. */
  readonly index: string;
  readonly phase: "waiting" | "building" | "measuring";
  /** Share that is done of what the server does now, 0 to 1; `undefined` when it does not say. */
  readonly done: number | undefined;
  readonly message: string;
}

const POLL_MS = 1_000;

/**
 * Says every second how far a session's build has come, as `pg_stat_progress_create_index` has it. Asks on another
 * connection of the pool, and says nothing while there is none to be had, or on the embedded database, which has but one.
 */
export async function watchBuild<T>(
  database: Database,
  session: Session,
  index: string,
  onProgress: ((progress: IndexProgress) => void) | undefined,
  build: () => Promise<T>,
): Promise<T> {
  if (onProgress === undefined || database.embedded) return build();
  const { rows } = await session.execute({ name: "backend-pid", sql: sql`select pg_backend_pid() as pid` });
  const pid = rows[0]!["pid"] as number;
  const ended = new AbortController();
  const report = async (): Promise<void> => {
    // A question without an answer costs nobody an index.
    const progress = await askProgress(database, pid, index, ended.signal).catch(() => undefined);
    if (progress !== undefined && !ended.signal.aborted) onProgress(progress);
  };
  let asking: Promise<void> | undefined;
  const timer = setInterval(() => {
    asking ??= report().finally(() => (asking = undefined));
  }, POLL_MS);
  try {
    return await build();
  } finally {
    clearInterval(timer);
    ended.abort();
    await asking;
  }
}

async function askProgress(
  database: Database,
  pid: number,
  index: string,
  signal: AbortSignal,
): Promise<IndexProgress | undefined> {
  const { rows } = await database.execute(
    {
      name: "build-progress",
      sql: sql`
        select phase, lockers_total::int4 as lockers, lockers_done::int4 as passed, current_locker_pid::int4 as locker,
          blocks_done::float8 as blocks, blocks_total::float8 as "allBlocks",
          tuples_done::float8 as tuples, tuples_total::float8 as "allTuples"
        from pg_stat_progress_create_index where pid = ${pid}::int4`,
    },
    { signal },
  );
  const row = rows[0] as unknown as ProgressRow | undefined;
  return row && toProgress(index, row);
}

interface ProgressRow {
  phase: string;
  lockers: number;
  passed: number;
  locker: number;
  blocks: number;
  allBlocks: number;
  tuples: number;
  allTuples: number;
}

function toProgress(index: string, row: ProgressRow): IndexProgress {
  const { phase, lockers, passed, locker } = row;
  if (phase.startsWith("waiting")) {
    const message = `${index}: ${phase}${lockers > 0 ? ` (${passed} of ${lockers}, now backend ${locker})` : ""}`;
    return { index, phase: "waiting", done: undefined, message };
  }
  const done =
    row.allTuples > 0 ? row.tuples / row.allTuples : row.allBlocks > 0 ? row.blocks / row.allBlocks : undefined;
  const share = done === undefined ? "" : `, ${Math.floor(100 * Math.min(1, done))} %`;
  return { index, phase: "building", done: done && Math.min(1, done), message: `${index}: ${phase}${share}` };
}

import sql, { raw } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { quoteQualified } from "../db/identifiers.js";
import { pause } from "../db/pause.js";
import { SQLSTATE, sqlstateOf } from "../db/sqlstate.js";
import { DatabaseError } from "../errors.js";

const LOCK_TIMEOUT = "2s";
const MAX_LOCK_ATTEMPTS = 30;

/**
 * Comes back when the lock is free that a concurrent build, rebuild or drop of an index takes on its table. Those
 * statements cannot have a lock time-out themselves: at their end they wait for older transactions, and an hour's build
 * would be lost to it. Gives up its place in the queue after two seconds each time. Another build or a vacuum on the table
 * is waited for however long it takes.
 *
 * @throws DatabaseError, retryable, when something else holds the table for about a minute.
 */
export async function awaitTableLock(
  session: Session,
  { schema, table }: { readonly schema: string; readonly table: string },
  options: { readonly onWait?: ((message: string) => void) | undefined; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const name = quoteQualified(schema, table);
  for (let attempt = 1; ;) {
    options.signal?.throwIfAborted();
    try {
      await takeLock(session, name);
      return;
    } catch (error) {
      if (sqlstateOf(error) !== SQLSTATE.lockNotAvailable) throw error;
      const worker = await workerOn(session, name);
      if (worker !== undefined) {
        options.onWait?.(`waiting for ${worker} on the same table`);
      } else if (attempt++ === MAX_LOCK_ATTEMPTS) {
        throw new DatabaseError(
          `No lock on ${name} within ${MAX_LOCK_ATTEMPTS} attempts of ${LOCK_TIMEOUT}. A long transaction holds the table: ` +
            "find it in pg_stat_activity, then try again.",
          SQLSTATE.lockNotAvailable,
          true,
          { cause: error },
        );
      } else {
        options.onWait?.("waiting for a lock on the table");
      }
      await pause(50 + Math.random() * 200, options.signal);
    }
  }
}

/** Takes the lock and gives it back at once. */
async function takeLock(session: Session, name: string): Promise<void> {
  await session.execute({ name: "begin", sql: raw("begin") });
  try {
    await session.execute({ name: "lock-timeout", sql: raw(`set local lock_timeout = '${LOCK_TIMEOUT}'`) });
    await session.execute({ name: "lock-table", sql: raw(`lock table ${name} in share update exclusive mode`) });
  } finally {
    await session.execute({ name: "rollback", sql: raw("rollback") });
  }
}

/** The build or vacuum that is at work on a table, which may take long and means no harm. */
async function workerOn(session: Session, name: string): Promise<string | undefined> {
  const { rows } = await session.execute({
    name: "table-worker",
    sql: sql`
      select format('%s by backend %s', lower(p.command), p.pid) as worker from pg_stat_progress_create_index p
      where p.relid = to_regclass(${name}::text)
      union all
      select format('vacuum by backend %s', p.pid) from pg_stat_progress_vacuum p where p.relid = to_regclass(${name}::text)`,
  });
  return rows[0]?.["worker"] as string | undefined;
}

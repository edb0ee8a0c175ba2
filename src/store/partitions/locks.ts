import { createHash } from "node:crypto";
import sql, { join, raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { pause } from "../../db/pause.js";
import type { Settings } from "../../db/settings.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { DatabaseError } from "../../errors.js";
import type { OpenStore } from "../open.js";
import { partitionSql, type Partition } from "./tree.js";

/** How long a request for an exclusive lock may stand in the queue, and with it whoever comes behind it. */
export const LOCK_TIMEOUT_MS = 300;
const MAX_LOCK_ATTEMPTS = 60;
/** Longer than `deadlock_timeout`, by default a second, after which the server ends an autovacuum that is in the way. */
const VACUUM_LOCK_TIMEOUT = "2s";

/** Runs one transaction on a session that is lent for a whole move. */
export async function transact<T>(session: Session, settings: Settings, work: () => Promise<T>): Promise<T> {
  await session.execute({ name: "begin", sql: raw("begin") });
  try {
    await setLocal(session, settings);
    const result = await work();
    await session.execute({ name: "commit", sql: raw("commit") });
    return result;
  } catch (error) {
    // A connection that is gone cannot roll back; what brought us here is the error to report.
    await insist(() => session.execute({ name: "rollback", sql: raw("rollback") })).catch(() => undefined);
    throw error;
  }
}

export async function setLocal(session: Session, settings: Settings): Promise<void> {
  const calls = Object.entries(settings).map(([name, value]) => sql`set_config(${name}::text, ${value}::text, true)`);
  if (calls.length > 0) await session.execute({ name: "settings", sql: sql`select ${join(calls)}` });
}

/**
 * Keeps vacuums away from these partitions until the transaction ends: the one that is at work, which the server would
 * not end for a request of {@link LOCK_TIMEOUT_MS}, and the next. Readers and writers do not wait for this.
 */
export async function keepVacuumAway(session: Session, partitions: readonly Partition[]): Promise<void> {
  if (partitions.length === 0) return;
  const locks = partitions.map(
    (partition) => `lock table ${partitionSql(partition)} in share update exclusive mode;\n`,
  );
  await setLocal(session, { lock_timeout: VACUUM_LOCK_TIMEOUT });
  await session.execute({ name: "keep-vacuum-away", sql: raw(locks.join("")) });
  await setLocal(session, { lock_timeout: `${LOCK_TIMEOUT_MS}ms` });
}

/**
 * Repeats `work` while it gives up waiting for a lock, with pauses in which the others get theirs.
 *
 * @throws DatabaseError, retryable, when there was no lock by the deadline (of `performance.now()`) or after a minute.
 */
export async function patiently<T>(
  what: string,
  work: () => Promise<T>,
  limits: { readonly deadline?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    limits.signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const sqlstate = sqlstateOf(error);
      if (sqlstate !== SQLSTATE.lockNotAvailable && sqlstate !== SQLSTATE.deadlock) throw error;
      const late = limits.deadline !== undefined && performance.now() + LOCK_TIMEOUT_MS > limits.deadline;
      if (late || attempt === MAX_LOCK_ATTEMPTS) {
        throw new DatabaseError(
          `${what}: no lock on the table within ${attempt} attempts. A long transaction or a vacuum holds it: ` +
            "find it in pg_stat_activity, then call this again; it goes on from here.",
          SQLSTATE.lockNotAvailable,
          true,
          { cause: error },
        );
      }
      await pause(100 + Math.random() * 200, limits.signal);
    }
  }
}

/** Does what cleans up, also when the cancellation of the statement before comes late and hits this one. */
export async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (sqlstateOf(error) !== SQLSTATE.queryCanceled || attempt === 3) throw error;
    }
  }
}

/** The advisory lock that writers of a tenant share while its rows are copied, as int8 in text. */
export function gateKey(store: OpenStore, tenant: string): string {
  return advisoryKey("gate", store.schema, store.options.layout.table, tenant);
}

function advisoryKey(...parts: string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest().readBigInt64BE(0).toString();
}

/**
 * Lets one move at a time work on a store. The lock belongs to the session, so it ends with it, however that ends.
 *
 * @throws DatabaseError, retryable, when another one is at work.
 */
export async function alone<T>(session: Session, store: OpenStore, work: () => Promise<T>): Promise<T> {
  const key = advisoryKey("move", store.schema, store.options.layout.table);
  const { rows } = await session.execute({
    name: "move-lock",
    sql: sql`select pg_try_advisory_lock(${key}::int8) as locked`,
  });
  if (rows[0]!["locked"] !== true) {
    throw new DatabaseError(
      `Another call is moving a tenant of ${JSON.stringify(store.options.layout.table)} between partitions; ` +
        "wait for its end, then call this again.",
      SQLSTATE.lockNotAvailable,
      true,
    );
  }
  try {
    return await work();
  } finally {
    const unlock = { name: "move-unlock", sql: sql`select pg_advisory_unlock(${key}::int8)` };
    await insist(() => session.execute(unlock)).catch(() => undefined);
  }
}

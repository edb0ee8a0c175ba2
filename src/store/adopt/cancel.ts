import sql from "sql-template-tag";
import type { Database, Session } from "../../db/database.js";

/**
 * Cancels what `session` is doing on the server when `signal` fires; on the embedded database, whose one backend cannot be
 * told anything meanwhile, it waits for the statement instead.
 *
 * @returns stops watching, and waits until no cancel can hit a later statement.
 */
export async function cancelOnAbort(
  database: Database,
  session: Session,
  signal: AbortSignal | undefined,
): Promise<() => Promise<void>> {
  if (signal === undefined || database.embedded) return () => Promise.resolve();
  const { rows } = await session.execute({ name: "adopt-pid", sql: sql`select pg_backend_pid() as pid` });
  const pid = rows[0]!["pid"] as number;
  let cancelled: Promise<unknown> = Promise.resolve();
  const cancel = (): void => {
    cancelled = database
      .execute({ name: "adopt-cancel", sql: sql`select pg_cancel_backend(${pid}::int4)` })
      .catch(() => undefined);
  };
  signal.addEventListener("abort", cancel, { once: true });
  return async () => {
    signal.removeEventListener("abort", cancel);
    await cancelled;
  };
}

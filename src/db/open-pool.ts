import pg from "pg";

/**
 * A server process keeps the memory of its largest query, so that connections which stay for ever only grow. PgBouncer
 * closes its own after the same time.
 */
const MAX_LIFETIME_SECONDS = 3_600;

/** A pool of the library's own making; what is given goes before its defaults. No I/O. */
export function openPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ maxLifetimeSeconds: MAX_LIFETIME_SECONDS, ...config });
  // An idle connection that the server closes must not end the process; the next query reports what is wrong.
  pool.on("error", () => undefined);
  return pool;
}

import { openPool } from "../db/open-pool.js";
import type { PostgresVectorStoreArgs } from "../store/options.js";

type Connection = Pick<PostgresVectorStoreArgs, "connectionString" | "pool" | "postgresConnectionOptions">;

let current: { connection: Connection; pool: NonNullable<Connection["pool"]> | undefined; owned: boolean } | undefined;

/**
 * Says where {@link Chroma} stores whose arguments name no database are. They share one pool, which does not keep the
 * process alive, since code written for Chroma ends nothing. `undefined` forgets it.
 *
 * @returns when the pool of the connection before, if it was made here, has ended.
 */
export async function setDefaultConnection(connection: Connection | undefined): Promise<void> {
  const before = current;
  current = connection && { connection, pool: connection.pool, owned: connection.pool === undefined };
  if (before?.owned) await before.pool?.end();
}

/** The connection of a store whose arguments name none. */
export function defaultConnection(): Connection | undefined {
  if (current === undefined) return undefined;
  if (current.pool === undefined) {
    const { connectionString, postgresConnectionOptions } = current.connection;
    current.pool = openPool({
      ...postgresConnectionOptions,
      ...(connectionString !== undefined && { connectionString }),
      allowExitOnIdle: true,
    });
  }
  return { pool: current.pool };
}

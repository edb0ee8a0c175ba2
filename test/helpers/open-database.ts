import { escapeIdentifier, Pool as PgPool, type PoolConfig } from "pg";
import type { Pool } from "../../src/db/pool.js";
import { openEmbeddedPostgres } from "../../src/embedded/index.js";
import { cleanServer, createFreshDatabase, type PreparedServer, prepareServer } from "./fresh-database.js";
import { type ServerSource, startServer } from "./server.js";
import { testSchema } from "./test-schema.js";

export type TestDatabase = ServerTestDatabase | EmbeddedTestDatabase;

export interface ServerTestDatabase {
  readonly kind: "server";
  readonly source: ServerSource;
  /** Superuser of this database. */
  readonly url: string;
  /** Login that is a member of `langchain_pgvector_app` only: neither owner nor superuser. */
  readonly appUrl: string;
  /** Login that works as `langchain_pgvector_owner`: may create in the database, but is no superuser. */
  readonly ownerUrl: string;
  readonly pool: Pool;
  /** A further pool, as superuser unless `connectionString` says otherwise; ended by `close()`. */
  newPool: (options?: PoolConfig) => PgPool;
  close: () => Promise<void>;
}

export interface EmbeddedTestDatabase {
  readonly kind: "embedded";
  readonly source: "embedded";
  readonly url?: undefined;
  readonly appUrl?: undefined;
  readonly ownerUrl?: undefined;
  readonly pool: Pool;
  /** @throws Error always: there is one backend, and it is `pool` */
  newPool: (options?: PoolConfig) => PgPool;
  close: () => Promise<void>;
}

/**
 * A fresh database without vitest: for benchmarks, scripts and examples. `close()` also stops a server started for it.
 *
 * @param settings server settings by name, for a server that is started here.
 */
export async function openStandaloneDatabase(settings: Readonly<Record<string, string>> = {}): Promise<TestDatabase> {
  const server = await startServer(settings);
  if (!server) return openEmbeddedDatabase();
  try {
    const prepared = await prepareServer(server.url);
    const database = await openDatabaseOn({ ...prepared, source: server.source });
    const close = async (): Promise<void> => {
      await database.close();
      await cleanServer(prepared);
      await server.stop();
    };
    return { ...database, close };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

export async function openDatabaseOn(
  server: PreparedServer & { readonly source: ServerSource },
): Promise<ServerTestDatabase> {
  const { url, appUrl, ownerUrl, drop } = await createFreshDatabase(server);
  const pools: PgPool[] = [];
  const newPool = (options: PoolConfig = {}): PgPool => {
    const pool = new PgPool({ connectionString: url, max: 10, ...options });
    // A connection that the server cuts, idle or in use, must not end the test process.
    pool.on("error", () => {});
    pool.on("connect", (client) => void client.on("error", () => {}));
    pools.push(pool);
    return pool;
  };
  return {
    kind: "server",
    source: server.source,
    url,
    appUrl,
    ownerUrl,
    pool: newPool(),
    newPool,
    close: async () => {
      // A client that a failed test never gave back would make end() wait for ever, and the drop disconnects it anyway.
      const ended = Promise.all(pools.filter((pool) => !pool.ending && !pool.ended).map((pool) => pool.end()));
      await drop();
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1_000).unref())]);
    },
  };
}

export async function openEmbeddedDatabase(): Promise<EmbeddedTestDatabase> {
  const pool = await openEmbeddedPostgres();
  const { extensionSchemaName } = testSchema();
  if (extensionSchemaName !== undefined) {
    const schema = escapeIdentifier(extensionSchemaName);
    await pool.query(`create schema ${schema}; create extension vector with schema ${schema};`);
    await pool.query(`grant usage on schema ${schema} to public`);
  }
  return {
    kind: "embedded",
    source: "embedded",
    pool,
    newPool: () => {
      throw new Error(
        "The embedded database has one backend and no further pools; put the suite into describeServer().",
      );
    },
    close: () => pool.end(),
  };
}

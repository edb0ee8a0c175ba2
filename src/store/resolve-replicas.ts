import { openPool } from "../db/open-pool.js";
import type { Pool } from "../db/pool.js";
import { Replicas } from "../db/replicas/replicas.js";
import { ConfigurationError } from "../errors.js";
import { integer, type PostgresVectorStoreArgs } from "./options.js";
import type { Logger } from "./logger.js";

/** Options about standbys that take searches. */
export interface ReplicaArgs {
  /** Pools of standbys of the same server, such as one for each read replica. Whoever made them ends them. */
  readPool?: Pool | readonly Pool[];
  /** As `readPool`, by address; the pools are the store's own and end with it. */
  replicaConnectionString?: string | readonly string[];
  /** A replica that is further behind takes no searches, in milliseconds. @defaultValue 10000 */
  maxReplicaLagMs?: number;
  /**
   * Whether searches see everything that this store (and its views of tenants) has written before: they wait for a replica
   * to have it, and go to the primary otherwise.
   * @defaultValue false
   */
  readYourWrites?: boolean;
  /** How long such a search waits for a replica, in milliseconds. @defaultValue 200 */
  catchUpMs?: number;
}

/** @throws ConfigurationError for pools that are none, and for options that say nothing without them. No I/O. */
export function resolveReplicas(args: ReplicaArgs, primary: Pool, logger: Logger): Replicas | undefined {
  const maxLagMs = integer("maxReplicaLagMs", args.maxReplicaLagMs, 0, 86_400_000) ?? 10_000;
  const catchUpMs = integer("catchUpMs", args.catchUpMs, 0, 60_000) ?? 200;
  const given = list(args.readPool);
  const urls = list(args.replicaConnectionString);
  for (const pool of given) {
    if (typeof pool?.connect !== "function") throw new ConfigurationError("`readPool` must be a pg.Pool, or several.");
    if (pool === primary) throw new ConfigurationError("`readPool` is `pool` itself; give the pool of a standby.");
  }
  for (const url of urls) {
    if (typeof url === "string" && url !== "") continue;
    throw new ConfigurationError("`replicaConnectionString` must be the address of a standby, or a list of them.");
  }
  const owned = urls.map((connectionString) =>
    openPool({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS }),
  );
  const pools = [...given, ...owned];
  if (pools.length === 0) {
    for (const name of ["maxReplicaLagMs", "catchUpMs", "readYourWrites"] as const) {
      if (args[name] === undefined || args[name] === false) continue;
      throw new ConfigurationError(`${name} goes with \`readPool\` or \`replicaConnectionString\`.`);
    }
    return undefined;
  }
  const onChange = (message: string): void => logger.warn(`langchain-pgvector: ${message}`);
  return new Replicas(primary, pools, { maxLagMs, catchUpMs, onChange, owned });
}

/** The arguments of a store without its servers, for a view that shares them. */
export function withoutConnections(
  args: PostgresVectorStoreArgs,
): Omit<PostgresVectorStoreArgs, (typeof CONNECTIONS)[number]> {
  const others = { ...args };
  for (const name of CONNECTIONS) delete others[name];
  return others;
}

const CONNECTIONS = [
  "connectionString",
  "postgresConnectionOptions",
  "readPool",
  "replicaConnectionString",
  "maxReplicaLagMs",
  "readYourWrites",
  "catchUpMs",
] as const satisfies readonly (keyof PostgresVectorStoreArgs)[];

/** A host that swallows packets must not hold a search up for minutes. */
const CONNECT_TIMEOUT_MS = 2_000;

function list<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

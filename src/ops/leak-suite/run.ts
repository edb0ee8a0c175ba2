import { randomInt } from "node:crypto";
import pg from "pg";
import sql, { raw } from "sql-template-tag";
import { Database } from "../../db/database.js";
import { isEmbedded, type Pool } from "../../db/pool.js";
import { ConfigurationError } from "../../errors.js";
import { integer } from "../../store/options.js";
import type { LeakOperation } from "./operation.js";
import { LEAK_OPERATIONS } from "./operations.js";
import { Random } from "../random.js";
import { createGround, populate, type Ground } from "./setup.js";
import { Step } from "./step.js";
import type { LeakFinding } from "./tally.js";
import { COLLECTIONS, type LeakTenant } from "./tenants.js";
import { verifyTenant } from "./verify.js";
import type { World } from "./world.js";

/** Options of {@link runLeakSuite}. */
export interface LeakSuiteConfig {
  /** The database, as the application logs into it. */
  connectionString?: string;
  /** Instead of `connectionString`: a `pg.Pool`, or what `openEmbeddedPostgres()` returns. Whoever made it ends it. */
  pool?: pg.Pool | Pool;
  /** A login that may create tables, when the application's may not. @defaultValue the application's */
  adminConnectionString?: string;
  adminPool?: pg.Pool | Pool;
  /** Where the suite makes its tables. @defaultValue the first schema of the search path */
  schemaName?: string;
  /** Where pgvector is, when it has to be created. */
  extensionSchemaName?: string;
  /** @defaultValue `"langchain_pgvector_app"` */
  appRole?: string;
  /** Whether the suite's table is partitioned by tenant. @defaultValue false */
  partitioned?: boolean;
  /** @defaultValue 10,000 */
  operations?: number;
  /** 2 to 1,000. @defaultValue 200 */
  tenants?: number;
  /** The same seed makes the same choices. @defaultValue random */
  seed?: number;
  /** Connections that all tenants share, for `connectionString`. @defaultValue 4 */
  poolSize?: number;
  /** Called about a hundred times in a run. */
  onProgress?: (progress: LeakProgress) => void;
  /** Stops the run; the tables are dropped all the same. */
  signal?: AbortSignal;
}

export interface LeakProgress {
  readonly operations: number;
  readonly total: number;
  readonly seed: number;
}

/** What a run has found. Everything is well when the three counts of leaks and `unexpected` are 0. */
export interface LeakReport {
  readonly operations: number;
  readonly tenants: number;
  /** Rows of one tenant that another has seen, in results, in counts, or through the difference between two errors. */
  readonly leakedRows: number;
  /** Rows of one tenant that another has changed, made or removed. */
  readonly crossTenantWrites: number;
  /** Bytes of one tenant's content in error texts of another. */
  readonly leakedErrorBytes: number;
  /** Calls that failed and should not have, or went through and should have been refused. */
  readonly unexpected: number;
  readonly seed: number;
  /** Calls by operation, and how many of them ended in an error. */
  readonly byKind: Readonly<Record<string, { calls: number; refused: number }>>;
  /** Leaks and surprises: 50 at most, and two of a kind for one operation. */
  readonly findings: readonly LeakFinding[];
  readonly durationMs: number;
}

/** For the tests of the suite itself, which have to see it fail. */
export interface LeakSuiteHooks {
  /** Called when the tables are filled and before the first operation. */
  onReady?(ground: Ground): Promise<void>;
}

/** Concurrent operations for each connection, so that some always wait for one. */
const WORKERS_PER_CONNECTION = 2;

/**
 * Attacks a store of its own, made for the run in your database and dropped afterwards: random operations of many
 * tenants over a small pool, by every public method and by raw SQL, with failures, kills and cancellations in between.
 * Each tenant's rows hold a random marker, and whatever comes back to another one, error texts included, is searched for
 * it; what each tenant has is compared with a model of what it should have.
 *
 * @example
 * ```ts
 * const report = await runLeakSuite({ connectionString: process.env.DATABASE_URL, operations: 20_000 });
 * if (report.leakedRows + report.crossTenantWrites + report.leakedErrorBytes > 0) console.error(report.findings);
 * ```
 * @throws TenantIsolationError when the connection cannot be bound by row-level security at all.
 * @throws the signal's reason when it fires.
 */
export async function runLeakSuite(config: LeakSuiteConfig, hooks: LeakSuiteHooks = {}): Promise<LeakReport> {
  const started = performance.now();
  const { signal, schemaName, extensionSchemaName, appRole } = config;
  const total = integer("operations", config.operations, 1, 1_000_000_000) ?? 10_000;
  const tenants = integer("tenants", config.tenants, 2, 1_000) ?? 200;
  const seed = integer("seed", config.seed, 0, 2 ** 32 - 1) ?? randomInt(2 ** 32);
  signal?.throwIfAborted();
  const pools = openPools(config);
  try {
    const { pool, adminPool, poolSize } = pools;
    const setup = {
      pool,
      adminPool,
      poolSize,
      schemaName,
      extensionSchemaName,
      appRole,
      partitioned: config.partitioned ?? false,
      tenants,
      seed,
      signal,
    };
    const ground = await createGround(setup);
    try {
      const { world } = ground;
      await populate(world, seed, signal);
      await hooks.onReady?.(ground);
      await attack(world, total, seed, config);
      await verifyAll(world, new Database(adminPool), total);
      const { leakedRows, crossTenantWrites, leakedErrorBytes, unexpected, byKind, findings } = world.tally;
      const durationMs = Math.round(performance.now() - started);
      return {
        operations: total,
        tenants,
        leakedRows,
        crossTenantWrites,
        leakedErrorBytes,
        unexpected,
        seed,
        byKind,
        findings,
        durationMs,
      };
    } finally {
      await ground.drop();
    }
  } finally {
    await pools.end();
  }
}

async function attack(world: World, total: number, seed: number, config: LeakSuiteConfig): Promise<void> {
  const { embedded, ownsTables, administers, poolSize } = world.facts;
  const possible = LEAK_OPERATIONS.filter(
    ({ server, stranger, application }) =>
      !(server && embedded) && !(stranger && ownsTables) && !(application && administers),
  );
  const deck = possible.flatMap((operation) => Array.from({ length: operation.weight ?? 1 }, () => operation));
  const every = Math.max(1, Math.floor(total / 100));
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < total) {
      config.signal?.throwIfAborted();
      const position = next;
      next += 1;
      await perform(world, deck, seed, position);
      done += 1;
      if (done % every === 0 || done === total) config.onProgress?.({ operations: done, total, seed });
    }
  };
  const workers = Array.from({ length: poolSize * WORKERS_PER_CONNECTION }, work);
  // All of them have to be done before the tables are dropped, also when one has failed.
  const outcomes = await Promise.allSettled(workers);
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

async function perform(world: World, deck: readonly LeakOperation[], seed: number, position: number): Promise<void> {
  const random = new Random(seed, position);
  const operation = random.pick(deck);
  const tenant = random.pick(world.tenants);
  const other = otherThan(tenant, world.tenants, random);
  const origin = { operation: operation.name, position };
  await world.alone(tenant, async () => {
    try {
      await operation.run(new Step(world, origin, random, tenant, other, random.pick(COLLECTIONS)));
      if (random.chance(0.02)) await verifyTenant(world, tenant, origin);
    } catch (error) {
      // What is not a call of the tenant's: a run of an hour must not be lost to it, nor pass over it.
      world.tally.surprise(origin, String(error));
    }
  });
}

function otherThan(tenant: LeakTenant, tenants: readonly LeakTenant[], random: Random): LeakTenant {
  const offset = 1 + random.below(tenants.length - 1);
  return tenants[(tenant.index + offset) % tenants.length]!;
}

/** Compares all tenants with the model, and looks for rows of tenants that there are none of. */
async function verifyAll(world: World, admin: Database, position: number): Promise<void> {
  const origin = { operation: "verification", position };
  for (const tenant of world.tenants) await verifyTenant(world, tenant, origin);
  const { rows } = await admin.execute({
    name: "leak-suite-total",
    sql: sql`
      select (select count(*)::int4 from ${raw(world.tables.chunks)}) as stored,
        (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as sees_all`,
  });
  const { stored, sees_all: seesAll } = rows[0] as { stored: number; sees_all: boolean };
  const expected = world.tenants.reduce((sum, tenant) => sum + tenant.rows.size, 0);
  if (seesAll && stored !== expected) {
    world.tally.crossWrite(
      origin,
      Math.abs(stored - expected),
      `the table has ${stored} rows, the tenants ${expected}`,
    );
  }
}

function openPools(config: LeakSuiteConfig): {
  pool: Pool;
  adminPool: Pool;
  poolSize: number;
  end: () => Promise<void>;
} {
  const size = integer("poolSize", config.poolSize, 1, 1_000) ?? 4;
  const made: pg.Pool[] = [];
  const open = (connectionString: string, max: number): Pool => {
    const pool = new pg.Pool({ connectionString, max });
    // The suite kills connections, idle ones of its own included.
    pool.on("error", () => undefined);
    made.push(pool);
    return pool;
  };
  const { pool: given, adminPool: givenAdmin, connectionString, adminConnectionString } = config;
  if (given === undefined && connectionString === undefined) {
    throw new ConfigurationError("Say where the database is: set `connectionString` or `pool`.");
  }
  const pool: Pool = given ?? open(connectionString!, size);
  const admin: Pool | undefined = givenAdmin;
  const adminPool = admin ?? (adminConnectionString === undefined ? pool : open(adminConnectionString, 2));
  const poolSize = isEmbedded(pool) ? 1 : given instanceof pg.Pool ? given.options.max : size;
  return {
    pool,
    adminPool,
    poolSize,
    end: async () => {
      await Promise.all(made.map((one) => one.end()));
    },
  };
}

import type pg from "pg";
import { PostgresVectorStore, type PostgresVectorStoreArgs } from "../src/index.js";
import { findPgBouncer, startPgBouncer, type PgBouncer } from "../test/helpers/pgbouncer.js";
import { HashedEmbeddings, seededRandom } from "../test/helpers/vectors.js";
import type { ServerTestDatabase } from "../test/helpers/open-database.js";
import { documentOf } from "./churn/documents.js";
import { operate, type World } from "./churn/operations.js";
import { Population } from "./churn/population.js";
import { quarters, sampleConnections, sampleSizes, type Sample } from "./churn/sample.js";
import {
  atMost,
  describeMachine,
  openBenchDatabase,
  progress,
  table,
  type BenchOptions,
  type BenchResult,
} from "./harness.js";

const TABLE = "churn";
const RESIDENT = "resident";
const WORKERS = 4;
/** Of them, those whose client stays. */
const RESIDENTS = 2;
const SAMPLES = { sizes: 100, connections: 1_000 };
/** Autovacuum as the library's server settings have it; it comes more often than each minute, as the day is short. */
const SETTINGS = { autovacuum: "on", autovacuum_naptime: "1s", shared_buffers: "1GB", max_wal_size: "2GB" } as const;
/** The hour of the library's pools and of PgBouncer, in a day of a quarter of an hour. */
const MAX_LIFETIME_SECONDS = 40;

/** A day in minutes: mixed operations at a size that stays, and whether connections, memory and files level off. */
export async function run({ quick, rows, dimensions = 384 }: BenchOptions): Promise<BenchResult> {
  const operations = rows ?? (quick ? 4_000 : 200_000);
  const database = await openBenchDatabase(SETTINGS);
  const pooler =
    findPgBouncer() === undefined ? undefined : await startPgBouncer([database.appUrl], 6, MAX_LIFETIME_SECONDS);
  const embeddings = new HashedEmbeddings(dimensions);
  const config = { tableName: TABLE, tenancy: "rls", lexical: true, promotedKeys: { year: "number" } } as const;
  try {
    const owner = await PostgresVectorStore.initialize(embeddings, {
      ...config,
      pool: database.newPool({ connectionString: database.ownerUrl, max: 2 }),
    });
    const random = seededRandom(1);
    const population = new Population(tenantSizes(quick ? 0.25 : 1), random);
    const world: World = { random, population, owner, failures: [] };
    await fill(owner, world);
    const meter = database.newPool({ max: 1, application_name: "churn-bench" });
    const open = clientsOf(database, pooler, embeddings, config);
    const { counts, frequent, seldom, seconds } = await churn(operations, world, meter, open);
    const lost = await wrongCounts(meter, population);
    // Its connections to the server stay when its clients go, which is what it is for.
    await pooler?.stop();
    const left = await connectionsLeft(meter);
    const means = new Map([...quarters(frequent), ...quarters(seldom)]);
    table(
      "Means of each quarter; bytes in MB",
      [...means].map(([name, values]) => line(name, values)),
    );
    table(
      "Operations",
      [...counts].sort(([, a], [, b]) => b - a).map(([name, times]) => ({ operation: name, times })),
    );
    const bars = [...means]
      .filter(([name]) => !name.startsWith("("))
      .map(([name, values]) => atMost(`${name}, last quarter against the third`, change(values), 5, " %"));
    bars.push(
      atMost("operations that failed", world.failures.length, 0),
      atMost("tenants with other rows than were written", lost, 0),
      atMost("connections left when all clients are gone", left, 0),
    );
    const machine = { ...(await describeMachine(database)), pgbouncer: pooler === undefined ? "no" : "yes" };
    const figures = {
      operations,
      seconds,
      means: Object.fromEntries(means),
      counts: Object.fromEntries(counts),
      failures: world.failures.slice(0, 5),
      samples: seldom.filter((_, at) => at % 5 === 4),
    };
    return { machine, figures, bars };
  } finally {
    await pooler?.stop();
    await database.close();
  }
}

/** One tenant large enough for the graph, and small ones. */
function tenantSizes(scale: number): Record<string, number> {
  const sizes: Record<string, number> = { large: 4_000 * scale, middle: 1_000 * scale };
  for (let tenant = 0; tenant < 30; tenant += 1) sizes[`small-${tenant}`] = 20 + 3 * tenant;
  return sizes;
}

async function fill(owner: PostgresVectorStore, { population, random }: World): Promise<void> {
  for (const tenant of population.tenants) {
    const ids = population.newIds(population.wanted(tenant));
    await owner.forTenant(tenant).bulkLoad(
      ids.map((id) => documentOf(id, random)),
      { vacuum: false },
    );
    population.added(tenant, ids);
  }
  // A small graph: in a day of minutes a vacuum, which repairs it, has a minute for what it would have an hour for.
  await owner.createHnswIndex({ m: 8, efConstruction: 32, targetRecall: false });
  progress("filled");
}

interface Client {
  readonly store: PostgresVectorStore;
  /** Operations until it goes. */
  readonly life: number;
}

/** An application's process: a pool and a store of its own. */
type OpenClient = (number: number) => Promise<Client>;

/** The first clients stay as servers do, with connections that end by their age alone; the others come and go. */
function clientsOf(
  database: ServerTestDatabase,
  pooler: PgBouncer | undefined,
  embeddings: HashedEmbeddings,
  config: Partial<PostgresVectorStoreArgs>,
): OpenClient {
  const random = seededRandom(2);
  return async (number) => {
    const resident = number < RESIDENTS;
    // Every third one goes through the pooler.
    const pooled = pooler !== undefined && !resident && number % 3 === 1;
    const store = await PostgresVectorStore.fromExistingIndex(embeddings, {
      ...config,
      connectionString: pooled ? pooler.through(database.appUrl) : database.appUrl,
      postgresConnectionOptions: {
        max: 3,
        idleTimeoutMillis: resident ? 0 : 2_000,
        maxLifetimeSeconds: MAX_LIFETIME_SECONDS,
        application_name: resident ? RESIDENT : "guest",
      },
    });
    return { store, life: resident ? Infinity : 20 + Math.floor(random() * 400) };
  };
}

interface Churned {
  readonly counts: ReadonlyMap<string, number>;
  readonly frequent: readonly Sample[];
  readonly seldom: readonly Sample[];
  readonly seconds: number;
}

/** Runs so many operations, {@link WORKERS} at a time, half of them by the clients that stay. */
async function churn(operations: number, world: World, meter: pg.Pool, open: OpenClient): Promise<Churned> {
  const counts = new Map<string, number>();
  const [frequent, seldom]: [Sample[], Sample[]] = [[], []];
  let started = 0;
  let done = 0;
  let clients = RESIDENTS;
  const isGoing = (): boolean => started < operations;
  // Samples are taken one after the other, so that one that is slow is not overtaken.
  let sampling = Promise.resolve();
  const began = performance.now();
  const sample = async (): Promise<void> => {
    frequent.push(await sampleConnections(meter, RESIDENT));
    if (frequent.length % (SAMPLES.connections / SAMPLES.sizes) !== 0) return;
    seldom.push(await sampleSizes(meter, TABLE));
    if (seldom.length % 5 === 0) progress(`${done} operations, ${world.failures.length} failed`);
  };
  const use = async ({ store, life }: Client): Promise<void> => {
    for (let turn = 0; turn < life && isGoing(); turn += 1) {
      started += 1;
      const name = await operate(store, world);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      done += 1;
      if (done % (operations / SAMPLES.connections) === 0) await (sampling = sampling.then(sample));
    }
  };
  const guests = async (): Promise<void> => {
    while (isGoing()) {
      const client = await open(clients++);
      await use(client);
      await client.store.end();
    }
  };
  const residents = await Promise.all(Array.from({ length: RESIDENTS }, (_, number) => open(number)));
  await Promise.all([...residents.map(use), ...Array.from({ length: WORKERS - RESIDENTS }, guests)]);
  await sampling;
  await Promise.all(residents.map(({ store }) => store.end()));
  return { counts, frequent, seldom, seconds: (performance.now() - began) / 1_000 };
}

/** How many tenants do not have exactly the rows that were written and not deleted. */
async function wrongCounts(pool: pg.Pool, population: Population): Promise<number> {
  const { rows } = await pool.query<{ tenant: string; count: number }>(
    `select tenant_id as tenant, count(*)::int as count from ${TABLE} group by tenant_id`,
  );
  const found = new Map(rows.map(({ tenant, count }) => [tenant, count]));
  const tenants = new Set([...found.keys(), ...population.tenants]);
  return [...tenants].filter((tenant) => (found.get(tenant) ?? 0) !== population.rows(tenant)).length;
}

/** A server process ends a moment after its client has gone. */
async function connectionsLeft(pool: pg.Pool): Promise<number> {
  let left = 0;
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const { rows } = await pool.query<{ left: number }>(
      "select count(*)::int as left from pg_stat_activity where application_name = any($1)",
      [[RESIDENT, "guest"]],
    );
    left = rows[0]!.left;
    if (left === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return left;
}

/** By how many percent the last quarter is off the third. */
function change([, , third, last]: readonly number[]): number {
  return third === last ? 0 : Math.abs(100 * (last! / third! - 1));
}

function line(name: string, values: readonly number[]): Record<string, string | number> {
  const scale = name === "connections" || name.startsWith("(") ? 1 : 1e-6;
  const [first, second, third, fourth] = values.map((value) => value * scale) as [number, number, number, number];
  return { what: name, first, second, third, fourth, "change %": change(values) };
}

import { setTimeout as sleep } from "node:timers/promises";
import { OfflineEmbeddings, PostgresVectorStore, type DeleteTenantProgress } from "../src/index.js";
import { testSchema } from "../test/helpers/test-schema.js";
import type { ServerTestDatabase } from "../test/helpers/open-database.js";
import { seededRandom } from "../test/helpers/vectors.js";
import {
  atMost,
  describeMachine,
  openBenchDatabase,
  progress,
  quantile,
  table,
  timed,
  type BenchOptions,
  type BenchResult,
} from "./harness.js";

const TABLE = "tenant_delete";
const SEARCHERS = 2;
/** What a searcher thinks between two searches, so that the machine is busy and not full. */
const THINK_MS = 10;
const CENTRES = 50;

type Phase = "idle" | DeleteTenantProgress["phase"];

/**
 * Deletes one large tenant among others, in a table with an HNSW index, while others search; then stores its rows again.
 */
export async function run({ quick, rows, dimensions }: BenchOptions): Promise<BenchResult> {
  const size = rows ?? (quick ? 3_000 : 40_000);
  const length = dimensions ?? (quick ? 256 : 1_536);
  const idleMs = quick ? 5_000 : 30_000;
  const database = await openBenchDatabase();
  try {
    const owner = await openStore(database, length);
    const tenants = await fill(owner, size, length);
    progress("building the HNSW index");
    const buildMs = await timed(() => owner.createHnswIndex({ m: 16, efConstruction: 64 }));
    await database.newPool({ max: 1 }).query(`vacuum (analyze) ${qualifiedTable()}`);
    const before = await space(database);

    const app = await PostgresVectorStore.fromExistingIndex(new OfflineEmbeddings({ dimensions: length }), {
      ...config(length),
      pool: database.newPool({ connectionString: database.appUrl, max: SEARCHERS }),
    });
    const searches = new Searches(app, tenants, length);
    await searches.warmUp();
    progress("searching, idle");
    searches.start();
    await sleep(idleMs);
    progress("deleting");
    const phaseStarts: Partial<Record<Phase, number>> = {};
    const deleteMs = await timed(() =>
      owner.tenants.delete("victim", {
        onProgress: ({ phase }) => {
          phaseStarts[phase] ??= performance.now();
          searches.phase = phase;
        },
      }),
    );
    const vacuumMs = performance.now() - phaseStarts.vacuuming!;
    searches.phase = "idle";
    progress("searching, idle again");
    await sleep(idleMs);
    await searches.stop();
    const after = await space(database);

    progress("storing the rows again");
    const storeMs = await timed(() => store(owner, "victim", size, length, 1));
    const again = await space(database);

    const p95 = (phase: Phase): number => quantile(searches.samples[phase], 0.95);
    table(
      `Searches of the others while a tenant of ${size.toLocaleString("en")} rows at ${length} dimensions is deleted (ms)`,
      (["idle", "deleting", "vacuuming"] as const).map((phase) => ({
        phase,
        searches: searches.samples[phase].length,
        p50: quantile(searches.samples[phase], 0.5),
        p95: p95(phase),
        p99: quantile(searches.samples[phase], 0.99),
      })),
    );
    table("Space (MiB)", [
      { when: "before", ...before.table },
      { when: "deleted and vacuumed", ...after.table },
      { when: "stored again", ...again.table },
    ]);
    const busy = [...searches.samples.deleting, ...searches.samples.waiting, ...searches.samples.vacuuming];
    return {
      machine: await describeMachine(database),
      figures: {
        rows: size,
        dimensions: length,
        buildMs,
        deleteMs,
        vacuumMs,
        storeMs,
        p95: { idle: p95("idle"), deleting: p95("deleting"), vacuuming: p95("vacuuming") },
        before,
        after,
        again,
      },
      bars: [
        atMost("p95 of searches while a tenant is deleted", quantile(busy, 0.95), 2 * p95("idle"), " ms"),
        atMost("dead rows after the deletion", after.deadRows, 0),
        atMost("table after the rows are stored again, of before", again.bytes / before.bytes, 1.01),
      ],
    };
  } finally {
    await database.close();
  }
}

const config = (dimensions: number) =>
  ({ tableName: TABLE, tenancy: "rls", dimensions, chunkSize: 200, ...testSchema() }) as const;

const qualifiedTable = (): string => {
  const { schemaName } = testSchema();
  return `${schemaName === undefined ? "" : `"${schemaName}".`}${TABLE}`;
};

function openStore(database: ServerTestDatabase, dimensions: number): Promise<PostgresVectorStore> {
  return PostgresVectorStore.initialize(new OfflineEmbeddings({ dimensions }), {
    ...config(dimensions),
    pool: database.newPool({ connectionString: database.ownerUrl, max: 4 }),
  });
}

/** One tenant to delete, one half its size, and small ones; written in turns, so that they share the table's pages. */
async function fill(owner: PostgresVectorStore, size: number, dimensions: number): Promise<string[]> {
  const small = Array.from({ length: 20 }, (_, i) => `small-${i}`);
  const slices = 20;
  for (let slice = 0; slice < slices; slice += 1) {
    progress(`storing rows, ${slice + 1} of ${slices}`);
    await store(owner, "victim", Math.ceil(size / slices), dimensions, slice, `${slice}-`);
    await store(owner, "large", Math.ceil(size / 2 / slices), dimensions, 100 + slice, `${slice}-`);
    await store(owner, small[slice % small.length]!, Math.ceil(size / 80), dimensions, 200 + slice);
  }
  return ["large", ...small];
}

async function store(
  owner: PostgresVectorStore,
  tenant: string,
  count: number,
  dimensions: number,
  seed: number,
  prefix = "",
): Promise<void> {
  const view = owner.forTenant(tenant);
  const vectors = vectorSource(dimensions, seed);
  for (let start = 0; start < count; start += 400) {
    const ids = Array.from({ length: Math.min(400, count - start) }, (_, i) => `${prefix}${start + i}`);
    await view.addVectors(
      ids.map(() => vectors()),
      ids.map((id) => ({ id, pageContent: `chunk ${id} of ${tenant}. `.repeat(20), metadata: { id } })),
    );
  }
}

/** Vectors around a few centres that are the same for all tenants. */
function vectorSource(dimensions: number, seed: number): () => number[] {
  const centreRandom = seededRandom(7);
  const centres = Array.from({ length: CENTRES }, () => Array.from({ length: dimensions }, () => centreRandom() - 0.5));
  const random = seededRandom(1_000 + seed);
  return () => {
    const centre = centres[Math.floor(random() * CENTRES)]!;
    return centre.map((value) => value + (random() - 0.5) * 0.8);
  };
}

class Searches {
  readonly samples: Record<Phase, number[]> = { idle: [], deleting: [], waiting: [], vacuuming: [] };
  phase: Phase = "idle";
  readonly #stopped = new AbortController();
  #loops: Promise<void>[] = [];

  constructor(
    private readonly app: PostgresVectorStore,
    private readonly tenants: readonly string[],
    private readonly dimensions: number,
  ) {}

  async warmUp(): Promise<void> {
    const next = vectorSource(this.dimensions, 999);
    for (let i = 0; i < 100; i += 1) await this.#search(i, next());
  }

  start(): void {
    this.#loops = Array.from({ length: SEARCHERS }, async (_, searcher) => {
      const next = vectorSource(this.dimensions, 2_000 + searcher);
      for (let i = searcher; !this.#stopped.signal.aborted; i += 1) {
        const vector = next();
        const { phase } = this;
        const milliseconds = await timed(() => this.#search(i, vector));
        // One that straddles two phases says nothing about either.
        if (phase === this.phase) this.samples[phase].push(milliseconds);
        await sleep(THINK_MS);
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#loops);
  }

  /** Every other search is of the large tenant. */
  async #search(turn: number, vector: number[]): Promise<void> {
    const tenant = turn % 2 === 0 ? this.tenants[0]! : this.tenants[1 + (turn % (this.tenants.length - 1))]!;
    const hits = await this.app.forTenant(tenant).search(vector, { k: 10 });
    if (hits.length !== 10) throw new Error(`A search of ${tenant} found ${hits.length} of 10.`);
  }
}

async function space(database: ServerTestDatabase): Promise<{
  bytes: number;
  deadRows: number;
  table: { heap: number; "out of line": number; indexes: number; "dead rows": number };
}> {
  const pool = database.newPool({ max: 1 });
  // The counters of dead rows lag behind: backends report what they deleted only when they find the time.
  await pool.query(`analyze ${qualifiedTable()}`);
  const { rows } = await pool.query<Record<"heap" | "toast" | "indexes" | "dead", number>>(
    `select pg_relation_size(c.oid)::float8 as heap, pg_table_size(c.oid)::float8 - pg_relation_size(c.oid) as toast,
       pg_indexes_size(c.oid)::float8 as indexes, pg_stat_get_dead_tuples(c.oid)::float8 as dead
     from pg_class c where c.oid = $1::regclass`,
    [qualifiedTable()],
  );
  const { heap, toast, indexes, dead } = rows[0]!;
  const mib = (bytes: number): number => bytes / 2 ** 20;
  return {
    bytes: heap + toast,
    deadRows: dead,
    table: { heap: mib(heap), "out of line": mib(toast), indexes: mib(indexes), "dead rows": dead },
  };
}

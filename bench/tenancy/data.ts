import { Embeddings } from "@langchain/core/embeddings";
import { PGVectorStore as BaseStore } from "@langchain/community/vectorstores/pgvector";
import type pg from "pg";
import { PostgresVectorStore } from "../../src/index.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { vectorSpace } from "../../test/helpers/vector-space.js";
import { seededRandom } from "../../test/helpers/vectors.js";
import { progress } from "../harness.js";

/** Vectors are given everywhere; asking for one is a mistake in the benchmark. */
export class NoEmbeddings extends Embeddings {
  constructor() {
    super({});
  }
  override embedQuery(): Promise<number[]> {
    throw new Error("This benchmark passes vectors.");
  }
  override embedDocuments(): Promise<number[][]> {
    throw new Error("This benchmark passes vectors.");
  }
}

/** Rows of a tenant of each kind, and how many tenants of the kind there are. */
export interface TenantKind {
  readonly kind: string;
  readonly rows: number;
  readonly tenants: number;
  /** Whether its tenants have an index of their own. */
  readonly own?: true;
}

export interface Corpus {
  readonly dimensions: number;
  readonly rows: number;
  readonly kinds: readonly TenantKind[];
  /** Opened as the login of an application, which row-level security binds. */
  readonly store: PostgresVectorStore;
  readonly base: BaseStore;
  /** What `store` and `base` work on. */
  readonly pools: { readonly store: pg.Pool; readonly base: pg.Pool };
  readonly queries: readonly number[][];
}

export const TABLE = "tenancy";
export const BUCKETS = 100;
const BATCH = 250;
const WORDS = "what a chunk of a few sentences says about a topic of its tenant ".repeat(8);

export const tenantName = (kind: string, index: number): string => `${kind}-${index}`;

/** 200 tenants (fewer with a smaller scale): the sizes of the acceptance figures, and the rest with 100 rows. */
export function tenantKinds(scale: number): TenantKind[] {
  const sized = [
    { kind: "40000", rows: 40_000, tenants: 1 },
    { kind: "own", rows: 10_000, tenants: 1, own: true as const },
    { kind: "10000", rows: 10_000, tenants: 1 },
    { kind: "own 3000", rows: 3_000, tenants: 1, own: true as const },
    { kind: "3000", rows: 3_000, tenants: 1 },
    { kind: "1000", rows: 1_000, tenants: 4 },
    { kind: "100", rows: 100, tenants: 191 },
  ];
  return sized.map((kind) => (kind.rows <= 100 ? kind : { ...kind, rows: Math.ceil(kind.rows * scale) }));
}

/** Fills our table, tenant by tenant in batches that take turns, copies it for the base class, and builds the indexes. */
export async function loadCorpus(
  database: ServerTestDatabase,
  kinds: readonly TenantKind[],
  { dimensions, clients, inlineVectors }: { dimensions: number; clients: number; inlineVectors: boolean },
): Promise<Corpus> {
  const pool = database.newPool({ max: 4 });
  const config = { tableName: TABLE, tenancy: "rls", dimensions } as const;
  const owner = await PostgresVectorStore.initialize(new NoEmbeddings(), { ...config, inlineVectors, pool });
  const space = vectorSpace({ dimensions });
  const rows = await fill(owner, kinds, space(1));
  progress(`loaded ${rows} rows of ${dimensions} dimensions`);
  const basePool = database.newPool({ max: clients });
  const base = new BaseStore(new NoEmbeddings(), { pool: basePool, tableName: "base_class" });
  await base.ensureTableInDatabase(dimensions);
  await pool.query(`insert into base_class (text, metadata, embedding) select text, metadata, embedding from ${TABLE}`);
  await owner.createHnswIndex();
  progress("built our index");
  for (const { kind } of kinds.filter(({ own }) => own)) {
    await owner.createHnswIndex({ tenantId: tenantName(kind, 0) });
  }
  await base.createHnswIndex({ dimensions });
  progress("built the base class's index");
  for (const table of [TABLE, "base_class"]) await pool.query(`vacuum (analyze) ${table}`);
  const appPool = database.newPool({ connectionString: database.appUrl, max: clients });
  const store = await PostgresVectorStore.fromExistingIndex(new NoEmbeddings(), { ...config, pool: appPool });
  const next = space(2);
  const queries = Array.from({ length: 100 }, () => Array.from(next()));
  return { dimensions, rows, kinds, store, base, pools: { store: appPool, base: basePool }, queries };
}

async function fill(
  store: PostgresVectorStore,
  kinds: readonly TenantKind[],
  draw: () => Float32Array,
): Promise<number> {
  const random = seededRandom(3);
  const batches = kinds.flatMap(({ kind, rows, tenants }) =>
    Array.from({ length: tenants }, (_, index) => tenantName(kind, index)).flatMap((tenant) =>
      Array.from({ length: Math.ceil(rows / BATCH) }, (_, batch) => {
        const start = batch * BATCH;
        return { tenant, start, count: Math.min(BATCH, rows - start), place: random() };
      }),
    ),
  );
  let total = 0;
  for (const { tenant, start, count } of batches.toSorted((a, b) => a.place - b.place)) {
    const documents = Array.from({ length: count }, (_, i) => ({
      id: String(start + i),
      pageContent: `Chunk ${start + i} of ${tenant}: ${WORDS}`,
      metadata: { bucket: Math.floor(random() * BUCKETS), source: `file-${(start + i) % 17}.pdf` },
    }));
    await store.forTenant(tenant).addVectors(documents.map(draw), documents);
    total += count;
  }
  return total;
}

/** Connections as the application's login, each with custom plans; for the bare queries. */
export async function bareClients(database: ServerTestDatabase, count: number): Promise<pg.PoolClient[]> {
  const pool = database.newPool({ connectionString: database.appUrl, max: count });
  return Promise.all(Array.from({ length: count }, () => pool.connect()));
}

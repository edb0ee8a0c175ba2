import { PGVectorStore as BaseStore } from "@langchain/community/vectorstores/pgvector";
import type pg from "pg";
import { type BulkLoadItem, PostgresVectorStore } from "../../src/index.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { vectorSpace } from "../../test/helpers/vector-space.js";
import { progress } from "../harness.js";
import { NoEmbeddings } from "../tenancy/data.js";

export const TENANT = "acme";
export const BUCKETS = 100;
/** The metadata key that has a column of its own; `bucket` holds the same and has none. */
export const PROMOTED = "promoted_bucket";
/** Candidates of both: the server's default, and all that the base class can have. */
export const EF_SEARCH = 40;
const TABLE = "search";
const WORDS = "what a chunk of a few sentences says about its topic ".repeat(8);

export interface Corpus {
  /** Of one tenant that holds all rows, as a login that row-level security binds. */
  readonly store: PostgresVectorStore;
  readonly storePool: pg.Pool;
  /** The base class, without tenancy, on a copy of the rows with an index of the same parameters. */
  readonly base: BaseStore;
  /** The same on connections whose scans go on until enough rows match, which the base class leaves to the server. */
  readonly iterativeBase: BaseStore;
  readonly queries: readonly number[][];
  /** Candidates that our store keeps when it is not told how many: what its index was measured to need. */
  readonly measuredEfSearch: number;
}

export async function loadCorpus(
  database: ServerTestDatabase,
  rows: number,
  dimensions: number,
  clients: number,
  inlineVectors: boolean,
): Promise<Corpus> {
  const ownerPool = database.newPool({ max: 4 });
  const promotedKeys = { [PROMOTED]: "number" } as const;
  const config = { tableName: TABLE, tenancy: "rls", tenantId: TENANT, dimensions, promotedKeys } as const;
  const owner = await PostgresVectorStore.initialize(new NoEmbeddings(), { ...config, inlineVectors, pool: ownerPool });
  const space = vectorSpace({ dimensions });
  await owner.bulkLoad(items(rows, space(1)));
  progress(`loaded ${rows} rows of ${dimensions} dimensions`);
  await owner.createHnswIndex();
  progress("built our index");
  await ownerPool.query(
    `create table base_rows as select gen_random_uuid() as id, text, metadata, embedding from ${TABLE}`,
  );
  await ownerPool.query("alter table base_rows add primary key (id)");
  await ownerPool.query(
    "create index on base_rows using hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 128)",
  );
  progress("built the base class's index");
  for (const table of [TABLE, "base_rows"]) await ownerPool.query(`vacuum (analyze) ${table}`);
  const note = await ownerPool.query<{ note: string }>(
    `select obj_description(indexrelid, 'pg_class') as note from pg_index
     where indrelid = $1::regclass and obj_description(indexrelid, 'pg_class') is not null`,
    [TABLE],
  );
  const storePool = database.newPool({ connectionString: database.appUrl, max: clients });
  const newBase = (options: string): BaseStore =>
    new BaseStore(new NoEmbeddings(), { pool: database.newPool({ max: clients, options }), tableName: "base_rows" });
  const next = space(2);
  return {
    store: await PostgresVectorStore.fromExistingIndex(new NoEmbeddings(), { ...config, pool: storePool }),
    storePool,
    base: newBase(`-c hnsw.ef_search=${EF_SEARCH}`),
    iterativeBase: newBase(`-c hnsw.ef_search=${EF_SEARCH} -c hnsw.iterative_scan=strict_order`),
    queries: Array.from({ length: 200 }, () => Array.from(next())),
    measuredEfSearch: Number(/efSearch (\d+)/.exec(note.rows[0]?.note ?? "")?.[1]),
  };
}

function* items(rows: number, draw: () => Float32Array): Generator<BulkLoadItem> {
  for (let row = 0; row < rows; row += 1) {
    const bucket = row % BUCKETS;
    const metadata = { bucket, [PROMOTED]: bucket, source: `file-${row % 17}.pdf` };
    yield { document: { id: String(row), pageContent: `Chunk ${row}: ${WORDS}`, metadata }, embedding: draw() };
  }
}

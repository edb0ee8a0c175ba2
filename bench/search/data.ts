import { PGVectorStore as BaseStore } from "@langchain/community/vectorstores/pgvector";
import type pg from "pg";
import { type BulkLoadItem, PostgresVectorStore } from "../../src/index.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { vectorSpace } from "../../test/helpers/vector-space.js";
import { progress } from "../harness.js";
import { NoEmbeddings } from "../tenancy/data.js";

export const TENANT = "acme";
export const BUCKETS = 100;
const TABLE = "search";
const WORDS = "what a chunk of a few sentences says about its topic ".repeat(8);

export interface Corpus {
  /** Of one tenant that holds all rows, as a login that row-level security binds. */
  readonly store: PostgresVectorStore;
  readonly storePool: pg.Pool;
  /** The base class, without tenancy, on a copy of the rows with an index of the same parameters. */
  readonly base: BaseStore;
  readonly queries: readonly number[][];
  /** Candidates that both keep, so that both reach the same recall. */
  readonly efSearch: number;
}

export async function loadCorpus(
  database: ServerTestDatabase,
  rows: number,
  dimensions: number,
  clients: number,
): Promise<Corpus> {
  const ownerPool = database.newPool({ max: 4 });
  const config = { tableName: TABLE, tenancy: "rls", tenantId: TENANT, dimensions } as const;
  const owner = await PostgresVectorStore.initialize(new NoEmbeddings(), { ...config, pool: ownerPool });
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
  const efSearch = Number(/efSearch (\d+)/.exec(note.rows[0]?.note ?? "")?.[1] ?? 100);
  const storePool = database.newPool({ connectionString: database.appUrl, max: clients });
  const basePool = database.newPool({ max: clients, options: `-c hnsw.ef_search=${efSearch}` });
  const next = space(2);
  return {
    store: await PostgresVectorStore.fromExistingIndex(new NoEmbeddings(), { ...config, pool: storePool }),
    storePool,
    base: new BaseStore(new NoEmbeddings(), { pool: basePool, tableName: "base_rows" }),
    queries: Array.from({ length: 200 }, () => Array.from(next())),
    efSearch,
  };
}

function* items(rows: number, draw: () => Float32Array): Generator<BulkLoadItem> {
  for (let row = 0; row < rows; row += 1) {
    const metadata = { bucket: row % BUCKETS, source: `file-${row % 17}.pdf` };
    yield { document: { id: String(row), pageContent: `Chunk ${row}: ${WORDS}`, metadata }, embedding: draw() };
  }
}

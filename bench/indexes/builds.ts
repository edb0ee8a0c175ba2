import { PostgresVectorStore, type BulkLoadItem } from "../../src/index.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { vectorSpace } from "../../test/helpers/vector-space.js";
import { progress, timed } from "../harness.js";
import { NoEmbeddings } from "../tenancy/data.js";

const TABLE = "builds";
const MIB = 2 ** 20;

/** Builds the same index twice, by a plain statement in a session with the server's settings and by the library. */
export async function compareBuilds(
  database: ServerTestDatabase,
  { rows, dimensions }: { readonly rows: number; readonly dimensions: number },
): Promise<{ rows: Record<string, string | number>[]; ratio: number; plannedMiB: number }> {
  const pool = database.newPool({ max: 4 });
  const store = await PostgresVectorStore.initialize(new NoEmbeddings(), { pool, tableName: TABLE, dimensions });
  const draw = vectorSpace({ dimensions })(1);
  await store.bulkLoad(items(rows, draw), { indexes: "keep" });
  await pool.query(`analyze ${TABLE}`);
  const plan = await store.indexes.planCreate();
  const plannedMiB = Math.round(plan.memory / MIB);
  progress(`loaded ${rows} rows; the graph is estimated at ${plannedMiB} MiB`);
  const plain = await timed(() =>
    pool.query(
      `create index concurrently plain on ${TABLE} using hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 128)`,
    ),
  );
  progress(`default build: ${(plain / 1_000).toFixed(1)} s`);
  await pool.query("drop index plain");
  const ours = await timed(() => store.indexes.create({ targetRecall: false }));
  progress(`memory-aware build: ${(ours / 1_000).toFixed(1)} s`);
  return {
    rows: [
      { build: "default", maintenance_work_mem: "64 MB", seconds: plain / 1_000 },
      { build: "memory-aware", maintenance_work_mem: `${plannedMiB} MB`, seconds: ours / 1_000 },
    ],
    ratio: ours / plain,
    plannedMiB,
  };
}

function* items(rows: number, draw: () => Float32Array): Generator<BulkLoadItem> {
  for (let row = 0; row < rows; row += 1) {
    yield { document: { id: String(row), pageContent: `Chunk ${row}`, metadata: {} }, embedding: draw() };
  }
}

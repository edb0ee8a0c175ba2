import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { PoolClient } from "pg";
import { FakeEmbeddings } from "@langchain/core/utils/testing";
import { PostgresVectorStore } from "../../src/index.js";
import { estimateSize, type SizeEstimate } from "../../src/ops/size/estimate.js";
import type { SizeOptions } from "../../src/ops/size/shape.js";
import { findNativeBinaries, unprivilegedUser } from "../../test/helpers/native-binaries.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { seededRandom } from "../../test/helpers/vectors.js";

/** Real sizes beside what {@link estimateSize} says of the same shape. */
export interface MeasuredSize {
  readonly estimate: SizeEstimate;
  readonly tableBytes: number;
  readonly indexBytes: number;
  readonly dumpBytes: number;
  readonly buildMemoryBytes: number;
  readonly buildSeconds: number;
}

const TEXT_BYTES = 1_000;
const TABLE = "sizes";

/** Fills a table, builds its index, and measures both, a dump of it, and the memory of a build that runs out of it. */
export async function measureSize(
  database: ServerTestDatabase,
  shape: SizeOptions & { storageType: "vector" | "halfvec" },
): Promise<MeasuredSize> {
  const { vectors, dimensions, storageType } = shape;
  const store = await PostgresVectorStore.initialize(new FakeEmbeddings(), {
    pool: database.pool,
    tableName: TABLE,
    dimensions,
    storageType,
  });
  const client = await database.newPool({ max: 1 }).connect();
  try {
    await store.bulkLoad(items(vectors, dimensions), { indexes: "keep" });
    const index = `create index sizes_hnsw on ${TABLE} using hnsw (embedding ${storageType}_cosine_ops) with (m = 16, ef_construction = 32)`;
    const start = performance.now();
    await client.query(index);
    const buildSeconds = (performance.now() - start) / 1_000;
    const { rows } = await client.query<{ table: string; index: string }>(
      `select pg_total_relation_size('${TABLE}') - pg_relation_size('sizes_hnsw') as table, pg_relation_size('sizes_hnsw') as index`,
    );
    const dumpBytes = await sizeOfDump(database.url);
    await client.query("drop index sizes_hnsw");
    const estimate = estimateSize({ ...shape, textBytes: TEXT_BYTES, metadataBytes: 60, idBytes: 36 });
    const buildMemoryBytes = await memoryOfBuild(database, client, index, estimate);
    return {
      estimate,
      tableBytes: Number(rows[0]!.table),
      indexBytes: Number(rows[0]!.index),
      dumpBytes,
      buildMemoryBytes,
      buildSeconds,
    };
  } finally {
    client.release();
    await store.end();
  }
}

const WORDS = (
  "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you " +
  "were her all she there would their we him been has when who will more no if out so said what up its about into than them " +
  "vector index table query memory page graph search tenant chunk document model column value number result storage"
).split(" ");

function* items(count: number, dimensions: number): Generator<{ document: never; embedding: Float32Array }> {
  const random = seededRandom(7);
  for (let row = 0; row < count; row += 1) {
    const embedding = Float32Array.from({ length: dimensions }, () => (random() - 0.5) / Math.sqrt(dimensions / 12));
    let text = "";
    while (text.length < TEXT_BYTES) text += `${WORDS[Math.floor(random() ** 2 * WORDS.length)]!} `;
    const id = `${row.toString(16).padStart(8, "0")}-0000-4000-8000-${Math.floor(random() * 2 ** 44)
      .toString(16)
      .padStart(12, "0")}`;
    const metadata = { source: `docs/chapter-${row % 97}.md`, page: row % 300, kind: "paragraph" };
    yield { document: { id, pageContent: text.slice(0, TEXT_BYTES), metadata } as never, embedding };
  }
}

async function sizeOfDump(url: string): Promise<number> {
  const binaries = findNativeBinaries(unprivilegedUser());
  if (binaries === undefined) throw new Error("The benchmark needs pg_dump: set POSTGRES_BIN.");
  const dump = spawn(join(binaries.bin, "pg_dump"), ["-Fc", "-d", url], { stdio: ["ignore", "pipe", "inherit"] });
  let bytes = 0;
  dump.stdout.on("data", (chunk: Buffer) => (bytes += chunk.length));
  const [code] = (await once(dump, "close")) as [number];
  if (code !== 0) throw new Error(`pg_dump failed with exit code ${code}.`);
  return bytes;
}

/** What one more row takes: the server says after how many the graph no longer fits, at two amounts of memory. */
async function memoryOfBuild(
  database: ServerTestDatabase,
  client: PoolClient,
  index: string,
  { buildMemoryBytes, shape }: SizeEstimate,
): Promise<number> {
  const [less, more] = [0.3, 0.8].map((share) => Math.floor((share * buildMemoryBytes) / 1_024) * 1_024) as [
    number,
    number,
  ];
  const fit = (memory: number): Promise<number> => rowsThatFit(database, client, index, memory);
  const perRow = (more - less) / ((await fit(more)) - (await fit(less)));
  return perRow * shape.vectors;
}

async function rowsThatFit(
  database: ServerTestDatabase,
  client: PoolClient,
  index: string,
  memory: number,
): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const canceller = database.newPool({ max: 1 });
  let fitted: number | undefined;
  const listen = (notice: { message?: string | undefined }): void => {
    const found = /after (\d+) tuples/.exec(notice.message ?? "");
    if (found === null) return;
    fitted = Number(found[1]);
    // From here on the build goes through the disk, which takes many times as long and says no more.
    void canceller.query("select pg_cancel_backend($1)", [rows[0]!.pid]);
  };
  client.on("notice", listen);
  await client.query("begin");
  await client.query(`set local maintenance_work_mem = '${memory / 1_024}kB'`);
  await client.query("set local max_parallel_maintenance_workers = 0");
  await client.query(index).catch((error: { code?: string }) => {
    if (fitted === undefined || error.code !== "57014") throw error;
  });
  await client.query("rollback");
  client.off("notice", listen);
  await canceller.end();
  if (fitted === undefined) throw new Error(`The whole graph fitted into ${memory} bytes.`);
  return fitted;
}

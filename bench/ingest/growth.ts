import { PostgresVectorStore } from "../../src/index.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { atMost, type Bar, median, progress, timed } from "../harness.js";
import { NoEmbeddings } from "../tenancy/data.js";
import { Chunks } from "./data.js";

export interface GrowthRow extends Record<string, string | number> {
  rows: number;
}

/** How the cost of a load, of an index and of a search grows with the rows of the table. */
export async function grow(
  database: ServerTestDatabase,
  { sizes, dimensions }: { sizes: readonly number[]; dimensions: number },
): Promise<{ table: GrowthRow[]; memory: Bar }> {
  const pool = database.newPool({ max: 4 });
  const chunks = new Chunks(dimensions);
  const warm = await PostgresVectorStore.initialize(new NoEmbeddings(), { pool, tableName: "growth_warm", dimensions });
  await warm.bulkLoad(chunks.items(1_000));
  globalThis.gc?.();
  const baseline = process.memoryUsage().rss;
  const table: GrowthRow[] = [];
  let most = 0;
  for (const [index, rows] of sizes.entries()) {
    const tableName = `growth_${index}`;
    const store = await PostgresVectorStore.initialize(new NoEmbeddings(), { pool, tableName, dimensions });
    await pool.query("checkpoint");
    let peak = 0;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
    const loading = await timed(() => store.bulkLoad(chunks.items(rows), { vacuum: false }));
    clearInterval(watch);
    progress(`loaded ${rows} rows of ${dimensions} dimensions`);
    const vacuuming = await timed(() => pool.query(`vacuum (analyze) ${tableName}`));
    const building = await timed(() => store.createHnswIndex());
    progress("built the index");
    const query = (i: number): number[] => Array.from(chunks.at(i * 131).embedding);
    for (let i = 0; i < 20; i += 1) await store.search(query(i), { k: 10 });
    const searches: number[] = [];
    for (let i = 20; i < 120; i += 1) searches.push(await timed(() => store.search(query(i), { k: 10 })));
    const { rows: sizesOf } = await pool.query<{ table: number; index: number }>(
      `select pg_table_size('${tableName}')::float8 as table,
         pg_relation_size('${tableName}_embedding_hnsw_idx')::float8 as index`,
    );
    const grown = (peak - baseline) / 2 ** 20;
    most = Math.max(most, grown);
    table.push({
      rows,
      "load s": loading / 1_000,
      "rows/s": (rows / loading) * 1_000,
      "process MiB above the start": grown,
      "vacuum s": vacuuming / 1_000,
      "index build s": building / 1_000,
      "table MiB": sizesOf[0]!.table / 2 ** 20,
      "index MiB": sizesOf[0]!.index / 2 ** 20,
      "search p50 ms": median(searches),
    });
    await pool.query(`drop table ${tableName}`);
  }
  return {
    table,
    memory: atMost(`process memory of a load of ${Math.max(...sizes)} rows, above the start`, most, 300, " MiB"),
  };
}

import type pg from "pg";
import type { PostgresVectorStore } from "../../src/index.js";
import { progress } from "../harness.js";

/** How far the next version grows the table after the first has gone, and how large a rewritten table is. */
export async function measureSpace(
  store: PostgresVectorStore,
  pool: pg.Pool,
  table: string,
  dimensions: number,
): Promise<{ freed: number; reuse: number; rewritten: number }> {
  progress("retiring the first version, adding another of its size, rewriting");
  await store.models.retire({ version: 1, force: true });
  const freed = await tableBytes(pool, table);
  await store.models.add({ from: 2, dimensions, storageType: "vector" });
  await store.models.backfill({ index: false, maxSlowdown: false });
  const reuse = (await tableBytes(pool, table)) / freed - 1;
  await store.models.retire({ version: 3, force: true, rewrite: true });
  await pool.query(`create table never_had (like ${table} including defaults) with (fillfactor = 90)`);
  await pool.query(`insert into never_had select * from ${table}`);
  const rewritten = (await tableBytes(pool, table)) / (await tableBytes(pool, "never_had"));
  return { freed, reuse, rewritten };
}

async function tableBytes(pool: pg.Pool, name: string): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(`select pg_table_size('${name}')::float8 as bytes`);
  return rows[0]!.bytes;
}

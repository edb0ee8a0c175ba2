import type pg from "pg";
import { PostgresVectorStore } from "../src/index.js";
import { Measured } from "./model-strategies/measured.js";
import { RecreatedTable } from "./model-strategies/recreated-table.js";
import { PlantedEmbeddings } from "./reembed/planted.js";
import {
  type BenchOptions,
  type BenchResult,
  describeMachine,
  openBenchDatabase,
  progress,
  quantile,
  table,
} from "./harness.js";

const WRITES = 500;
const MODELS = { old: new PlantedEmbeddings("old", 768, 1), next: new PlantedEmbeddings("next", 1_536, 2) };

/** The two ways to change the model of a table: a column for each version, and a second table swapped by name. */
export async function run({ quick, rows = quick ? 2_000 : 10_000 }: BenchOptions): Promise<BenchResult> {
  const figures: Record<string, unknown> = { rows };
  const machine: Record<string, string | number> = {};
  for (const way of ["columns", "table"] as const) {
    // A server of its own for each: neither finds the other's pages in the cache, nor its WAL.
    const database = await openBenchDatabase({ full_page_writes: "on" });
    try {
      Object.assign(machine, await describeMachine(database));
      const pool = database.newPool({ max: 4 });
      const store = await loaded(pool, rows);
      const measured = new Measured(pool);
      const start = await measured.disk();
      const outcome = way === "columns" ? await byColumns(store, pool, measured) : await byTable(store, pool, measured);
      table(
        way,
        measured.steps.map((step) => ({ ...step })),
      );
      figures[way] = { startMiB: start, ...outcome, steps: measured.steps };
    } finally {
      await database.close();
    }
  }
  return { machine, figures, bars: [] };
}

/** A store with an index, and a table of notes that refers to its rows. */
async function loaded(pool: pg.Pool, rows: number): Promise<PostgresVectorStore> {
  progress(`loading ${rows} rows and building the index`);
  const { old, next } = MODELS;
  const config = { pool, tableName: "manuals", embedders: { [next.fingerprint]: next } };
  const store = await PostgresVectorStore.initialize(old, config);
  await store.bulkLoad(
    Array.from({ length: rows }, (_, index) => ({
      id: String(index),
      pageContent: `planted ${index} ${"of some length ".repeat(60)}`,
      metadata: { index },
    })),
  );
  await store.createHnswIndex({ targetRecall: false });
  await pool.query(`
    create table manuals_notes (tenant_id text, collection text, id text, note text,
      constraint manuals_notes_fk foreign key (tenant_id, collection, id) references manuals (tenant_id, collection, id) on delete cascade);
    insert into manuals_notes select tenant_id, collection, id, 'a note' from manuals;`);
  await pool.query("vacuum analyze");
  await pool.query("checkpoint");
  return store;
}

async function byColumns(store: PostgresVectorStore, pool: pg.Pool, measured: Measured) {
  progress("columns");
  await measured.step("add", () => store.models.add({ embeddings: MODELS.next }));
  const filled = await measured.step("fill", () => store.models.backfill({ index: false, maxSlowdown: false }));
  await measured.step("index", () => store.models.index());
  const writes = await measured.step(`${WRITES} metadata updates`, () => updateMetadata(pool));
  const { lockedMs } = await measured.step("switch", () => store.models.cutover());
  const written = await writeSome(store);
  await measured.step("back", () => store.models.rollback());
  const lost = await missing(store, written);
  await measured.step("switch again", () => store.models.cutover({ version: 2 }));
  await measured.step("free the old vectors", () => store.models.retire({ version: 1 }));
  return { lockedMs, lostByRollback: lost, hotRatio: filled.hotRatio, p95WriteMs: writes };
}

async function byTable(store: PostgresVectorStore, pool: pg.Pool, measured: Measured) {
  progress("table");
  const copy = new RecreatedTable(pool, "manuals", MODELS.next);
  await measured.step("add", () => copy.create());
  await measured.step("fill", () => copy.fill());
  await measured.step("index", () => copy.index());
  const writes = await measured.step(`${WRITES} metadata updates`, () => updateMetadata(pool));
  const lockedMs = await measured.step("switch", () => copy.swap());
  await measured.step("validate the foreign key", () => copy.validate());
  // As the library would write: the store itself knows nothing of the second table.
  const { rows } = await pool.query<{ id: string }>(
    `insert into manuals (tenant_id, collection, id, text, metadata, content_hash)
     select tenant_id, collection, 'late ' || id, text, metadata, content_hash from manuals limit 50 returning id`,
  );
  const lost = await measured.step("back", () => copy.rollback(rows.map(({ id }) => id)));
  await measured.step("free the old vectors", () => copy.dropOld());
  await store.end();
  return { lockedMs, lostByRollback: lost, p95WriteMs: writes };
}

/** @returns the 95th percentile of milliseconds of an update that leaves the text alone, while both are written. */
async function updateMetadata(pool: pg.Pool): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < WRITES; index += 1) {
    const began = performance.now();
    await pool.query("update manuals set metadata = jsonb_build_object('index', $1::int, 'seen', true) where id = $2", [
      index,
      String(index * 3),
    ]);
    times.push(performance.now() - began);
  }
  return quantile(times, 0.95);
}

async function writeSome(store: PostgresVectorStore): Promise<string[]> {
  const ids = Array.from({ length: 50 }, (_, index) => `late ${index}`);
  await store.addDocuments(ids.map((id) => ({ id, pageContent: `planted 9${id.slice(5)}`, metadata: {} })));
  return ids;
}

async function missing(store: PostgresVectorStore, ids: readonly string[]): Promise<number> {
  return ids.length - (await store.getByIds([...ids])).length;
}

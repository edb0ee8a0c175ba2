import { PostgresVectorStore } from "../../src/index.js";
import type { ServerTestDatabase } from "../../test/helpers/open-database.js";
import { vectorSpace } from "../../test/helpers/vector-space.js";
import { progress } from "../harness.js";
import { NoEmbeddings } from "../tenancy/data.js";

const DIMENSIONS = 256;
const CLIENTS = 4;

interface Stalls {
  reads: number;
  writes: number;
  longestReadMs: number;
  longestWriteMs: number;
}

/** Reads and writes without pause while an index is built, rebuilt, replaced and dropped. */
export async function measureTraffic(
  database: ServerTestDatabase,
  size: number,
): Promise<{ rows: Record<string, string | number>[]; failures: number; withoutIndex: number }> {
  const pool = database.newPool({ max: 12 });
  const open = (): Promise<PostgresVectorStore> =>
    PostgresVectorStore.initialize(new NoEmbeddings(), { pool, tableName: "traffic", dimensions: DIMENSIONS });
  const store = await open();
  const space = vectorSpace({ dimensions: DIMENSIONS });
  const draw = space(1);
  const row = (id: string) => ({ id, pageContent: id, metadata: {} });
  const documents = Array.from({ length: size }, (_, i) => row(String(i)));
  for (let start = 0; start < size; start += 2_000) {
    const part = documents.slice(start, start + 2_000);
    await store.addVectors(part.map(draw), part);
  }
  const name = "traffic_embedding_hnsw_idx";
  const failures: unknown[] = [];
  let withoutIndex = 0;
  let wanted = false;
  const state = { done: false };
  let now: Stalls = { reads: 0, writes: 0, longestReadMs: 0, longestWriteMs: 0 };
  const client = async (work: (turn: number) => Promise<void>): Promise<void> => {
    for (let turn = 0; !state.done; turn += 1) await work(turn).catch((error: unknown) => void failures.push(error));
  };
  const write = (number: number): Promise<void> => {
    const next = space(10 + number);
    return client(async (turn) => {
      const started = performance.now();
      const document = row(`w${number}-${turn % 50}`);
      await store.addVectors([next()], [document]);
      if (turn % 5 === 4) await store.delete({ ids: [document.id] });
      now.writes += 1;
      now.longestWriteMs = Math.max(now.longestWriteMs, performance.now() - started);
    });
  };
  const read = (number: number): Promise<void> => {
    const next = space(20 + number);
    return client(async () => {
      const before = wanted;
      const started = performance.now();
      const hits = await store.search(Array.from(next()), { k: 10 });
      now.reads += 1;
      now.longestReadMs = Math.max(now.longestReadMs, performance.now() - started);
      if (hits.length !== 10) throw new Error(`${hits.length} hits`);
      const { rows } = await pool.query("select indisvalid as valid from pg_index where indexrelid = to_regclass($1)", [
        name,
      ]);
      if (before && wanted && rows[0]?.valid !== true) withoutIndex += 1;
    });
  };
  const clients = Array.from({ length: CLIENTS }, (_, number) => [write(number), read(number)]).flat();
  const rows: Record<string, string | number>[] = [];
  const step = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    now = { reads: 0, writes: 0, longestReadMs: 0, longestWriteMs: 0 };
    const started = performance.now();
    await work();
    progress(what);
    rows.push({ step: what, seconds: (performance.now() - started) / 1_000, ...now });
  };
  try {
    await step("none", () => new Promise((resolve) => setTimeout(resolve, 3_000)));
    await step("create", () => store.indexes.create());
    wanted = true;
    await step("rebuild", () => store.indexes.rebuild({ m: 12 }));
    await step("create a second", () => store.indexes.create({ namespace: "second" }));
    await step("drop the second", () => store.indexes.drop(`second_${name}`));
    wanted = false;
    await step("drop", () => store.indexes.drop(name));
  } finally {
    state.done = true;
    await Promise.all(clients);
  }
  if (failures.length > 0) progress(`a failure: ${String(failures[0])}`);
  return { rows, failures: failures.length, withoutIndex };
}

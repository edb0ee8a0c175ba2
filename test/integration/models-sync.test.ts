import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { syncDocuments } from "../../src/loaders/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { ModelEmbeddings } from "../helpers/model-embeddings.js";

// Of one length, so that nothing but the versions keeps their vectors apart.
const old = new ModelEmbeddings("old", 16);
const next = new ModelEmbeddings("next", 16);
const folder = mkdtempSync(join(tmpdir(), "models-sync-"));
let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await database.close();
});

const add = (name: string, text: string): void => writeFileSync(join(folder, name), text);

/** The texts of all rows, each with whether its vectors of both versions are the right ones. */
async function rightVectors(store: PostgresVectorStore): Promise<string[]> {
  const { rows } = await store.pool.query(
    `select text, embedding::text as old, embedding_v2::text as next from ${store.computedTableName} order by text`,
  );
  const is = (vector: string | null, model: ModelEmbeddings, text: string): string => {
    const found = (JSON.parse(vector ?? "[]") as number[]).map(Math.fround).join();
    return found === model.vectorOf(text).map(Math.fround).join() ? "right" : "wrong";
  };
  return (rows as { text: string; old: string | null; next: string | null }[]).map(
    (row) => `${row.text}: ${is(row.old, old, row.text)}, ${is(row.next, next, row.text)}`,
  );
}

it("takes from twins, from the cache and from embedders the vectors of the version that they are stored as", async () => {
  const config = { pool: database.pool, tableName: "synced", ...testSchema() };
  const store = await PostgresVectorStore.initialize(old, { ...config, embedders: { [next.fingerprint]: next } });
  const newer = (): Promise<PostgresVectorStore> =>
    PostgresVectorStore.fromExistingIndex(next, { ...config, embedders: { [old.fingerprint]: old } });
  add("a.txt", "red thing");
  await syncDocuments(store, folder, { cache: true });
  await store.models.add({ embeddings: next });
  add("b.txt", "green thing");
  add("twin.txt", "red thing");
  await syncDocuments(store, folder, { cache: true });
  await store.models.backfill({ maxSlowdown: false });
  await store.models.cutover();
  add("c.txt", "blue thing");
  await syncDocuments(store, folder, { cache: true });
  add("c.txt", "blue thing, said anew");
  add("twin-of-b.txt", "green thing");
  await syncDocuments(await newer(), folder, { cache: true });
  // Back to the first text, whose vector is in the cache of one version.
  add("c.txt", "blue thing");
  const { embedded } = await syncDocuments(store, folder, { cache: true });
  expect(embedded).toBe(0);
  const texts = ["blue thing", "green thing", "green thing", "red thing", "red thing"];
  expect(await rightVectors(store)).toEqual(texts.map((text) => `${text}: right, right`));
  await store.models.rollback();
  const [hit] = await store.search("blue thing", { k: 1 });
  expect(hit!.distance).toBeLessThan(1e-6);
  await store.models.retire({ version: 2, force: true });
  const cache = store.computedTableName.replace(/"$/, '_vector_cache"');
  const cached = await store.pool.query(`select distinct model_version as version from ${cache}`);
  expect(cached.rows).toEqual([{ version: 1 }]);
});

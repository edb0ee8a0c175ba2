import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  importJsonl,
  importParquet,
  planImportJsonl,
  planImportParquet,
  type ImportJsonlArgs,
  type RecordMapping,
} from "../../src/chroma/index.js";
import { PostgresVectorStore } from "../../src/index.js";
import { CliFolder } from "../helpers/cli.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const embeddings = new HashedEmbeddings(4);
const mapping: RecordMapping = {
  id: "id",
  vector: "values",
  document: "metadata.text",
  metadata: "metadata",
  collection: "namespace",
};
const records = Array.from({ length: 30 }, (_, number) => ({
  id: `r${String(number).padStart(2, "0")}`,
  values: [number + 1, 0.5, -0.25, 2],
  metadata: { text: `text ${number}`, tags: ["a", `t${number % 3}`], nested: { n: number } },
  namespace: number % 2 === 0 ? "even" : "",
}));

let database: TestDatabase;
let folder = "";
let tableName = "";
let tables = 0;
beforeAll(async () => {
  database = await openTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-jsonl-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database.close();
});
beforeEach(() => {
  tableName = `jsonl_${(tables += 1)}`;
});

const lines = (items: readonly unknown[]): string => items.map((item) => `${JSON.stringify(item)}\n`).join("\n");

function args(text = lines(records), more: Partial<ImportJsonlArgs> = {}): ImportJsonlArgs {
  const file = join(folder, `${tableName}.jsonl`);
  writeFileSync(file, text);
  return { file, mapping, pool: database.pool, tableName, pageRows: 7, ...more };
}

const open = (collectionName: string): Promise<PostgresVectorStore> =>
  PostgresVectorStore.fromExistingIndex(embeddings, { pool: database.pool, tableName, collectionName });

test("records come over by the mapping", async () => {
  const given = args();
  const plan = await planImportJsonl(given);
  expect(plan.collections.map(({ name, records: count, dimensions }) => [name, count, dimensions])).toEqual([
    ["default", 15, 4],
    ["even", 15, 4],
  ]);
  const report = await importJsonl(given);
  expect(report.collections.map(({ verification }) => verification!.compared)).toEqual([15, 15]);
  const chunks = await (await open("even")).get({ include: ["documents", "metadatas", "embeddings"] });
  expect(chunks).toEqual(
    records
      .filter(({ namespace }) => namespace === "even")
      .map(({ id, metadata, values }) => ({ id, content: metadata.text, metadata, embedding: values })),
  );
});

test("an interrupted import goes on", async () => {
  const controller = new AbortController();
  const given = args(lines(records), { mapping: { ...mapping, collection: "none" } });
  const stop = { ...given, signal: controller.signal, onProgress: () => controller.abort(new Error("stopped")) };
  expect((await errorOf(importJsonl(stop))).message).toBe("stopped");
  expect(await (await open("default")).get()).toEqual([]);
  expect((await importJsonl(given)).collections).toMatchObject([{ name: "default", records: 30, resumed: 7 }]);
});

test("bad lines and bad mappings are named", async () => {
  const [first] = records;
  const cases: [string, Partial<ImportJsonlArgs>, RegExp][] = [
    [`${JSON.stringify(first)}\n{`, {}, /Line 2 is no JSON/],
    [lines([{ ...first, id: undefined }]), {}, /Line 1 has no id at "id"/],
    [lines([{ ...first, values: "1,2" }]), {}, /Line 1: vector at "values" is no vector: "1,2"/],
    [lines([{ ...first, metadata: [1] }]), {}, /metadata at "metadata" is no metadata/],
    [lines([first, { ...first, id: "x", values: [1] }]), {}, /Record "x" .* its embedding has 1 dimensions/],
    [lines([first, first]), {}, /its id occurs twice/],
    [lines([...records, records[1]]), {}, /holds ids more than once: one record would replace/],
    ["", {}, /has no collections/],
    [lines(records), { collections: ["odd"] }, /has no collection "odd"/],
    [lines(records), { mapping: { id: "id" } as RecordMapping }, /says no vector/],
    [lines(records), { mapping: { ...mapping, text: "t" } as RecordMapping }, /unknown key "text"/],
    [lines(records), { mapping: { ...mapping, metric: "l2" as "cosine" } }, /"l2" is unknown/],
  ];
  for (const [text, more, message] of cases) {
    expect((await errorOf(importJsonl(args(text, more)))).message).toMatch(message);
    tableName = `${tableName}x`;
  }
  expect((await errorOf(importJsonl({ ...args(), file: join(folder, "none") }))).message).toMatch(/cannot be read/);
});

test("every bit of a vector is kept, as float32 and as float16", async () => {
  const odd = [-0, 1e-7, -65_000.4, 1 / 3];
  const text = lines([{ id: "odd", values: odd, namespace: "n", metadata: { text: "t" } }]).replace("[0,", "[-0.0,");
  for (const storageType of ["vector", "halfvec"] as const) {
    await importJsonl(args(text, { storageType }));
    const [chunk] = await (await open("n")).get({ include: ["embeddings"] });
    const stored = chunk!.embedding!;
    if (storageType === "vector") expect(stored).toEqual(odd.map(Math.fround));
    else expect(stored).toEqual([-0, 2 ** -23, -64_992, 0.333251953125]);
    tableName = `${tableName}_half`;
  }
});

test("a document is upserted as the source has it, whatever the store merges", async () => {
  const given = args(lines(records), { metadataOnUpsert: "merge", mapping: { ...mapping, collection: "none" } });
  await importJsonl(given);
  const changed = records.map((record) => ({ ...record, metadata: { text: "new" } }));
  await importJsonl({ ...given, ...args(lines(changed)), mapping: given.mapping, existing: "merge" });
  const chunks = await (await open("default")).get({ include: ["metadatas"] });
  expect(chunks).toHaveLength(30);
  expect(chunks.every(({ metadata }) => JSON.stringify(metadata) === '{"text":"new"}')).toBe(true);
});

test("without a comparison, an id that comes again is refused too", async () => {
  const error = await errorOf(importJsonl(args(lines([...records, records[1]]), { verify: false })));
  expect(error.message).toMatch(/"default" holds ids more than once: one record would replace/);
  expect(await (await open("default")).get()).toEqual([]);
});

test("tenants under row-level security", async () => {
  await importJsonl(args(lines(records), { into: "tenant" }));
  const store = await PostgresVectorStore.fromExistingIndex(embeddings, {
    pool: database.pool,
    tableName,
    tenancy: "rls",
    tenantId: "even",
  });
  expect(await store.get({ include: [] })).toHaveLength(15);
});

/** Pinecone's own format has metadata as JSON text; others nest it. */
function parquet(nested: boolean, rowGroupSize = 10): string {
  const file = join(folder, `${tableName}.parquet`);
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: "id", data: records.map(({ id }) => id), type: "STRING" },
      { name: "values", data: records.map(({ values }) => values), type: "JSON" },
      { name: "namespace", data: records.map(({ namespace }) => namespace), type: "STRING" },
      {
        name: "metadata",
        data: records.map(({ metadata }) => (nested ? metadata : JSON.stringify(metadata))),
        type: nested ? "JSON" : "STRING",
      },
    ],
    rowGroupSize,
  });
  writeFileSync(file, new Uint8Array(buffer));
  return file;
}

test("Parquet, with metadata nested or as JSON text", async () => {
  for (const nested of [true, false]) {
    const given = { file: parquet(nested), mapping, pool: database.pool, tableName, pageRows: 7 };
    expect((await planImportParquet(given)).collections.map(({ records: count }) => count)).toEqual([15, 15]);
    const report = await importParquet(given);
    expect(report.collections.map(({ verification }) => verification!.compared)).toEqual([15, 15]);
    const chunks = await (await open("even")).get({ include: ["documents", "metadatas", "embeddings"] });
    expect(chunks).toEqual(
      records
        .filter(({ namespace }) => namespace === "even")
        .map(({ id, metadata, values }) => ({ id, content: metadata.text, metadata, embedding: values })),
    );
    tableName = `${tableName}_text`;
  }
  const cut = join(folder, "cut.parquet");
  writeFileSync(cut, readFileSync(parquet(true)).subarray(0, 200));
  const broken = { file: cut, mapping, pool: database.pool, tableName };
  expect((await errorOf(importParquet(broken))).message).toMatch(/cannot be read as Parquet/);
  const wrong = { ...broken, file: parquet(true), mapping: { ...mapping, vector: "namespace" } };
  expect((await errorOf(importParquet(wrong))).message).toMatch(/Row 0: vector at "namespace" is no vector: "even"/);
});

test("from the command line", async ({ skip }) => {
  if (database.kind === "embedded") return skip("needs a PostgreSQL server");
  const cli = new CliFolder();
  try {
    cli.put({ "v.jsonl": lines(records), "m.json": JSON.stringify(mapping), "bad.json": "{" });
    const verb = (kind: string, file: string, ...more: string[]) =>
      cli.run(["import", kind, file, "--table", tableName, ...more], { env: { DATABASE_URL: database.url! } });
    const run = (map: string, ...more: string[]) => verb("jsonl", "v.jsonl", "--mapping", map, ...more);
    expect((await run("m.json", "--plan")).out).toMatch(
      /^-- from .*v\.jsonl; nothing was changed\ndefault: 15 records/,
    );
    expect((await run("m.json")).out).toMatch(/^default: 15 records -> table .*\n {2}compared: 15 records equal/);
    expect(await run("bad.json")).toMatchObject({ code: 2 });
    const again = await verb("parquet", parquet(true), "--mapping", "m.json", "--existing", "replace");
    expect(again.out).toMatch(/^default: 15 records -> table .*\n {2}compared: 15 records equal/);
  } finally {
    cli.remove();
  }
});

import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { importTable, planImportTable, type ImportReport, type ImportTableArgs } from "../../src/chroma/index.js";
import { PostgresVectorStore } from "../../src/index.js";
import { baseStore, DistinctEmbeddings, sampleDocuments } from "../helpers/base-tables.js";
import { CliFolder } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";

const DIMENSIONS = 8;
const embeddings = new DistinctEmbeddings(DIMENSIONS);

describeServer("importing a table", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let table = "";
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });
  afterAll(() => database.close());
  beforeEach(() => {
    table = `source_${(tables += 1)}`;
  });

  const args = (more: Partial<ImportTableArgs> = {}): ImportTableArgs => ({
    source: { table },
    pool,
    tableName: `${table}_ours`,
    pageRows: 7,
    ...more,
  });
  const open = (collectionName: string): Promise<PostgresVectorStore> =>
    PostgresVectorStore.fromExistingIndex(embeddings, { pool, tableName: `${table}_ours`, collectionName });

  /** Two collections, as the base class makes them, with a vector index on its column. */
  async function baseTable(): Promise<void> {
    const collections = { collectionTableName: `${table}_collections` };
    for (const collectionName of ["notes", "wiki"]) {
      const store = await baseStore(embeddings, { pool, tableName: table, collectionName, ...collections }, DIMENSIONS);
      const { documents } = sampleDocuments(20);
      await store.addDocuments(documents);
    }
    await pool.query(`create index on ${table} using hnsw (embedding vector_l2_ops)`);
    await pool.query(`update ${table}_collections set cmetadata = '{"owner": "tests"}' where name = 'wiki'`);
  }

  async function expectSame(name: string): Promise<void> {
    const { rows } = await pool.query<{ id: string; content: string; metadata: object; embedding: string }>(
      `select t.id::text, text as content, metadata, embedding::text from ${table} t
       join ${table}_collections c on c.uuid = t.collection_id where c.name = $1 order by t.id::text`,
      [name],
    );
    const chunks = await (await open(name)).get({ include: ["documents", "metadatas", "embeddings"] });
    expect(chunks.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
      rows.map((row) => ({ ...row, embedding: (JSON.parse(row.embedding) as number[]).map(Math.fround) })),
    );
  }

  test("one of LangChain's PGVectorStore, its collections included", async () => {
    await baseTable();
    const plan = await planImportTable(args());
    expect(plan.collections).toMatchObject([
      { name: "notes", records: 20, dimensions: DIMENSIONS, metric: "euclidean", tableExists: false },
      { name: "wiki", records: 20 },
    ]);
    const report = await importTable(args());
    expect(report.collections.map(({ verification }) => verification!.compared)).toEqual([20, 20]);
    await expectSame("notes");
    await expectSame("wiki");
    const { rows } = await pool.query(`select name, cmetadata from ${table}_ours_collections order by name`);
    expect(rows).toEqual([
      { name: "notes", cmetadata: {} },
      { name: "wiki", cmetadata: { owner: "tests" } },
    ]);
    expect((await errorOf(importTable(args({ collections: ["none"] })))).message).toMatch(/has no collection "none"/);
  });

  test("an interrupted import goes on", async () => {
    await baseTable();
    const controller = new AbortController();
    const stop = { signal: controller.signal, onProgress: () => controller.abort(new Error("stopped")) };
    expect((await errorOf(importTable(args({ collections: ["wiki"], ...stop })))).message).toBe("stopped");
    expect(await (await open("wiki")).get()).toEqual([]);
    const report = await importTable(args({ collections: ["wiki"] }));
    expect(report.collections).toMatchObject([{ name: "wiki", records: 20, resumed: 7 }]);
    await expectSame("wiki");
  });

  test("another table by a mapping, with ids of another type and arrays for vectors", async () => {
    await pool.query(`create table ${table} (number bigint primary key, body jsonb, vec real[], team text)`);
    await pool.query(
      `insert into ${table} select n, jsonb_build_object('text', 'text ' || n, 'nested', jsonb_build_object('n', n)),
         array[n, 0.1, -0.5]::real[], case when n % 2 = 0 then 'even' else '' end from generate_series(1, 30) n`,
    );
    const mapping = { id: "number", vector: "vec", document: "body.text", metadata: "body", collection: "team" };
    const report = await importTable(args({ mapping }));
    expect(report.collections.map(({ name, records, metric }) => [name, records, metric])).toEqual([
      ["default", 15, "cosine"],
      ["even", 15, "cosine"],
    ]);
    const [chunk] = await (await open("even")).get({ ids: ["12"], include: ["documents", "metadatas", "embeddings"] });
    expect(chunk).toEqual({
      id: "12",
      content: "text 12",
      metadata: { text: "text 12", nested: { n: 12 } },
      embedding: [12, 0.1, -0.5].map(Math.fround),
    });
  });

  test("what cannot be read is refused by name", async () => {
    const of = async (more: Partial<ImportTableArgs>): Promise<string> =>
      (await errorOf(importTable(args(more)))).message;
    expect(await of({})).toMatch(/There is no table "source_\d+" to import from/);
    expect(await of({ source: { table: "" } })).toMatch(/source\.table must be a non-empty string/);
    await pool.query(`create table ${table} (id int, embedding vector(3), text text, metadata jsonb)`);
    expect(await of({})).toMatch(/column "id" of "source_\d+" has no unique index/);
    await pool.query(`create unique index on ${table} (id)`);
    expect(await of({})).toMatch(/has no collections/);
    await pool.query(`insert into ${table} values (1, '[1,2,3]', 'a', '[1]'), (null, '[1,2,3]', 'b', null)`);
    expect(await of({})).toMatch(/1 rows of the table source_\d+ have no id/);
    await pool.query(`delete from ${table} where id is null`);
    expect(await of({})).toMatch(/The row "1" of source_\d+: metadata at "metadata" is no metadata: \[1\]/);
    await pool.query(`update ${table} set metadata = null, embedding = null`);
    await pool.query(`insert into ${table} values (2, '[1,2,3]', 'b', null)`);
    expect(await of({})).toMatch(/Record "1" .* it has no embedding/);
    const mapping = { id: "id", vector: "vec" };
    expect(await of({ mapping })).toMatch(/has no column "vec" for the vector \(it has id integer, embedding vector/);
    expect(await of({ mapping: { ...mapping, vector: "embedding", document: "text.a.b" } })).toMatch(/no document/);
    expect(await of({ mapping: { id: "id" } as never })).toMatch(/says no vector/);
  });

  test("from the command line, out of another database", async () => {
    const other = await openServerDatabase();
    const cli = new CliFolder();
    try {
      cli.secrets.push(new URL(other.ownerUrl).password);
      const elsewhere = other.newPool();
      const store = await baseStore(embeddings, { pool: elsewhere, tableName: table }, DIMENSIONS);
      await store.addDocuments(sampleDocuments(20).documents);
      await elsewhere.query(`grant select on ${table} to public`);
      const env = { DATABASE_URL: database.url, SOURCE_DATABASE_URL: other.ownerUrl };
      const verb = (...more: string[]) =>
        cli.run(["import", "table", table, "--table", `${table}_ours`, ...more], { env });
      const plan = await verb("--plan");
      expect(plan.err.join("\n")).not.toMatch(/error/);
      expect(plan.out).toMatch(/^-- from table "source_\d+"; nothing was changed\ndefault: 20 records/);
      const report = JSON.parse((await verb("--json")).out) as ImportReport;
      expect(report.collections).toMatchObject([{ name: "default", records: 20 }]);
      expect(await verb("--source-url", "mysql://localhost/db")).toMatchObject({ code: 2 });
    } finally {
      cli.remove();
      await other.close();
    }
  });
});

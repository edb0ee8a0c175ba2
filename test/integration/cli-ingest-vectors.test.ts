import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { OfflineEmbeddings } from "../../src/index.js";
import { CliFolder } from "../helpers/cli.js";
import { describeServer, openServerDatabase, testSchema, type ServerTestDatabase } from "../helpers/database.js";

const DIMENSIONS = 20;
const ROWS = 300;
const vectorOf = (i: number): number[] => Array.from({ length: DIMENSIONS }, (_, at) => Math.fround(Math.cos(i + at)));
const rows = Array.from({ length: ROWS }, (_, i) => ({
  id: `v-${i}`,
  text: `text "${i}", größe`,
  metadata: { i, tags: ["a"] },
  embedding: vectorOf(i),
}));
const jsonl = (items: readonly unknown[]): string => items.map((item) => JSON.stringify(item)).join("\n");

/** A NumPy file as `np.save` writes it. */
function npy(vectors: readonly number[][], type: "<f4" | "<f8" = "<f4", shape?: string): Buffer {
  const dict = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape ?? `${vectors.length}, ${vectors[0]!.length}`}), }`;
  const header = `${dict.padEnd(117)}\n`;
  const numbers = type === "<f4" ? Float32Array.from(vectors.flat()) : Float64Array.from(vectors.flat());
  const head = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${header}`, "latin1");
  head.writeUInt16LE(header.length, 8);
  return Buffer.concat([head, Buffer.from(numbers.buffer)]);
}

const csvLine = ({ id, text, metadata, embedding }: (typeof rows)[number]): string =>
  [id, text, JSON.stringify(metadata), JSON.stringify(embedding)]
    .map((cell) => `"${cell.replaceAll('"', '""')}"`)
    .join(",");
const csv = (items: typeof rows): string => ["id,text,metadata,embedding", ...items.map(csvLine)].join("\r\n");

function parquet(items: typeof rows): Uint8Array {
  return new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: "id", data: items.map(({ id }) => id), type: "STRING" },
        { name: "text", data: items.map(({ text }) => text), type: "STRING" },
        { name: "metadata", data: items.map(({ metadata }) => metadata), type: "JSON" },
        { name: "embedding", data: items.map(({ embedding }) => embedding) },
      ],
      rowGroupSize: 100,
    }),
  );
}

describeServer("ingest --from", () => {
  const folder = new CliFolder();
  let database: ServerTestDatabase;
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    folder.put({
      "vectors.jsonl": jsonl(rows),
      "vectors.csv": csv(rows),
      "vectors.npy": npy(rows.map(({ embedding }) => embedding)),
      "double.npy": npy(
        rows.map(({ embedding }) => embedding),
        "<f8",
      ),
      "texts.jsonl": jsonl(rows.map(({ id, text, metadata }) => ({ id, text, metadata }))),
    });
    writeFileSync(join(folder.path, "vectors.parquet"), parquet(rows));
  });

  afterAll(async () => {
    folder.remove();
    await database.close();
  });

  const place = (table: string): string[] => {
    const { schemaName } = testSchema();
    return [
      "--database-url",
      database.url,
      "--table",
      table,
      ...(schemaName === undefined ? [] : ["--schema", schemaName]),
    ];
  };
  const newTable = (): string => `vectors_${(tables += 1)}`;
  const ingest = (table: string, ...args: string[]) =>
    folder.run(["ingest", ...place(table), "--embeddings", "offline", ...args]);
  const stored = async (table: string) => {
    const store = await PostgresVectorStore.fromExistingIndex(new OfflineEmbeddings({ dimensions: DIMENSIONS }), {
      pool: database.newPool({ max: 1 }),
      tableName: table,
      ...testSchema(),
    });
    return store.get({ limit: 1_000, include: ["documents", "metadatas", "embeddings"] });
  };
  const expected = rows
    .map(({ id, text, metadata, embedding }) => ({ id, content: text, metadata, embedding }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));

  it.each([
    ["vectors.jsonl"],
    ["vectors.csv"],
    ["vectors.parquet"],
    ["vectors.npy", "--documents", "texts.jsonl"],
    ["double.npy", "--documents", "texts.jsonl"],
  ])("stores what is in %s", async (file, ...args) => {
    const table = newTable();
    const { code, out, err } = await ingest(table, "--from", file, ...args);
    expect([code, err.join("\n")]).toEqual([0, expect.anything()]);
    expect(out).toMatch(/^300 rows in/);
    const found = await stored(table);
    expect(found.toSorted((a, b) => (a.id < b.id ? -1 : 1)).map((row) => ({ ...row }))).toMatchObject(
      expected as never,
    );
  });

  it("takes other fields, and makes the rest metadata", async () => {
    folder.put({
      "named.jsonl": jsonl([{ key: 7, body: "a text", vector: vectorOf(1), lang: "en", year: 2020 }]),
    });
    const table = newTable();
    const fields = "id=key,content=body,embedding=vector";
    expect((await ingest(table, "--from", "named.jsonl", "--fields", fields)).code).toBe(0);
    expect(await stored(table)).toMatchObject([{ id: "7", metadata: { lang: "en", year: 2020 } }]);
  });

  it("names the row that cannot be stored, or goes on without it", async () => {
    const lines = [
      JSON.stringify(rows[0]),
      "{ not json",
      JSON.stringify({ id: "x", embedding: vectorOf(1) }),
      JSON.stringify({ ...rows[3], embedding: [1, 2] }),
      JSON.stringify({ ...rows[4], embedding: "none" }),
      JSON.stringify(rows[5]),
    ];
    folder.put({ "bad.jsonl": lines.join("\n") });
    const failed = await ingest(newTable(), "--from", "bad.jsonl");
    expect(failed.code).toBe(1);
    expect(failed.err.join("\n")).toMatch(/Row 1 .*line 2: is not JSON/);
    const table = newTable();
    const skipped = await ingest(table, "--from", "bad.jsonl", "--on-error", "skip");
    expect(skipped.code).toBe(0);
    expect(skipped.out).toMatch(/^2 rows, 4 rejected/);
    const said = skipped.err.join("\n");
    expect(said).toMatch(/rejected row 2: .*line 3: there is no field "text"/);
    expect(said).toMatch(/rejected row 3: .*2 dimensions, the embedding column has 20/);
    expect(said).toMatch(/rejected row 4: .*line 5: the field "embedding" is not JSON/);
    expect(await stored(table)).toHaveLength(2);
  });

  it.each<[string, string | Uint8Array, string[], RegExp]>([
    ["cut.parquet", parquet(rows).subarray(0, 5_000), [], /cannot be read as Parquet, or is cut off/],
    [
      "cut.npy",
      npy(rows.map(({ embedding }) => embedding)).subarray(0, 1_000),
      ["--documents", "texts.jsonl"],
      /cut off: 1000 of/,
    ],
    ["flat.npy", npy([[1, 2, 3]], "<f4", "3,"), ["--documents", "texts.jsonl"], /two-dimensional/],
    ["other.npy", "hello, this is no array", ["--documents", "texts.jsonl"], /not a NumPy file/],
    ["few.npy", npy([vectorOf(1)]), ["--documents", "texts.jsonl"], /1 vectors and .* has more lines/],
    ["alone.npy", npy([vectorOf(1)]), [], /--documents/],
    ["ragged.csv", `${csv(rows.slice(0, 2))}\r\n"only one"`, [], /no CSV file/],
    ["unknown.xml", "<a/>", [], /vectors can be read from/],
    ["empty.jsonl", "", [], /is empty/],
  ])("says what is wrong with %s", async (file, content, args, message) => {
    folder.put({ [file]: content });
    const { code, err } = await ingest(newTable(), "--from", file, ...args);
    expect(code).not.toBe(0);
    expect(err.join("\n")).toMatch(message);
  });

  it.each<[string[], RegExp]>([
    [["--from", "vectors.jsonl", "docs"], /leave the paths out/],
    [["--from", "none.jsonl"], /no file .*none\.jsonl/],
    [["--from", "vectors.jsonl", "--documents", "texts.jsonl"], /goes with a \.npy file/],
    [["--checkpoint", "a", "texts.jsonl"], /--checkpoint goes with --from/],
    [["--on-error", "skip", "texts.jsonl"], /--on-error goes with --from/],
    [[], /Name what to ingest/],
  ])("refuses %j", async (args, message) => {
    const { code, err } = await ingest(newTable(), ...args);
    expect(code).not.toBe(0);
    expect(err.join("\n")).toMatch(message);
  });

  it("asks which model made the vectors of a new table", async () => {
    const table = newTable();
    const { code, err } = await folder.run(["ingest", ...place(table), "--from", "vectors.jsonl"]);
    expect(code).toBe(2);
    expect(err.join("\n")).toContain("Which model made the vectors");
    expect((await database.newPool().query("select to_regclass($1) as found", [table])).rows).toEqual([
      { found: null },
    ]);
  });

  it("refuses vectors of another model of the same dimensions", async () => {
    const table = newTable();
    const from = ["--from", "vectors.jsonl"];
    expect((await folder.run(["ingest", ...place(table), "--embeddings", "ollama:first", ...from])).code).toBe(0);
    const { code, err } = await folder.run(["ingest", ...place(table), "--embeddings", "ollama:second", ...from]);
    expect(code).not.toBe(0);
    expect(err.join("\n")).toMatch(/filled by ollama first/);
    const { rows: found } = await database.newPool().query(`select count(*)::int as rows from ${table}`);
    expect(found).toEqual([{ rows: ROWS }]);
  });

  it("loads for one tenant, again and again", async () => {
    const table = newTable();
    for (let i = 0; i < 2; i += 1) {
      const args = [...place(table), "--embeddings", "offline", "--tenant", "a", "--from", "vectors.jsonl"];
      expect(await folder.json(["ingest", ...args])).toMatchObject({ rows: ROWS, rejected: 0, path: "staging" });
    }
  });
});

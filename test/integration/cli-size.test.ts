import { afterAll, beforeAll, expect, test } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import type { SizeEstimate } from "../../src/ops/size/estimate.js";
import type { StoreSize } from "../../src/ops/size/measure.js";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

describeServer("the verb size", () => {
  let database: ServerTestDatabase;
  let folder: CliFolder;

  beforeAll(async () => {
    database = await openServerDatabase();
    folder = new CliFolder();
    const pool = database.newPool({ connectionString: database.ownerUrl });
    const store = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
      pool,
      tableName: "sized",
      tenancy: "rls",
      tenantId: "acme",
    });
    const texts = Array.from({ length: 1_500 }, (_, i) => `Chunk ${i} about pages, tuples and what they take.`);
    await store.bulkLoad(texts.map((pageContent, i) => ({ id: String(i), pageContent, metadata: {} })));
    await pool.query("analyze sized");
  });
  afterAll(async () => {
    folder.remove();
    await database.close();
  });

  const run = (...args: string[]): Promise<CliRun> =>
    folder.run(["size", ...args], { env: { DATABASE_URL: database.ownerUrl } });

  test("estimates without a database", async () => {
    const { code, out, err } = await folder.run(["size", "--vectors", "10M", "--dimensions", "1536", "--qps", "200"]);
    expect(code).toBe(0);
    expect(err).toEqual([]);
    expect(out).toContain("10,000,000 vectors of 1536 dimensions (vector)");
    expect(out).toMatch(/rule of thumb .*: 154 GB/);
    expect(out).toContain("where: dedicated instance");
    expect(out).toMatch(/shared_buffers = \d+GB/);
  });

  test("estimates vectors in the row", async () => {
    const shape = ["size", "--vectors", "3000", "--dimensions", "1536"];
    const { estimate } = await folder.json<{ estimate: SizeEstimate }>([...shape, "--inline-vectors"]);
    expect(estimate.table).toMatchObject({ heapBytes: 3_000 * 8_192, toastBytes: 0 });
    expect((await folder.json<{ estimate: SizeEstimate }>(shape)).estimate.table.toastBytes).toBeGreaterThan(0);
  });

  test("measures a store and looks ahead, whoever asks", async () => {
    const { code, out } = await run("--table", "sized", "--days", "30");
    expect(code).toBe(0);
    expect(out).toMatch(/^now: 1,500 vectors, /);
    expect(out).toMatch(/rows a day over .* in 30 days/);
  });

  test("scales what it measures to a number of vectors", async () => {
    const answer = await folder.json<{ measured: StoreSize; now: SizeEstimate; estimate: SizeEstimate }>(
      ["size", "--table", "sized", "--vectors", "150k"],
      { env: { DATABASE_URL: database.ownerUrl } },
    );
    expect(answer.measured.rows).toBe(1_500);
    expect(answer.measured.table.heapBytes).toBeGreaterThan(1_500 * 60);
    expect(answer.estimate.table.heapBytes).toBe(100 * answer.now.table.heapBytes);
  });

  test.each([
    [["--dimensions", "8"], /--vectors/],
    [["--vectors", "many"], /250000, 10M or 1B/],
    [["--vectors", "10", "--dimensions", "9000"], /shorten the vectors/],
  ])("refuses %j", async (args, message) => {
    const { code, err } = await run(...args);
    expect(code).toBe(2);
    expect(err.join("\n")).toMatch(message);
  });

  test("says that there is no such store", async () => {
    const { code, err } = await run("--table", "nothing_here");
    expect(code).toBe(1);
    expect(err.join("\n")).toContain("--vectors and --dimensions");
  });
});

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import type { RecallRecord } from "../../src/ops/tune/probe.js";
import type { TuneReport } from "../../src/ops/tune/tune.js";
import { CliFolder } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { vectorSpace } from "../helpers/vector-space.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

const DIMENSIONS = 24;
const TABLE = "tuned";
const embeddings = new HashedEmbeddings(DIMENSIONS);

describeServer("tune", () => {
  let database: ServerTestDatabase;
  let ownerPool: pg.Pool;
  let owner: PostgresVectorStore;
  const folder = new CliFolder();
  const space = vectorSpace({ dimensions: DIMENSIONS });

  beforeAll(async () => {
    database = await openServerDatabase();
    ownerPool = database.newPool({ connectionString: database.ownerUrl });
    owner = await PostgresVectorStore.initialize(embeddings, { pool: ownerPool, tableName: TABLE, tenancy: "rls" });
    const draw = space(1);
    for (const [tenant, rows] of [
      ["large", 8_000],
      ["small", 200],
    ] as const) {
      const documents = Array.from({ length: rows }, (_, i) => ({
        id: `${i}`,
        pageContent: `${i}`,
        metadata: { hundredth: i % 100 === 0 },
      }));
      await owner.forTenant(tenant).addVectors(documents.map(draw), documents);
    }
    await owner.indexes.create({ m: 6, efConstruction: 20, targetRecall: false });
  });
  afterAll(async () => {
    folder.remove();
    await database.close();
  });

  const run = (...args: string[]) =>
    folder.run(args.concat("--table", TABLE), { env: { DATABASE_URL: database.ownerUrl } });
  const json = <T>(...args: string[]): Promise<T> =>
    folder.json(args.concat("--table", TABLE), { env: { DATABASE_URL: database.ownerUrl } });
  const measured = async (): Promise<unknown> =>
    (await owner.indexes.list()).find(({ type }) => type === "hnsw")!.measured;

  it("recommends, measures filters in every way and tenants of every size, and stores nothing when it plans", async () => {
    const report = await owner.indexes.tune({
      maxQueries: 60,
      k: 5,
      targetRecall: 0.9,
      filters: [{ hundredth: true }],
      apply: false,
    });
    expect(report).toMatchObject({ type: "hnsw", k: 5, questions: "rows", queries: 40, heldBack: 20, applied: false });
    expect(report.recommended.recall).toBeGreaterThanOrEqual(report.reached ? 0.9 : 0);
    expect(report.filters[0]!.ways.map(({ way }) => way)).toEqual([
      "store",
      "exact",
      "no iterative scan",
      "relaxed order",
      "strict order",
    ]);
    const [, exact, off, relaxed] = report.filters[0]!.ways;
    expect(exact!.recall).toBe(1);
    expect(off!.recall).toBeLessThan(relaxed!.recall);
    expect(report.tenants.map(({ tenantId, way, recall }) => [tenantId, way, recall > 0.5])).toEqual([
      ["large", "index", true],
      ["small", "exact", true],
    ]);
    expect(await measured()).toBeUndefined();
  });

  it("stores what it recommends with the index, and probes it with a history", async () => {
    const { recommended, index } = await json<TuneReport>("tune", "--target-recall", "0.9", "--max-queries", "60");
    expect(await measured()).toMatchObject({ setting: recommended.setting, k: 10 });
    const svg = await run(
      "tune",
      "--plan",
      "--max-queries",
      "30",
      "--tenant",
      "large",
      "--svg",
      "c.svg",
      "--html",
      "c.html",
    );
    expect(svg).toMatchObject({ code: 0 });
    expect(svg.out).toMatch(/recall@10 from .*target 0\.99.*\n(efSearch \d+ .*\n)+exact: p50/);
    expect(svg.out).toContain("nothing was stored");
    expect(readFileSync(join(folder.path, "c.svg"), "utf8")).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(existsSync(join(folder.path, "c.html"))).toBe(true);

    expect((await run("tune", "--history")).out).toBe("no probe has been recorded\n");
    const record = await json<RecallRecord>("tune", "--probe", "--max-queries", "30");
    expect(record).toMatchObject({ index, k: 10, queries: 30 });
    expect(record.recall).toBeGreaterThan(0.5);
    const low = await run("tune", "--probe", "--max-queries", "30", "--min-recall", "1");
    if (low.code === 1) expect(low.err.at(-1)).toMatch(/recall of tuned_embedding_hnsw_idx is 0\.\d+, below 1/);
    expect(await json<RecallRecord[]>("tune", "--history")).toHaveLength(2);
    expect((await run("tune", "--probe", "--history")).code).toBe(2);
    expect((await run("tune", "--queries", "none.txt")).code).toBe(2);
  });

  it("compares indexes on a sample and leaves nothing behind", async () => {
    const reports = await owner.indexes.compare({
      rows: 1_000,
      variants: [
        { storage: "vector", m: 4, efConstruction: 8 },
        { storage: "halfvec", m: 8, efConstruction: 32 },
        { storage: "binary", m: 8, efConstruction: 32 },
      ],
    });
    expect(reports.map(({ storage }) => storage)).toEqual(["vector", "halfvec", "binary"]);
    for (const report of reports) {
      expect(report.recall).toBeGreaterThan(0.3);
      expect(report.bytes).toBeGreaterThan(10_000);
    }
    const { rows } = await ownerPool.query("select 1 from pg_class where relname like 'langchain_pgvector_sample%'");
    expect(rows).toEqual([]);
    expect((await errorOf(owner.indexes.compare({ rows: 10 }))).name).toBe("ConfigurationError");
  });

  it("tells an application no more than of the tenant that it names", async () => {
    const app = await PostgresVectorStore.initialize(embeddings, {
      pool: database.newPool({ connectionString: database.appUrl }),
      tableName: TABLE,
      tenancy: "rls",
    });
    for (const verb of ["tune", "compare", "probe"] as const) {
      expect((await errorOf(app.indexes[verb]())).name).toBe("TenantIsolationError");
    }
    expect((await errorOf(app.indexes.history())).name).toBe("DatabaseError");
    expect((await errorOf(app.indexes.create({ namespace: "app" }))).message).toMatch(/must be owner/);
    const own = await app.indexes.tune({ tenantId: "large", maxQueries: 30, targetRecall: 0.5 });
    expect(own).toMatchObject({ applied: false, tenants: [{ tenantId: "large" }] });
  });

  it("refuses what cannot be, before anything is measured", async () => {
    const refused = async (options: object): Promise<string> => (await errorOf(owner.indexes.tune(options))).message;
    expect(await refused({ targetRecall: 0 })).toMatch(/targetRecall must be/);
    expect(await refused({ queries: [[1]] })).toMatch(/give at least 30/);
    expect(await refused({ queries: Array.from({ length: 30 }, () => [1, 2]) })).toMatch(/queries\[0\].*2/);
    expect(await refused({ k: 0 })).toMatch(/k must be/);
    expect(await refused({ filters: [{}] })).toMatch(/empty filter/);
    expect(await refused({ tenantId: "nobody" })).toMatch(/no rows/);
    expect((await errorOf(owner.indexes.tune({ signal: AbortSignal.abort(new Error("no")) }))).message).toBe("no");
  });
});

import { readFileSync } from "node:fs";
import parsePrometheus from "parse-prometheus-text-format";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PostgresVectorStore, toPrometheus } from "../../src/index.js";
import type { StoreStats } from "../../src/ops/stats/read.js";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

describeServer("the verb stats", () => {
  let database: ServerTestDatabase;
  let folder: CliFolder;
  let store: PostgresVectorStore;

  beforeAll(async () => {
    database = await openServerDatabase();
    folder = new CliFolder();
    const pool = database.newPool();
    await pool.query("create extension if not exists pg_stat_statements");
    store = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
      pool,
      tableName: "watched",
      lexical: true,
    });
    const texts = Array.from({ length: 200 }, (_, i) => ({
      id: String(i),
      pageContent: `Text ${i} of many`,
      metadata: {},
    }));
    await store.addDocuments(texts);
    await store.createHnswIndex({ targetRecall: false });
    await pool.query("vacuum analyze watched");
    for (let i = 0; i < 5; i += 1) await store.search("Text 7", { k: 3 });
    await pool.query("select pg_stat_force_next_flush()");
  });
  afterAll(async () => {
    folder.remove();
    await database.close();
  });

  const env = (): Record<string, string> => ({ DATABASE_URL: database.url });
  const run = (...args: string[]): Promise<CliRun> =>
    folder.run(["stats", "--table", "watched", ...args], { env: env() });

  test("counts rows, sizes, index scans and what statements cost", async () => {
    const stats = await folder.json<StoreStats>(["stats", "--table", "watched"], { env: env() });
    const [chunks] = stats.tables;
    expect(stats.tables.map(({ name }) => name)).toEqual([
      "watched",
      "watched_lexical",
      "watched_lexical_documents",
      "watched_lexical_segments",
    ]);
    expect(chunks).toMatchObject({ name: "watched", rows: 200 });
    expect(chunks!.heapBytes).toBeGreaterThan(0);
    expect(chunks!.sinceVacuum).toBeLessThan(600);
    expect(stats.indexes.find(({ method }) => method === "hnsw")).toMatchObject({ table: "watched", valid: true });
    expect(stats.indexes.find(({ name }) => name === "watched_pkey")!.bytes).toBeGreaterThan(0);
    const search = stats.statements!.find(({ name }) => name === "search")!;
    expect(search.calls).toBeGreaterThanOrEqual(5);
    expect(search.meanMs).toBeGreaterThan(0);
    expect(stats.connections.used).toBeGreaterThan(0);
    expect(stats.connections.used).toBeLessThanOrEqual(stats.connections.max);
    expect(stats.replicas).toEqual([]);
  });

  test("counts a load once that the server's counter has twice, and what was deleted not at all", async () => {
    const [writer, analyst] = [database.newPool({ max: 1 }), database.newPool({ max: 1 })];
    const counted = await PostgresVectorStore.initialize(new HashedEmbeddings(), {
      pool: analyst,
      tableName: "counted",
    });
    const rows = async (): Promise<number> => {
      // Reported when the statement after it comes.
      for (const pool of [writer, analyst]) await pool.query("select pg_stat_force_next_flush()");
      for (const pool of [writer, analyst]) await pool.query("select 1");
      return (await counted.stats()).tables[0]!.rows;
    };
    expect(await rows()).toBe(0);
    await analyst.query("alter table counted set (autovacuum_enabled = off)");
    await writer.query(
      `insert into counted (tenant_id, collection, id, text, content_hash, embedding)
       select 'default', '', i::text, '', '', array_fill(1::real, array[16]) from generate_series(1, 200) i`,
    );
    await analyst.query("analyze counted");
    expect(await rows()).toBe(200);
    await analyst.query("analyze counted");
    await writer.query("delete from counted where id::int <= 50");
    expect(await rows()).toBe(150);
    await writer.query("delete from counted");
    expect(await rows()).toBe(0);
  });

  test("prints them for people", async () => {
    const { code, out } = await run();
    expect(code).toBe(0);
    expect(out).toMatch(/ of \d+ connections, \d+ active/);
    expect(out).toMatch(/^watched +200 +/m);
    expect(out).toMatch(/^search +\d+ +/m);
  });

  test("speaks the format of Prometheus, and every metric of the dashboard is there", async () => {
    const { out } = await run("--prometheus");
    // Both of one store, as Prometheus sees them that scrapes the verb and the application.
    const metrics = [...parsePrometheus(out), ...parsePrometheus(await toPrometheus(store.processStats()))];
    const names = new Set(metrics.map(({ name }) => name));
    for (const { metrics: samples } of metrics) {
      for (const { value, labels } of samples) {
        expect(Number.isFinite(Number(value))).toBe(true);
        expect(labels?.["store"]).toBe("watched");
      }
    }
    const dashboard = readFileSync(new URL("../../docs/grafana-dashboard.json", import.meta.url), "utf8");
    const asked = new Set(dashboard.match(/langchain_pgvector_[a-z_]+/g));
    expect(asked.size).toBeGreaterThan(10);
    expect([...asked].filter((name) => !names.has(name))).toEqual([]);
  });

  test("tells in the library what the server and the process know", async () => {
    const stats = await store.stats();
    expect(stats.tables[0]).toMatchObject({ name: "watched", rows: 200 });
    const { process } = stats;
    expect(process).toMatchObject({
      store: "watched",
      chunks: { written: 200, skipped: 0, deleted: 0 },
      embedding: { document: { requests: 1, texts: 200, failures: 0 }, query: { requests: 5, texts: 5 }, waiting: 0 },
      replicas: [],
    });
    expect(process!.embedding.document.characters).toBeGreaterThan(200 * "Text 1 of many".length);
    expect(process!.calls.find(({ operation }) => operation === "search")).toMatchObject({ calls: 5, failures: 0 });
    expect(process!.pools).toMatchObject([{ name: "primary", used: 0, max: 10, waiting: 0 }]);
    const all = new Set(parsePrometheus(await toPrometheus(stats)).map(({ name }) => name));
    const own = parsePrometheus(await toPrometheus(store.processStats()));
    expect(own.every(({ name }) => all.has(name))).toBe(true);
    expect(all).toContain("langchain_pgvector_index_scans_total");
    const calls = own.find(({ name }) => name === "langchain_pgvector_calls_total")!;
    expect(calls.type).toBe("COUNTER");
    expect(calls.metrics.find(({ labels }) => labels?.["operation"] === "search")?.value).toBe("5");
  });

  test("serves them over HTTP until it is interrupted", async () => {
    const interrupt = new AbortController();
    let announced: (url: string) => void = () => undefined;
    const url = new Promise<string>((resolve) => (announced = resolve));
    const serving = folder.run(["stats", "--table", "watched", "--serve", "127.0.0.1:0"], {
      env: env(),
      signal: interrupt.signal,
      onErr: (line) => {
        const [, found] = /serving (\S+);/.exec(line) ?? [];
        if (found !== undefined) announced(found);
      },
    });
    const metrics = await url;
    const [first, second] = await Promise.all([fetch(metrics), fetch(metrics)]);
    expect(first.headers.get("content-type")).toContain("text/plain");
    expect(parsePrometheus(await first.text())).not.toEqual([]);
    expect(second.status).toBe(200);
    expect((await fetch(new URL("/other", metrics))).status).toBe(404);
    expect((await fetch(metrics, { method: "POST" })).status).toBe(405);
    interrupt.abort();
    await serving;
  });

  test("watches, with rates from the second view on", async () => {
    const interrupt = new AbortController();
    const views: string[] = [];
    const done = folder.run(["stats", "--table", "watched", "--watch", "--interval", "1"], {
      env: env(),
      signal: interrupt.signal,
      onOut: (text) => {
        views.push(text);
        if (views.length === 2) interrupt.abort();
      },
    });
    await done;
    expect(views[0]).not.toContain("scans/s");
    expect(views[1]).toContain("scans/s");
  });

  test.each([
    [["--prometheus", "--json"], /choose one/],
    [["--serve", "nowhere:99999"], /host:port/],
  ])("refuses %j", async (args, message) => {
    const { code, err } = await run(...args);
    expect(code).toBe(2);
    expect(err.join("\n")).toMatch(message);
  });

  test("says that there is no such store", async () => {
    const { code, err } = await folder.run(["stats", "--table", "nothing_here"], { env: env() });
    expect(code).toBe(1);
    expect(err.join("\n")).toContain("no store");
  });
});

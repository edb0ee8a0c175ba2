import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OfflineEmbeddings, PostgresVectorStore } from "../../src/index.js";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";

const NEXT = "offline/offline-hash-768-v1@768";

describeServer("the verb models", () => {
  let database: ServerTestDatabase;
  let folder: CliFolder;

  beforeAll(async () => {
    database = await openServerDatabase();
    folder = new CliFolder();
    folder.secrets.push(new URL(database.url).password);
    const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool: database.pool });
    await store.addDocuments(
      Array.from({ length: 30 }, (_, n) => ({
        id: `${n}`,
        pageContent: `chapter ${n} of the manual`,
        metadata: { n },
      })),
    );
    await store.end();
  });
  afterAll(async () => {
    folder.remove();
    await database.close();
  });

  const options = () => ({ env: { DATABASE_URL: database.url } });
  const run = (...args: string[]): Promise<CliRun> => folder.run(["models", ...args], options());
  const json = <T>(...args: string[]): Promise<T> => folder.json(["models", ...args], options());
  const states = async (): Promise<string[]> =>
    (await json<{ version: number; state: string }[]>("list")).map(({ version, state }) => `${version} ${state}`);

  test("each verb plans without effects, and then does it: from add to retire", async () => {
    expect((await run("list")).out).toBe(
      "1  active    offline/offline-hash-384-v1@384  cosine, vector(384) in embedding\n",
    );
    const add = ["add", "--embeddings", "offline", "--dimensions", "768", "--price", "0.13"];
    const planned = await run(...add, "--plan");
    expect(planned.out).toContain(`-- version 2: ${NEXT}, cosine, vector(768)`);
    expect(planned.out).toMatch(/-- 30 rows, about \d+ tokens, price 0\.00/);
    expect(planned.out).toContain('add column "embedding_v2"');
    const plan = await json<{ sizing: { rows: number }; version: object }>(...add, "--plan");
    expect(plan).toMatchObject({ sizing: { rows: 30 }, version: { fingerprint: NEXT, dimensions: 768 } });
    expect(await states()).toEqual(["1 active"]);
    const added = await run(...add);
    expect(added.out).toContain(`version 2 is ${NEXT}`);
    expect(added.out).toContain("then run: langchain-pgvector models backfill");
    expect(added.err[0]).toMatch(/^database: .*embedder: none needed$/);
    expect(await run(...add)).toMatchObject({ code: 2, out: "" });

    expect((await run("backfill", "--plan")).out).toContain("version 2 (building): 30 of 30 rows to fill");
    const early = await run("cutover");
    expect(early.code).not.toBe(0);
    expect(early.err.join("\n")).toContain("30 rows wait for their vector of version 2");
    expect((await json<{ objections: string[] }>("cutover", "--plan")).objections.join()).toContain("30 rows wait");
    const filled = await run("backfill", "--full-speed");
    expect(filled.out).toMatch(
      /^version 2 is ready: filled 30 rows in [\d.]+ s, 0 missing, [\d.]+ % in place, indexed/,
    );
    expect(filled.err.some((line) => /^(filling|paused|indexing|done).*: \d+ of 30/.test(line))).toBe(true);
    expect(await json("backfill", "--plan", "--version", "2")).toMatchObject([{ version: 2, missing: 0 }]);
    const status = await run("status");
    expect(status.out).toContain("0 of 30 rows wait for their vector");
    expect(status.out).toContain("indexed");

    const html = join(folder.path, "report.html");
    expect((await run("compare", "--samples", "5", "--plan")).out).toBe('{"queries":null,"samples":5}\n');
    const compared = await run("compare", "--samples", "10", "-k", "5", "--min-overlap", "1.01", "--html", html);
    expect(compared.out).toContain("a cut-over is blocked: the overlap is");
    expect(readFileSync(html, "utf8")).toContain("<h1>Comparison of two model versions</h1>");
    expect((await run("cutover")).err.join()).toContain("The last comparison failed");
    writeFileSync(join(folder.path, "questions.jsonl"), '{"text":"chapter 7","relevant":{"7":1}}\n');
    const labelled = await json<{ labelled: number; passed: boolean }>(
      "compare",
      "--queries",
      "questions.jsonl",
      "--min-ndcg-change",
      "-1",
    );
    expect(labelled).toMatchObject({ labelled: 1, passed: true });

    const switching = await run("cutover", "--plan");
    expect(switching.out).toMatch(/^-- from version 1 to 2\nupdate /);
    expect(await states()).toEqual(["1 active", "2 ready"]);
    expect((await run("cutover")).out).toMatch(/^version 2 is active; version 1 is still written to/);
    expect((await run("rollback", "--plan")).out).toContain("-- from version 2 to 1");
    expect(await json("rollback")).toMatchObject({ from: 2, to: 1 });
    expect(await states()).toEqual(["1 active", "2 retiring"]);
    expect(await json("cutover", "--version", "2")).toMatchObject({ from: 1, to: 2 });

    const going = await run("retire", "1", "--rewrite", "--plan");
    expect(going.out).toContain('alter table drop column "embedding"');
    expect(going.out).toMatch(/the rewrite takes an access exclusive lock for about \d+ s/);
    expect(await json("retire", "1", "--plan")).toMatchObject({ version: 1, column: "embedding", objections: [] });
    expect(await states()).toEqual(["1 retiring", "2 active"]);
    expect((await run("retire", "1")).out).toMatch(/^version 1 is gone: 30 rows emptied, /);
    expect(await states()).toEqual(["2 active"]);
    // What searches by now is the embedder that the registry names.
    const { out } = await folder.run(["search", "chapter 7", "--json", "-k", "1"], options());
    expect(out).toContain("chapter 7 of the manual");
  });

  test("wrong usage ends with 2, names what is wrong and changes nothing", async () => {
    const before = await states();
    for (const [args, message] of [
      [["add", "--from", "9", "--dimensions", "64"], "no model version 9"],
      [["add", "--from", "2", "--dimensions", "4096"], "they can be shortened, not lengthened"],
      [["add", "--from", "2"], "same metric and storage"],
      [["backfill", "--version", "7"], "no model version 7"],
      [["backfill"], "No model version is being added"],
      [["backfill", "--concurrency", "0"], "--concurrency"],
      [["cutover"], "No model version is being added"],
      [["rollback"], "version"],
      [["retire", "2"], "is active; cut over to another first"],
      [["retire", "0"], "0"],
      [["cutover", "--tenant", "acme", "--version", "2"], "tenancy"],
      [["compare", "--queries", "absent.jsonl"], "absent.jsonl"],
      [["frobnicate"], "frobnicate"],
    ] as const) {
      const { code, out, err } = await run(...args);
      expect([args, code, out]).toEqual([args, 2, ""]);
      expect(err.join("\n")).toContain(message);
    }
    expect(await states()).toEqual(before);
  });

  test("needs a store that is there, and a database", async () => {
    const absent = await run("list", "--table", "nothing_here");
    expect([absent.code === 0, absent.out]).toEqual([false, ""]);
    expect(absent.err.join("\n")).toContain("nothing_here");
    const none = await folder.run(["models", "list"]);
    expect([none.code === 0, none.out]).toEqual([false, ""]);
    expect(none.err.join("\n")).toContain("name a server with --database-url");
    expect(existsSync(join(folder.path, ".langchain-pgvector"))).toBe(false);
  });
});

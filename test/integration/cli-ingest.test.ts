import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { CliFolder, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";

describeServer("ingest on the command line", () => {
  let database: ServerTestDatabase;
  let folder: CliFolder;
  let tables = 0;
  let flags: string[] = [];
  let env: Record<string, string> = {};

  beforeAll(async () => {
    database = await openServerDatabase();
    env = { DATABASE_URL: database.ownerUrl };
  });
  afterAll(() => database.close());
  beforeEach(() => {
    folder = new CliFolder();
    flags = ["--table", `ingest_${(tables += 1)}`];
  });
  afterEach(() => folder.remove());

  const ingest = (...args: string[]): Promise<CliRun> => folder.run(["ingest", ...args, ...flags], { env });
  const json = (...args: string[]): Promise<unknown> => folder.json(["ingest", ...args, ...flags], { env });

  test("removes deleted files, those that are named included, unless they are to be kept", async () => {
    folder.put({ "docs/a.md": "# A\n\nFirst.", "docs/b.md": "# B\n\nSecond.", "c.md": "# C\n\nThird." });
    expect(await json("docs", "c.md")).toMatchObject({ files: 3, chunks: 3, embedded: 3 });
    rmSync(join(folder.path, "docs/b.md"));
    rmSync(join(folder.path, "c.md"));
    expect(await json("docs", "--keep-deleted")).toMatchObject({ files: 1, unchanged: 1, removedFiles: 0 });
    const { code, out, err } = await ingest("docs", "c.md");
    expect([code, out.trim().replace(/ in .*/, "")]).toEqual([
      0,
      "1 file (1 unchanged), 1 chunk (0 new), 2 old files removed, 2 old chunks removed",
    ]);
    expect(err).toContain("removed: c.md");
    expect((await ingest("c.md")).err.at(-1)).toContain('"c.md" does not exist');
  });

  test("ingests the rest when a named file cannot be read, and says so with its exit code", async () => {
    folder.put({
      "bad.pdf": "%PDF-1.4 broken",
      "good.md": "# Good\n\nText.",
      "odd.txt": Buffer.from("Gr\xfcn", "latin1"),
    });
    const { code, err } = await ingest("bad.pdf", "good.md", "odd.txt");
    expect(code).toBe(1);
    expect(err).toContain('note: "odd.txt" is not valid UTF-8; it was read as windows-1252.');
    expect(err.at(-1)).toBe("error: Not ingested: bad.pdf. The rest is in the store.");
    expect(await json("good.md")).toMatchObject({ unchanged: 1 });
  });

  test("takes records by their fields, and other splitters", async () => {
    folder.put({
      "t.jsonl": '{"title": "One", "body": "Words.", "n": 1}\n',
      "long.md": "A sentence of the text. ".repeat(100),
    });
    await json("t.jsonl", "--text-fields", "title,body", "--metadata-fields", "n");
    const hits = await folder.json<{ document: { pageContent: string; metadata: Record<string, unknown> } }[]>(
      ["search", "words", ...flags],
      { env },
    );
    expect(hits[0]!.document.pageContent).toBe("One\n\nWords.");
    expect(hits[0]!.document.metadata["fields"]).toEqual({ n: 1 });
    const auto = (await json("long.md")) as { chunks: number };
    const small = (await json("long.md", "--splitter", "parent-child")) as { chunks: number };
    expect(small.chunks).toBeGreaterThan(auto.chunks);
  });

  test("refuses flags that do not go together", async () => {
    folder.put({ "a.md": "A", "v.jsonl": "{}" });
    expect((await ingest("https://example.com", "--watch")).err.at(-1)).toMatch(/cannot be watched/);
    expect((await ingest("--from", "v.jsonl", "--splitter", "token")).err.at(-1)).toMatch(/--splitter goes with files/);
    expect((await ingest("--from", "v.jsonl", "--watch")).code).toBe(2);
    expect((await ingest("a.md", "--text-fields", "a,,b")).code).toBe(2);
  });

  test("--watch ingests what changes, until it is stopped", async () => {
    folder.put({ "docs/a.md": "# A\n\nFirst." });
    const stop = new AbortController();
    const err: string[] = [];
    const running = folder.run(["ingest", "docs", "--watch", ...flags], {
      env,
      signal: stop.signal,
      onErr: (line) => {
        err.push(line);
        if (line.startsWith("watching")) folder.put({ "docs/new.md": "# New\n\nSecond." });
        if (line === "docs/new.md: 1 chunk") rmSync(join(folder.path, "docs/a.md"));
        if (line === "removed: docs/a.md") stop.abort(new Error("interrupted"));
      },
    });
    await running;
    expect(err).toContain("docs/new.md: 1 chunk");
    expect(err).toContain("removed: docs/a.md");
    expect(await json("docs")).toMatchObject({ files: 1, unchanged: 1 });
  });
});

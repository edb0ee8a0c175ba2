import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CliFolder } from "../helpers/cli.js";

let folder: CliFolder;
beforeEach(() => {
  folder = new CliFolder();
  folder.put({ "docs/guide.md": "# Vacuum\n\nAutovacuum removes dead rows from a table in the background.\n" });
});
afterEach(() => folder.remove());

describe("wrong usage", () => {
  const cases: [string, string[], RegExp][] = [
    ["no verb", [], /Usage: langchain-pgvector/],
    ["an unknown verb", ["serach", "x"], /unknown command 'serach'[^]*Did you mean search/],
    ["an unknown flag", ["search", "x", "--tabel", "t"], /unknown option '--tabel'[^]*Did you mean --table/],
    ["a missing argument", ["ask"], /missing required argument 'question'/],
    ["an empty question", ["ask", " "], /The question is empty/],
    ["k that is no number", ["search", "x", "-k", "many"], /whole number of at least 1/],
    ["a filter that is no JSON", ["search", "x", "--filter", "{source}"], /Give a JSON object/],
    ["a filter that is no object", ["search", "x", "--filter", "[1]"], /Give a JSON object/],
    ["columns of no known role", ["search", "x", "--columns", "body=text"], /Write it like id=id,content=text/],
    ["init without a database", ["init"], /Say which database: --database-url/],
    ["adopt without a database", ["adopt"], /Say which database: --database-url/],
    [
      "a URL of something else",
      ["search", "x", "--database-url", "mysql://ann:db-password@h/d"],
      /"mysql:\/\/ann:\*\*\*@h\/d"/,
    ],
    [
      "a URL that cannot be read",
      ["search", "x", "--database-url", "postgres://ann:db-password@h:port/d"],
      /cannot be read as a URL/,
    ],
    ["a distance nobody knows", ["init", "--distance", "manhattan"], /Allowed choices are cosine/],
    ["an embedder nobody knows", ["ingest", "docs", "--embeddings", "word2vec"], /"word2vec" names no embedder/],
    ["OpenAI without a key", ["ingest", "docs", "--embeddings", "openai"], /OPENAI_API_KEY/],
    ["a chat model without a provider", ["ask", "x", "--chat-model", "gpt"], /does not name a provider and a model/],
  ];
  test.each(cases)("%s", async (_, args, message) => {
    const { code, out, err } = await folder.run(args);
    expect([code, out]).toEqual([2, ""]);
    expect(err.join("\n")).toMatch(message);
  });

  test.each(["demo", "ingest", "ask", "search", "init", "adopt"])("%s --help has examples and --json", async (verb) => {
    const { code, out } = await folder.run([verb, "--help"]);
    expect(code).toBe(0);
    expect(out).toMatch(/--json[^]*Examples?:\n {2}(npx )?langchain-pgvector /);
  });

  test("--version prints the version", async () => {
    expect(await folder.run(["--version"])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
    });
  });
});

describe("without a server", () => {
  test("search and ask make no database, ingest makes it and they find it", async () => {
    for (const verb of ["search", "ask"]) {
      const { code, err } = await folder.run([verb, "anything"]);
      expect(code).toBe(1);
      expect(err.at(-1)).toMatch(/Nothing has been ingested here.*langchain-pgvector ingest/);
    }
    expect(existsSync(join(folder.path, ".langchain-pgvector"))).toBe(false);
    const { code, err } = await folder.run(["ingest", "docs"]);
    expect([code, err[0]]).toEqual([
      0,
      "database: embedded, in .langchain-pgvector/database · tenant: default · embedder: offline (matches words, not meaning)",
    ]);
    const { citations } = await folder.json<{ citations: object[] }>(["ask", "What removes dead rows from a table?"]);
    expect(citations[0]).toMatchObject({ source: "docs/guide.md" });
    expect(existsSync(join(folder.path, ".langchain-pgvector", ".gitignore"))).toBe(true);
  }, 240_000);

  test("Ctrl-C ends the process by its signal, after the store is closed in order", async () => {
    for (let file = 0; file < 150; file += 1) folder.put({ [`many/${file}.txt`]: `Sentence. `.repeat(300) });
    const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), main, "ingest", "many"], {
      cwd: folder.path,
      env: { PATH: process.env["PATH"] },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let err = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (!err.includes("many/") && text.includes("many/")) child.kill("SIGINT");
      err += text;
    });
    const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    expect([code, signal]).toEqual([null, "SIGINT"]);
    expect(err.trimEnd().split("\n").at(-1)).toBe("interrupted");
    // The folder is free, and what is there can be searched.
    expect((await folder.json<object[]>(["search", "sentence", "-k", "1"])).length).toBe(1);
  }, 240_000);
});

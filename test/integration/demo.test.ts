import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Citation } from "../../src/chains/index.js";
import { CliFolder } from "../helpers/cli.js";
import { describeServer, openServerDatabase } from "../helpers/database.js";

const GUIDE = readFileSync(new URL("../../docs/production-guide.md", import.meta.url), "utf8");

interface Demo {
  readonly engine: string;
  readonly embedder: string;
  readonly files: number;
  readonly chunks: number;
  readonly answers: { readonly question: string; readonly answer: string; readonly citations: Citation[] }[];
  readonly seconds: number;
  readonly next: string[];
}

let folder: CliFolder;
beforeEach(() => {
  folder = new CliFolder();
});
afterEach(() => folder.remove());

/** Neither may be touched: nothing listens there, and the key is watched for in what is printed. */
const env = { OPENAI_API_KEY: "sk-very-secret", DATABASE_URL: "postgres://ann:db-password@127.0.0.1:1/nowhere" };

function expectDemo({ answers, ...demo }: Demo): void {
  expect(demo).toMatchObject({
    engine: expect.stringMatching(/^PostgreSQL \d+\.\d+ with pgvector 0\.\d+\.\d+$/) as string,
    embedder: "offline-hash-384-v1",
    files: 1,
  });
  expect(demo.chunks).toBeGreaterThan(20);
  expect(answers).toHaveLength(4);
  for (const { answer, citations } of answers.slice(0, 3)) {
    expect(citations.length).toBeGreaterThan(0);
    for (const { index, quote, source, lines } of citations) {
      expect(GUIDE).toContain(quote);
      expect(
        GUIDE.split("\n")
          .slice(lines!.from - 1, lines!.to)
          .join("\n"),
      ).toContain(quote);
      expect(source).toBe("production-guide.md");
      expect(answer).toContain(`[${index}]`);
    }
  }
  expect(answers[3]).toMatchObject({ answer: expect.stringMatching(/^I don't know/) as string, citations: [] });
}

describe("demo", () => {
  test("twice in a row, within 40 lines and 60 seconds, with no key and no server", async () => {
    for (let round = 0; round < 2; round += 1) {
      const started = Date.now();
      const { code, out, err } = await folder.run(["demo"], { env });
      expect(Date.now() - started).toBeLessThan(60_000);
      expect([code, err]).toEqual([
        0,
        [
          "database: embedded, in .langchain-pgvector/database · tenant: default · embedder: offline (matches words, not meaning)",
        ],
      ]);
      const lines = out.trimEnd().split("\n");
      expect(lines.length).toBeLessThanOrEqual(40);
      expect(lines[0]).toMatch(/^PostgreSQL \d+\.\d+ with pgvector [\d.]+, embedded/);
      expect(lines[1]).toMatch(
        /^1 file \([\d,]+ words\) in \d+ chunks; embedder: offline.* matches words, not meaning$/,
      );
      expect(lines.filter((line) => line.startsWith("Q: "))).toHaveLength(4);
      expect(lines.filter((line) => line.startsWith("A: I don't know"))).toHaveLength(1);
      expect(
        lines.filter((line) => /^ {3}\[\d+\] production-guide\.md, lines? [\d-]+: ".+"$/.test(line)).length,
      ).toBeGreaterThanOrEqual(3);
      expect(lines.at(-4)).toMatch(/^Done in \d+\.\d s\. Next:$/);
      expect(lines.slice(-3).every((line) => /npx langchain-pgvector (ask|ingest) /.test(line))).toBe(true);
    }
    const demo = await folder.json<Demo>(["demo"], { env });
    expectDemo(demo);
    // The first line to copy works as it stands.
    const [, question, table] = /ask "(.+)" --table (\S+)$/.exec(demo.next[0]!)!;
    const asked = await folder.json<{ citations: Citation[] }>(["ask", question!, "--table", table!]);
    expect(asked.citations.length).toBeGreaterThan(0);
  }, 240_000);
});

describeServer("demo on a server", () => {
  test("--database-url is taken, and a second run finds everything there", async () => {
    const database = await openServerDatabase();
    try {
      for (let round = 0; round < 2; round += 1) {
        expectDemo(await folder.json<Demo>(["demo", "--database-url", database.url], { env }));
      }
      const { rows } = await database
        .newPool()
        .query<{ n: number }>("select count(*)::int as n from langchain_pgvector_demo");
      expect(rows[0]!.n).toBeGreaterThan(20);
    } finally {
      await database.close();
    }
  });
});

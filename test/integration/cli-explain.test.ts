import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Explanation } from "../../src/index.js";
import { CliFolder } from "../helpers/cli.js";

describe("the verb explain", () => {
  let folder: CliFolder;

  beforeAll(async () => {
    folder = new CliFolder();
    folder.put({ "notes.md": "# Indexes\n\nHNSW is a graph index.\n\n# Vacuum\n\nVacuum removes dead rows.\n" });
    expect((await folder.run(["ingest", "notes.md"])).code).toBe(0);
  });
  afterAll(() => folder.remove());

  test("says in words what a search did", async () => {
    const { code, out } = await folder.run(["explain", "graph index"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^search: [\d.]+ ms, .* the distance of every candidate was computed\n {2}langchain_chunks: /);
    expect(out).toContain("[table-small]");
    expect(out).toContain("docs/findings/search.md#table-small");
  });

  test("explains SQL, as JSON", async () => {
    const sql = "select id from langchain_chunks where text like '%graph%'";
    const { statements, findings } = await folder.json<Explanation>(["explain", "--sql", sql, "--json"]);
    expect(statements[0]).toMatchObject({ name: "query", tables: [{ table: "langchain_chunks", rows: 1 }] });
    expect(findings).toEqual([]);
  });

  test.each([[[]], [["words", "--sql", "select 1"]], [["--sql", "drop table langchain_chunks"]]])(
    "refuses %j",
    async (args) => {
      expect((await folder.run(["explain", ...args])).code).toBe(2);
    },
  );
});

import { afterAll, beforeAll, expect, it } from "vitest";
import type { SearchHit } from "../../src/index.js";
import { CliFolder, type CliOptions } from "../helpers/cli.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";

let database: TestDatabase;
let folder: CliFolder;
/** On the server of the run, or in the folder's embedded database. */
let options: CliOptions;
beforeAll(async () => {
  database = await openTestDatabase();
  options = database.kind === "server" ? { env: { DATABASE_URL: database.ownerUrl } } : {};
  folder = new CliFolder();
  folder.put({
    "cats.md": "Cats chase mice in the night.\n",
    "dogs.md": "Dogs bark loudly. ERR_42 means that the dog is out.\n",
    "fish.md": "Fish swim in circles.\n",
  });
  const { code, err } = await folder.run(["ingest", "cats.md", "dogs.md", "fish.md", "--lexical"], options);
  expect([code, err.at(-1)]).toEqual([0, expect.any(String)]);
});
afterAll(async () => {
  folder.remove();
  await database.close();
});

it("explains a hybrid search in a table of both rankings", async () => {
  const { code, out } = await folder.run(
    ["search", "ERR_42 cats", "--mode", "hybrid", "--explain", "-k", "3"],
    options,
  );
  expect(code).toBe(0);
  const lines = out.split("\n");
  expect(lines[0]).toMatch(/^ +score +by vector +distance +by words +BM25 +words that matched +where$/);
  const rows = lines.slice(1, 4).map((line) => line.split(/ {2,}/));
  const dogs = rows.find((row) => row.at(-1) === "dogs.md, line 1")!;
  expect(dogs.slice(1, -1)).toEqual([
    expect.stringMatching(/^[01]\.\d{3}$/),
    expect.stringMatching(/^\d$/),
    expect.stringMatching(/^\d\.\d{3}$/),
    expect.stringMatching(/^[12]$/),
    expect.stringMatching(/^\d+\.\d{3}$/),
    expect.stringContaining("err_42"),
  ]);
  const fish = rows.find((row) => row.at(-1) === "fish.md, line 1")!;
  expect(fish.slice(4, 7)).toEqual(["-", "-", "-"]);
  expect(out).toContain("Dogs bark loudly. ERR_42 means that the dog is out.");
});

it("gives the same figures as JSON, and says when there was no word to look up", async () => {
  const hits = await folder.json<SearchHit[]>(["search", "ERR_42", "--mode", "lexical"], options);
  expect(hits).toHaveLength(1);
  expect(hits[0]).toMatchObject({
    document: { metadata: { source: "dogs.md" } },
    lexical: { rank: 1, bm25: expect.any(Number) as number, terms: expect.arrayContaining(["err_42"]) as string[] },
  });
  const { err, out } = await folder.run(["search", "the", "of", "--mode", "lexical", "--explain"], options);
  expect(err.at(-1)).toMatch(/no word to look up; searched by similarity/);
  expect(out).toContain("by vector");
  expect((await folder.run(["search", "zebra", "--mode", "lexical", "--explain"], options)).out).toBe(
    "nothing found\n",
  );
});

import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Citation } from "../../src/chains/index.js";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { PostgresVectorStore } from "../../src/index.js";
import { CliFolder, handMadePdf, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";

interface Answer {
  readonly question: string;
  readonly answer: string;
  readonly citations: Citation[];
}

interface Ingested {
  readonly files: number;
  readonly chunks: number;
  readonly embedded: number;
  readonly removed: number;
  readonly skipped: number;
  readonly unsupported: Record<string, number>;
  readonly seconds: number;
}

interface Hit {
  readonly document: { readonly id: string; readonly pageContent: string; readonly metadata: Record<string, unknown> };
  readonly score: number;
  readonly distance: number;
}

const FILES = {
  "docs/guide.md":
    "# Guide\n\nIntroduction.\n\n## Vacuum\n\nAutovacuum removes dead rows from a table in the background.\n",
  "docs/notes.txt": "The replica lags behind the primary by two seconds at most.\n",
  "docs/page.html":
    "<html><head><title>Backups</title></head><body><h1>Backups</h1><p>A nightly dump is kept for thirty days.</p></body></html>",
  "docs/paper.pdf": handMadePdf(["Pages of a paper begin.", "Quantization halves the memory of an index."]),
};

let folder: CliFolder;
beforeEach(() => {
  folder = new CliFolder();
  folder.put(FILES);
});
afterEach(() => folder.remove());

describeServer("the command line on a server", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let env: Record<string, string>;
  let tables = 0;
  let table = "";

  beforeAll(async () => {
    database = await openServerDatabase();
    env = { DATABASE_URL: database.ownerUrl };
    pool = database.newPool({ connectionString: database.ownerUrl });
  });
  afterAll(() => database.close());
  beforeEach(() => {
    folder.secrets.push(new URL(database.ownerUrl).password);
    table = `cli_${(tables += 1)}`;
  });

  const run = (...args: string[]): Promise<CliRun> => folder.run([...args, "--table", table], { env });
  const json = <T>(...args: string[]): Promise<T> => folder.json<T>([...args, "--table", table], { env });
  const ingest = (...paths: string[]): Promise<Ingested> => json("ingest", ...paths);
  const stored = async (): Promise<Record<string, number>> => {
    const { rows } = await pool.query<{ source: string; chunks: number }>(
      `select metadata ->> 'source' as source, count(*)::int as chunks from ${table} group by 1 order by 1`,
    );
    return Object.fromEntries(rows.map((row) => [row.source, row.chunks]));
  };

  test("ingest, search, ask: text, Markdown, HTML and PDF with cited places", async () => {
    const { code, out, err } = await run("ingest", "docs");
    expect(code).toBe(0);
    expect(err[0]).toMatch(
      /^database: postgres:\/\/\w+:\*\*\*@[\w.]+:\d+\/\w+ · tenant: default · embedder: offline \(matches words, not meaning\)$/,
    );
    // How often a run reports how far it has come follows the clock.
    expect(err.slice(1).filter((line) => !/^\d+ of \d+ sources/.test(line))).toEqual([
      "docs/guide.md: 1 chunk",
      "docs/notes.txt: 1 chunk",
      "docs/page.html: 1 chunk",
      "docs/paper.pdf: 2 chunks",
    ]);
    expect(out).toMatch(/^4 files, 5 chunks \(5 new\) in \d+\.\d s\n$/);

    const expected = [
      ["What removes dead rows from a table?", { source: "docs/guide.md", lines: { from: 7, to: 7 } }],
      ["How far does the replica lag behind the primary?", { source: "docs/notes.txt", lines: { from: 1, to: 1 } }],
      ["How long is a nightly dump kept?", { source: "docs/page.html" }],
      ["What halves the memory of an index?", { source: "docs/paper.pdf", page: 2 }],
    ] as const;
    for (const [question, place] of expected) {
      const { citations } = await json<Answer>("ask", question);
      expect(citations[0]).toMatchObject(place);
      for (const { quote, start, end, documentId } of citations) {
        const { rows } = await pool.query<{ text: string }>(`select text from ${table} where id = $1`, [documentId]);
        expect(rows[0]?.text.slice(start, end)).toBe(quote);
      }
    }
    const asked = await run("ask", "What", "removes", "dead", "rows?");
    expect(asked.out).toBe(
      "Autovacuum removes dead rows from a table in the background. [1]\n\n" +
        '[1] docs/guide.md, line 7: "Autovacuum removes dead rows from a table in the background."\n',
    );
    const unknown = await json<Answer>("ask", "Who won the football match yesterday?");
    expect(unknown).toMatchObject({ answer: expect.stringMatching(/^I don't know/) as string, citations: [] });

    const found = await run("search", "memory of an index", "-k", "1");
    expect(found.out).toMatch(
      /^1\. docs\/paper\.pdf, page 2, line 1\n {3}similarity 0\.\d{3}, distance 0\.\d{3}\n {3}Quant/,
    );
  });

  test("filters narrow search and ask", async () => {
    await ingest("docs");
    const filter = JSON.stringify({ source: { $like: "%.pdf" } });
    const hits = await json<Hit[]>("search", "dead rows of a table", "--filter", filter);
    expect(hits.map((hit) => hit.document.metadata["source"])).toEqual(["docs/paper.pdf", "docs/paper.pdf"]);
    expect(Object.keys(hits[0]!.document).sort()).toEqual(["id", "metadata", "pageContent"]);
    expect(hits[0]).toMatchObject({ score: expect.any(Number) as number, distance: expect.any(Number) as number });
    expect((await json<Answer>("ask", "What removes dead rows?", "--filter", filter)).citations).toEqual([]);
    const none = await run("search", "rows", "--filter", `{"source": "nothing"}`);
    expect(none).toMatchObject({ code: 0, out: "nothing found\n" });
  });

  test("a second ingest embeds nothing and changes nothing", async () => {
    const first = await ingest("docs");
    expect(first).toMatchObject({ files: 4, chunks: 5, embedded: 5, removed: 0, skipped: 0, unsupported: {} });
    const rows = async (): Promise<unknown> =>
      (await pool.query(`select xmin::text, * from ${table} order by id`)).rows as unknown;
    const before = await rows();
    expect(await ingest("docs")).toMatchObject({ files: 4, chunks: 5, embedded: 0, removed: 0 });
    expect(await rows()).toEqual(before);
  });

  test("a changed file: old chunks go, moved ones keep their vectors, other files stay", async () => {
    const paragraph = (topic: string): string =>
      `## ${topic}\n\n${`Words about ${topic} again and again. `.repeat(20)}\n\n`;
    const topics = ["apples", "pears", "plums", "figs", "dates"];
    folder.put({ "docs/guide.md": topics.map(paragraph).join("") });
    await ingest("docs");
    const before = await stored();
    folder.put({
      "docs/guide.md": `New first line.\n\n${["apples", "plums", "figs", "kiwis"].map(paragraph).join("")}`,
    });
    const second = await ingest("docs");
    expect(second.embedded).toBeLessThan(second.chunks - 5);
    expect(second.removed).toBeGreaterThan(0);
    const { rows } = await pool.query<{ text: string; line: number }>(
      `select text, (metadata -> 'loc' -> 'lines' ->> 'from')::int as line from ${table}
       where metadata ->> 'source' = 'docs/guide.md' order by line`,
    );
    const all = rows.map((row) => row.text).join("\n");
    expect(all).not.toMatch(/pears|dates/);
    expect(all).toMatch(/New first line[^]*apples[^]*plums[^]*figs[^]*kiwis/);
    expect(rows.find((row) => row.text.startsWith("## plums"))?.line).toBe(7);
    const { "docs/guide.md": _, ...others } = await stored();
    expect(others).toEqual(Object.fromEntries(Object.entries(before).filter(([source]) => source !== "docs/guide.md")));
    const embedded = await pool.query<{ n: number }>(`select count(*)::int as n from ${table} where embedding is null`);
    expect(embedded.rows[0]?.n).toBe(0);
  });

  test("files that cannot be read are named and left out, and nothing readable is a failure", async () => {
    folder.put({ "odd/broken.pdf": "%PDF-1.4 broken", "odd/data.bin": "x", "odd/fine.md": "# Fine\n\nReadable." });
    const { code, err } = await run("ingest", "odd");
    expect(code).toBe(0);
    expect(err.join("\n")).toMatch(/skipped: "odd\/broken\.pdf" cannot be read as PDF[^]*not supported: 1 \.bin/);
    expect(await run("ingest", "odd/data.bin")).toMatchObject({ code: 1 });
    folder.put({ "none/data.bin": "x" });
    const nothing = await run("ingest", "none");
    expect(nothing.code).toBe(1);
    expect(nothing.err.at(-1)).toBe("error: none held only files of formats that are not supported: 1 .bin.");
  });

  test("a path that does not exist fails before a table is made", async () => {
    const { code, err } = await run("ingest", "docs", "nowhere");
    expect(code).toBe(1);
    expect(err.at(-1)).toContain(`"nowhere" does not exist`);
    expect((await pool.query("select to_regclass($1) as found", [table])).rows).toEqual([{ found: null }]);
  });

  test("collections and odd names", async () => {
    table = `Odd "table" ${tables}`;
    const odd = ["--schema", 'Odd "schema"', "--collection", "it's"];
    expect((await run("ingest", "docs", ...odd)).code).toBe(0);
    expect(await json<Hit[]>("search", "rows", ...odd)).toHaveLength(5);
    const other = [...odd.slice(0, 3), "other"];
    expect(await json<Hit[]>("search", "rows", ...other)).toEqual([]);
  });

  test("search and ask without a table say to ingest first", async () => {
    for (const verb of ["search", "ask"]) {
      const { code, err, out } = await run(verb, "anything");
      expect([code, out]).toEqual([1, ""]);
      expect(err[1]).toMatch(new RegExp(`^error: There is no table "${table}" in .*Ingest something first`));
    }
  });

  test("a server that is not there, a wrong password and a missing database", async () => {
    const to = (change: (url: URL) => void): Promise<CliRun> => {
      const url = new URL(env["DATABASE_URL"]!);
      change(url);
      return folder.run(["search", "x", "--database-url", url.href]);
    };
    const down = await to((url) => (url.port = "1"));
    expect(down.code).toBe(1);
    expect(down.err[0]).toMatch(/^database: postgres:\/\/\w+:\*\*\*@.* · tenant: default · embedder: offline/);
    expect(down.err[1]).toMatch(/^error: Cannot connect to .*ECONNREFUSED.*Is the server running/);
    expect((await to((url) => (url.password = "wrong"))).err[1]).toMatch(/password authentication.*Check user/);
    expect((await to((url) => (url.pathname = "/nowhere"))).err[1]).toMatch(/"nowhere" does not exist.*createdb/);
  });

  test("an interrupt leaves whole chunks, and the next run completes the rest", async () => {
    for (let file = 0; file < 200; file += 1) {
      const lines = Array.from({ length: 60 }, (_, line) => `Sentence ${line} of file ${file} fills a line of text.`);
      folder.put({ [`many/${file}.txt`]: lines.join("\n") });
    }
    const aborter = new AbortController();
    const args = ["ingest", "many", "--table", table];
    const { code, err } = await folder.run(args, {
      env,
      signal: aborter.signal,
      onErr: (line) => line.startsWith("many/") && aborter.abort(new Error("interrupted")),
    });
    expect([code, err.at(-1)]).toEqual([1, "interrupted"]);
    const { rows } = await pool.query<{ all: number; whole: number }>(
      `select count(*)::int as all, count(embedding)::int as whole from ${table}`,
    );
    expect(rows[0]!.all).toBeGreaterThan(0);
    expect(rows[0]!.whole).toBe(rows[0]!.all);
    const rest = await ingest("many");
    expect(rest.chunks - rest.embedded).toBe(rows[0]!.all);
    expect((await pool.query(`select 1 from ${table}`)).rowCount).toBe(rest.chunks);
  });

  describe("init", () => {
    test("--plan prints SQL that runs by hand, and then there is nothing to do", async () => {
      const target = ["--schema", "planned", "--collection", "c", "--dimensions", "64"];
      const plan = await run("init", ...target, "--plan");
      expect(plan.code).toBe(0);
      expect((await pool.query("select to_regnamespace('planned') as found")).rows).toEqual([{ found: null }]);
      await pool.query(plan.out);
      expect((await run("init", ...target, "--plan")).out).toBe("The schema is current; nothing to do.\n");
      expect(await json("init", ...target)).toEqual({ applied: true, steps: [] });
      expect((await run("ingest", "docs", ...target.slice(0, 4))).code).toBe(0);
      const { rows } = await pool.query(`select vector_dims(embedding) as dims from planned.${table} limit 1`);
      expect(rows).toEqual([{ dims: 64 }]);
    });

    test("creates, then does nothing, then keeps the store's distance", async () => {
      const first = await run("init", "--distance", "euclidean");
      expect(first.out).toMatch(/applied chunks\/0001/);
      expect((await run("init")).out).toBe("The schema is current; nothing to do.\n");
      expect(await run("init", "--distance", "cosine")).toMatchObject({ code: 2 });
      await ingest("docs");
      const [hit] = await json<Hit[]>("search", "Autovacuum removes dead rows", "-k", "1");
      expect(hit!.score).toBeCloseTo(1 / (1 + hit!.distance), 6);
    });
  });

  describe("the embedder of an existing store", () => {
    const key = { OPENAI_API_KEY: "sk-very-secret", LANGCHAIN_PGVECTOR_EMBEDDING_MODEL: "ollama:nomic-embed-text" };

    test("filled offline, a key found later prints a note and works", async () => {
      await ingest("docs");
      const args = ["search", "dead rows", "--table", table];
      for (const later of [{ OPENAI_API_KEY: "sk-very-secret" }, key]) {
        const { code, err } = await folder.run(args, { env: { ...env, ...later } });
        expect(code).toBe(0);
        expect(err[0]).toContain("embedder: offline");
        expect(err[1]).toMatch(
          /^note: this store keeps the embedder that filled it; to change to (openai|ollama) .*: langchain-pgvector models add --embeddings (openai|ollama:nomic-embed-text)$/,
        );
      }
      const broken = await folder.run(args, { env: { ...env, LANGCHAIN_PGVECTOR_EMBEDDING_MODEL: "nonsense" } });
      expect(broken).toMatchObject({ code: 0, err: [expect.stringContaining("offline") as string] });
      const flag = await folder.run([...args, "--embeddings", "ollama"], { env });
      expect(flag.code).toBe(2);
      expect(flag.err.at(-1)).toMatch(/filled by offline .*Leave --embeddings out/);
    });

    test("filled by OpenAI, without a key it says what to set", async () => {
      await run(
        "init",
        "--dimensions",
        "8",
        "--embeddings",
        "openai:text-embedding-3-small",
        "--base-url",
        "http://127.0.0.1:1/v1",
      );
      const { code, err } = await run("ask", "anything");
      expect(code).toBe(2);
      expect(err.at(-1)).toBe(
        "error: The store was filled by openai text-embedding-3-small. To search it, set OPENAI_API_KEY, or OPENAI_BASE_URL for a local server.",
      );
    });

    test("filled by an embedder that did not say what it is, it must be named", async () => {
      class Anonymous extends OfflineEmbeddings {}
      const embeddings = new Anonymous();
      await PostgresVectorStore.fromTexts(["a text"], {}, embeddings, { pool, tableName: table });
      await pool.query("update langchain_pgvector_models set provider = null, model = null where store = $1", [table]);
      const { code, err } = await run("search", "text");
      expect(code).toBe(2);
      expect(err.at(-1)).toMatch(/not recorded which embedder filled this store, with 384 dimensions.*--embeddings/);
      expect((await run("search", "text", "--embeddings", "offline")).code).toBe(0);
    });
  });

  test("adopt: plan, adopt, search by the old rows, twice", async () => {
    await pool.query(
      `create table ${table} (id uuid primary key default gen_random_uuid(), body text, metadata jsonb, vec vector)`,
    );
    const texts = ["Autovacuum removes dead rows.", "A replica lags behind."];
    const vectors = await new OfflineEmbeddings().embedDocuments(texts);
    for (const [index, text] of texts.entries()) {
      await pool.query(`insert into ${table} (body, metadata, vec) values ($1, '{"source": "old.md"}', $2)`, [
        text,
        JSON.stringify(vectors[index]),
      ]);
    }
    const columns = ["--columns", "content=body,embedding=vec"];
    const refused = await run("ingest", "docs", ...columns);
    expect([refused.code, refused.err.at(-1)]).toEqual([1, expect.stringContaining("adopt --table") as string]);
    expect((await run("adopt", "--plan")).code).toBe(1);
    const plan = await run("adopt", ...columns, "--plan");
    expect(plan.err[0]).toContain("embedder: none needed");
    expect(plan.out).toMatch(/^-- 2 rows, [^]*alter table/);
    const done = await run("adopt", ...columns, "--embeddings", "offline");
    expect(done.out).toMatch(
      /^adopted: 2 rows, .* 384 dimensions; 2 searches gave the same results before and after\n$/,
    );
    expect((await run("adopt", ...columns)).out).toContain("nothing to do");
    const { citations } = await json<Answer>("ask", "What removes dead rows?", ...columns);
    expect(citations[0]).toMatchObject({ source: "old.md", quote: "Autovacuum removes dead rows." });
    expect(await json("adopt", ...columns)).toMatchObject({ outcome: "already adopted" });
  });
});

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Citation } from "../../src/chains/index.js";
import { CliFolder, type CliOptions, type CliRun } from "../helpers/cli.js";
import { describeServer, openServerDatabase, type ServerTestDatabase } from "../helpers/database.js";
import { startOpenAIServer, type OpenAIServer } from "../helpers/openai-server.js";

const KEY = "sk-very-secret";
const SENTENCE = "Autovacuum removes dead rows from a table.";
const QUOTE = "removes dead rows from a table";
const ANSWER = `It is done in the background: autovacuum "${QUOTE}" [1]`;

/** More chunks than one request of embeddings holds. */
const LARGE = Array.from(
  { length: 300 },
  (_, index) => `## Part ${index}\n\n${`Words of part ${index}. `.repeat(40)}`,
).join("\n\n");

/** Passes embeddings on to `url`, and breaks the connection in the middle of a chat model's answer. */
async function startBreakingServer(url: string): Promise<{ url: string; close: () => Promise<unknown> }> {
  const server = createServer((request, response) => {
    void (async () => {
      if (request.url === "/v1/embeddings") {
        const reply = await fetch(`${url}/embeddings`, { method: "POST", body: await text(request) });
        response.writeHead(200, { "content-type": "application/json" }).end(await reply.text());
        return;
      }
      request.resume();
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const content of ["Half of ", "an answer "]) {
        const chunk = { id: "1", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] };
        response.write(`data: ${JSON.stringify(chunk)}\n\n`);
      }
      setTimeout(() => response.destroy(), 100);
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1`, close: () => new Promise((resolve) => server.close(resolve)) };
}

describeServer("the command line over HTTP", () => {
  let database: ServerTestDatabase;
  let pool: pg.Pool;
  let server: OpenAIServer;
  let folder: CliFolder;
  let table = "";
  let tables = 0;

  beforeAll(async () => {
    database = await openServerDatabase();
    pool = database.newPool();
  });
  afterAll(() => database.close());

  beforeEach(async () => {
    server = await startOpenAIServer({ answer: () => ANSWER, ollamaModels: ["nomic-embed-text", "llama3.2:3b"] });
    folder = new CliFolder();
    folder.put({ "guide.md": `# Vacuum\n\n${SENTENCE}\n`, "large.md": LARGE });
    table = `http_${(tables += 1)}`;
  });
  afterEach(async () => {
    await server.close();
    folder.remove();
  });

  const openai = (): Record<string, string> => ({ OPENAI_API_KEY: KEY, OPENAI_BASE_URL: server.url });
  const run = (args: string[], { env = openai(), ...rest }: CliOptions = {}): Promise<CliRun> =>
    folder.run([...args, "--table", table], { env: { DATABASE_URL: database.url, ...env }, ...rest });
  const rows = async (): Promise<number> =>
    (await pool.query<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]!.n;
  const requests = (path: string): (Record<string, unknown> | undefined)[] =>
    server.requests.filter((request) => request.path === path).map((request) => request.body);

  async function expectQuotes(citations: readonly Citation[]): Promise<void> {
    for (const { documentId, start, end, quote } of citations) {
      const found = await pool.query<{ text: string }>(`select text from ${table} where id = $1`, [documentId]);
      expect(found.rows[0]?.text.slice(start, end)).toBe(quote);
    }
  }

  test("ingest and ask, with embeddings and a chat model that streams", async () => {
    const ingested = await run(["ingest", "guide.md"]);
    expect(ingested.code).toBe(0);
    expect(ingested.err[0]).toContain(`embedder: openai text-embedding-3-small at ${server.url}`);
    const asked = await run(["ask", "What removes dead rows?"]);
    expect(asked.err[0]).toContain(`chat model: openai gpt-4o-mini at ${server.url}`);
    expect(asked.out).toBe(`${ANSWER}\n\n[1] guide.md, line 3: "${QUOTE}"\n`);
    expect(asked.pieces.length).toBeGreaterThan(5);
    expect(requests("/v1/chat/completions")).toMatchObject([{ stream: true, model: "gpt-4o-mini" }]);
    expect(JSON.stringify(requests("/v1/chat/completions"))).toContain(SENTENCE);
    const json = JSON.parse((await run(["ask", "What removes dead rows?", "--json"])).out) as { citations: Citation[] };
    expect(json.citations).toMatchObject([{ index: 1, source: "guide.md", quote: QUOTE }]);
    await expectQuotes(json.citations);
    const quoted = await run(["ask", "What removes dead rows?", "--chat-model", "none"]);
    expect(quoted.out).toContain(`${SENTENCE} [1]`);
    const { rows: models } = await pool.query(
      "select provider, model, dimensions from langchain_pgvector_models where store = $1",
      [table],
    );
    expect(models).toEqual([{ provider: "openai", model: "text-embedding-3-small", dimensions: 64 }]);
  });

  test("the store's model is used, whatever model the environment names", async () => {
    await run(["ingest", "guide.md", "--embeddings", "openai:test-model"]);
    const { code, err } = await run(["search", "rows"], {
      env: { ...openai(), LANGCHAIN_PGVECTOR_EMBEDDING_MODEL: "ollama:other" },
    });
    expect(code).toBe(0);
    expect(err[0]).toContain("openai test-model");
    expect(requests("/v1/embeddings").map((body) => body?.["model"])).toEqual(Array(3).fill("test-model"));
    const other = await run(["search", "rows", "--embeddings", "openai:another"]);
    expect([other.code, other.err.at(-1)]).toEqual([
      2,
      expect.stringContaining("filled by openai test-model") as string,
    ]);
  });

  test("429 with retry-after is waited for, then it succeeds", async () => {
    server.script("ok", { status: 429, retryAfter: 1 }, "ok");
    const { code, out } = await run(["ingest", "guide.md"]);
    expect([code, out]).toEqual([0, expect.stringMatching(/^1 file, 1 chunk \(1 new\)/) as string]);
    const [, limited, again] = server.requests;
    expect(again!.at - limited!.at).toBeGreaterThanOrEqual(990);
  });

  test("429 for ever, and a key that is refused, say so without the key", async () => {
    await run(["ingest", "guide.md"]);
    server.always({ status: 429 });
    const limited = await run(["search", "rows", "--retries", "0"]);
    expect([limited.code, limited.err.at(-1)]).toEqual([
      1,
      expect.stringContaining("limiting the rate (429)") as string,
    ]);
    server.always("unauthorized");
    const refused = await run(["ask", "rows?"]);
    expect([refused.code, refused.err.at(-1)]).toEqual([
      1,
      expect.stringContaining("refused the API key (401)") as string,
    ]);
  });

  test("a server that never answers is given up after the time-out", async () => {
    server.always("timeout");
    const { code, out, err } = await run(["ingest", "guide.md", "--timeout", "1", "--retries", "0"]);
    expect([code, out]).toEqual([1, ""]);
    expect(err.at(-1)).toMatch(/^error: openai text-embedding-3-small at .* did not answer in time/);
    expect((await pool.query("select to_regclass($1) as found", [table])).rows).toEqual([{ found: null }]);
  });

  test("an interrupt does not wait for the server", async () => {
    await run(["ingest", "guide.md"]);
    server.always("timeout");
    const aborter = new AbortController();
    const asked = requests("/v1/embeddings").length;
    const running = run(["ingest", "large.md"], { signal: aborter.signal });
    await vi.waitUntil(() => requests("/v1/embeddings").length > asked, { timeout: 60_000, interval: 20 });
    const started = Date.now();
    aborter.abort(new Error("interrupted"));
    const { code, err } = await running;
    expect([code, err.at(-1)]).toEqual([1, "interrupted"]);
    expect(Date.now() - started).toBeLessThan(3_000);
    expect(await rows()).toBe(1);
  });

  test("a wrong dimension half-way: that batch is not written, and the next run completes it", async () => {
    server.script("ok", "ok", "wrong-dimension");
    const { code, err } = await run(["ingest", "large.md"]);
    expect(code).toBe(1);
    expect(err.at(-1)).toMatch(/answered 65 dimensions for text 1 of \d+ where 64 were expected/);
    expect(await rows()).toBe(256);
    const again = await run(["ingest", "large.md"]);
    expect(again.out).toMatch(/^1 file, (\d+) chunks \((\d+) new\)/);
    const [, chunks, fresh] = /(\d+) chunks \((\d+) new\)/.exec(again.out)!;
    expect([Number(chunks) - Number(fresh), await rows()]).toEqual([256, Number(chunks)]);
  });

  test.each(["floats", "shuffled"] as const)("replies as %s are stored as what they are", async (reply) => {
    server.always(reply);
    expect((await run(["ingest", "guide.md"])).code).toBe(0);
    const hits = JSON.parse((await run(["search", `# Vacuum\n\n${SENTENCE}`, "--json"])).out) as { distance: number }[];
    expect(hits[0]!.distance).toBeCloseTo(0, 5);
  });

  test.each([
    ["nan", /must be a finite number/],
    ["one-short", /answered 0 vectors for 1 texts/],
    ["html-200", /Does the base URL lead to a server of OpenAI's format/],
  ] as const)("a reply like %s is refused and nothing is written", async (reply, message) => {
    server.script("ok", reply);
    const { code, err } = await run(["ingest", "guide.md", "--retries", "0"]);
    expect([code, err.at(-1)]).toEqual([1, expect.stringMatching(message) as string]);
    expect(await rows()).toBe(0);
  });

  test("a chat model that breaks off: what came is shown, then the error", async () => {
    await run(["ingest", "guide.md"]);
    const breaking = await startBreakingServer(server.url);
    try {
      const env = { ...openai(), OPENAI_BASE_URL: breaking.url };
      const { code, out, err } = await run(["ask", "What removes dead rows?", "--retries", "0"], { env });
      expect([code, out]).toEqual([1, "Half of an answer\n"]);
      expect(err.at(-1)).toMatch(/^error: openai gpt-4o-mini at .* closed the connection/);
    } finally {
      await breaking.close();
    }
  });

  test("Ollama: ingest and ask; a model that was not pulled names the command", async () => {
    const env = { OLLAMA_HOST: server.ollamaUrl };
    expect((await run(["ingest", "guide.md", "--embeddings", "ollama"], { env })).code).toBe(0);
    // The store says that it is Ollama's: no flag is needed any more.
    const asked = await run(["ask", "What removes dead rows?", "--chat-model", "ollama:llama3.2:3b"], { env });
    expect(asked.err[0]).toContain(`embedder: ollama nomic-embed-text at ${server.ollamaUrl}`);
    expect(asked.out).toBe(`${ANSWER}\n\n[1] guide.md, line 3: "${QUOTE}"\n`);
    const missing = await run(["ask", "What?", "--chat-model", "ollama:llama9"], { env });
    expect([missing.code, missing.err.at(-1)]).toEqual([1, expect.stringContaining("ollama pull llama9") as string]);
    const stopped = await startOpenAIServer();
    await stopped.close();
    const gone = await run(["search", "rows"], { env: { OLLAMA_HOST: stopped.ollamaUrl } });
    expect([gone.code, gone.err.at(-1)]).toEqual([
      1,
      expect.stringMatching(/cannot be reached.*Start the server/) as string,
    ]);
  });
});

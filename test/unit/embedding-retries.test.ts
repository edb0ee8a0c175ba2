import { inspect } from "node:util";
import { describe, expect, test as base } from "vitest";
import { createEmbeddings } from "../../src/embeddings/create.js";
import { ModelProviderError } from "../../src/errors.js";
import type { OpenAIEmbeddingsSpec } from "../../src/embeddings/spec.js";
import { errorOf } from "../helpers/error-of.js";
import { startOpenAIServer, type OpenAIServer } from "../helpers/openai-server.js";

const KEY = "sk-test-0123456789abcdef";

// A server for each test, so that the waits between attempts can run side by side.
const test = base.extend<{ server: OpenAIServer }>({
  // oxlint-disable-next-line no-empty-pattern -- the runner reads the names of the fixtures from this pattern
  server: async ({}, use) => {
    const server = await startOpenAIServer({ dimensions: 16 });
    await use(server);
    await server.close();
  },
});

function openai(server: OpenAIServer, rest: Partial<OpenAIEmbeddingsSpec> = {}) {
  return createEmbeddings({ provider: "openai", apiKey: KEY, baseUrl: server.url, maxRetries: 0, ...rest });
}

describe.concurrent("failures and retries", () => {
  test("429 with retry-after in seconds is retried after that time", async ({ server }) => {
    server.script({ status: 429, retryAfter: 3 });
    const embeddings = await openai(server, { maxRetries: 1 });
    expect(await embeddings.embedQuery("one")).toHaveLength(16);
    const [first, second] = server.requests;
    // Without the header the wait would be two seconds at most.
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(2990);
  });

  test("429 with retry-after-ms is retried after that time", async ({ server }) => {
    server.script({ status: 429, retryAfterMs: 2500 });
    await (await openai(server, { maxRetries: 1 })).embedQuery("one");
    const [first, second] = server.requests;
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(2490);
  });

  test.for([{ status: 429 }, { status: 500 }, { status: 503 }, "reset", "html"] as const)(
    "%j is retried",
    async (reply, { server }) => {
      server.script(reply);
      expect(await (await openai(server, { maxRetries: 1 })).embedQuery("one")).toHaveLength(16);
      expect(server.requests).toHaveLength(2);
    },
  );

  test("429 for ever fails after maxRetries with a clear error", async ({ server }) => {
    server.always({ status: 429 });
    const error = await errorOf((await openai(server, { maxRetries: 1 })).embedQuery("one"));
    expect(error).toBeInstanceOf(ModelProviderError);
    expect(error).toMatchObject({ provider: "openai", status: 429, retryable: true });
    expect(error.message).toContain("is still limiting the rate (429)");
    expect(error.message).toContain("The server said: Rate limit reached");
    expect(server.requests).toHaveLength(2);
  });

  test.for(["quota", { status: 429, retryAfter: 3600 }, { status: 400 }, { status: 404 }] as const)(
    "%j is not retried",
    async (reply, { server }) => {
      server.always(reply);
      expect(await errorOf((await openai(server, { maxRetries: 3 })).embedQuery("one"))).toBeInstanceOf(
        ModelProviderError,
      );
      expect(server.requests).toHaveLength(1);
    },
  );

  test("a server that never answers fails after timeoutMs", async ({ server }) => {
    server.always("timeout");
    const from = performance.now();
    const error = await errorOf((await openai(server, { timeoutMs: 800 })).embedQuery("one"));
    expect(error.message).toContain("did not answer in time");
    expect(error).toMatchObject({ status: undefined, retryable: true });
    expect(performance.now() - from).toBeLessThan(10_000);
  });

  test("a time-out is retried", async ({ server }) => {
    server.script("timeout");
    expect(await (await openai(server, { timeoutMs: 800, maxRetries: 1 })).embedQuery("one")).toHaveLength(16);
  });

  test("an address where nothing listens fails at once, without retries", async ({ server }) => {
    const gone = await startOpenAIServer();
    await gone.close();
    const from = performance.now();
    const error = await errorOf((await openai(server, { baseUrl: gone.url, maxRetries: 5 })).embedQuery("one"));
    expect(error.message).toContain(`at ${gone.url} cannot be reached`);
    expect(performance.now() - from).toBeLessThan(10_000);
  });

  test("401 is not retried, and neither message nor cause holds the key that the server echoes", async ({ server }) => {
    server.always("unauthorized");
    const embeddings = await openai(server, { maxRetries: 3 });
    const error = await errorOf(embeddings.embedQuery("one"));
    expect(error.message).toContain("refused the API key (401)");
    expect(error.message).toContain("Incorrect API key provided: ***");
    expect(error.cause).toBeInstanceOf(Error);
    expect(inspect(error, { depth: 10 })).not.toContain(KEY);
    expect(inspect(embeddings, { depth: 10, showHidden: true })).not.toContain(KEY);
    expect(server.requests).toHaveLength(1);
  });

  test("an HTML page of a proxy is summarised", async ({ server }) => {
    server.always("html");
    const error = await errorOf((await openai(server)).embedQuery("one"));
    expect(error.message).toContain("failed (502)");
    expect(error.message).toContain("502 Bad Gateway");
    expect(error.message).not.toContain("<");
  });

  test("an error body in another format than OpenAI's is still quoted", async ({ server }) => {
    server.always({ status: 400, body: { object: "error", message: "maximum context length is 512 tokens" } });
    const error = await errorOf((await openai(server)).embedQuery("one"));
    expect(error.message).toContain("The server said: maximum context length is 512 tokens");
  });

  test("a server that never answers fails after timeoutMs, 503 is retried", async ({ server }) => {
    const spec = { provider: "ollama", baseUrl: server.ollamaUrl, timeoutMs: 800 } as const;
    server.script("timeout");
    const error = await errorOf((await createEmbeddings({ ...spec, maxRetries: 0 })).embedQuery("one"));
    expect(error.message).toContain("did not answer in time");
    server.script({ status: 503 });
    expect(await (await createEmbeddings({ ...spec, maxRetries: 1 })).embedQuery("one")).toHaveLength(16);
  });
});

import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { ChatOpenAI } from "@langchain/openai";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createRagChain, ModelLimits, multiQuery } from "../../src/chains/index.js";
import { createChatModel } from "../../src/cli/chat-model.js";
import {
  BudgetExceededError,
  CachedQueryEmbeddings,
  ConfigurationError,
  ModelProviderError,
  OfflineEmbeddings,
  PostgresVectorStore,
} from "../../src/index.js";
import { createEmbeddings } from "../../src/embeddings/create.js";
import { identityOf } from "../../src/embeddings/identity.js";
import {
  describeServer,
  openServerDatabase,
  openTestDatabase,
  testSchema,
  type TestDatabase,
} from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { startGatedModel, type GatedModel } from "../helpers/gated-model.js";
import { startOpenAIServer, type OpenAIServer } from "../helpers/openai-server.js";

const DOCUMENT = {
  id: "1",
  pageContent: "Autovacuum removes dead rows from a table.",
  metadata: { source: "guide.md" },
};
const QUESTION = { input: "What removes dead rows?" };
let database: TestDatabase;
let store: PostgresVectorStore;

beforeAll(async () => {
  database = await openTestDatabase();
  store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool: database.pool, ...testSchema() });
  await store.addDocuments([DOCUMENT]);
});
afterAll(() => database.close());

describe("an answer that streams", () => {
  let gated: GatedModel;
  beforeEach(async () => {
    gated = await startGatedModel();
  });
  afterEach(() => gated.close());
  const model = (): ChatOpenAI =>
    new ChatOpenAI({ model: "gated", apiKey: "none", maxRetries: 0, configuration: { baseURL: gated.url } });

  it("leaves over HTTP as soon as the model's first token has come", async () => {
    const chain = createRagChain({ store, model: model() });
    const server = createServer((_request, response) => {
      void (async () => {
        response.writeHead(200, { "content-type": "text/plain" });
        for await (const { answer } of await chain.stream(QUESTION)) if (answer !== undefined) response.write(answer);
        response.end();
      })();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const pieces: string[] = [];
      let arrived: (() => void) | undefined;
      const ended = new Promise<void>((resolve, reject) => {
        get({ host: "127.0.0.1", port: (server.address() as AddressInfo).port }, (response) => {
          response.setEncoding("utf8");
          response.on("data", (piece: string) => {
            pieces.push(piece);
            arrived?.();
          });
          response.on("end", resolve).on("error", reject);
        });
      });
      const arrival = (): Promise<void> => new Promise((resolve) => (arrived = resolve));
      const reply = await gated.asked();
      // Each token is sent only after the one before has gone all the way through.
      for (const token of ["Auto", "vacuum", " does"]) {
        const next = arrival();
        reply.say(token);
        await next;
      }
      expect(pieces.join("")).toBe("Autovacuum does");
      reply.say(" [1]. It is never");
      reply.say(' "paid by the hour".');
      reply.end();
      await ended;
      expect(pieces.join("")).toBe("Autovacuum does [1]. It is never [quotation removed: no passage holds it].");
    } finally {
      server.close();
    }
  });

  it("stops the model's request on an abort, and when nobody reads on", async () => {
    const abort = new AbortController();
    const answering = createRagChain({ store, model: model() }).invoke(QUESTION, { signal: abort.signal });
    const reply = await gated.asked();
    reply.say("Auto");
    abort.abort(new Error("enough"));
    expect(await errorOf(answering)).toBeInstanceOf(Error);
    await reply.gone;

    const reading = (async () => {
      for await (const { answer } of await createRagChain({ store, model: model() }).stream(QUESTION)) {
        if (answer !== undefined) return answer;
      }
      return undefined;
    })();
    const second = await gated.asked();
    second.say("Auto");
    expect(await reading).toBe("Auto");
    await second.gone;
  });
});

describeServer("an abort while the database searches", () => {
  it("cancels the statement on the server", async () => {
    const server = await openServerDatabase();
    const [pool, watcher] = [server.newPool({ max: 2 }), server.newPool({ max: 1 })];
    try {
      const slow = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool, ...testSchema() });
      await slow.addDocuments([DOCUMENT]);
      await slow.search("warm");
      const blocker = await watcher.connect();
      await blocker.query(`begin; lock table ${slow.computedTableName} in access exclusive mode`);
      const abort = new AbortController();
      const answering = createRagChain({ store: slow }).invoke(QUESTION, { signal: abort.signal });
      const waiting = async (): Promise<number> => {
        const { rows } = await server.pool.connect().then(async (client) =>
          client
            .query({
              text: "select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
            })
            .finally(() => client.release()),
        );
        return rows[0]!["n"] as number;
      };
      while ((await waiting()) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      abort.abort(new Error("enough"));
      expect((await errorOf(answering)).message).toMatch(/enough|abort/i);
      while ((await waiting()) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      await blocker.query("rollback");
      blocker.release();
    } finally {
      await server.close();
    }
  });
});

describe("models behind HTTP", () => {
  let server: OpenAIServer;
  beforeEach(async () => {
    server = await startOpenAIServer({ answer: () => "Autovacuum does [1]." });
  });
  afterEach(() => server.close());
  const chat = (maxRetries = 2) =>
    createChatModel({
      provider: "openai",
      model: "m",
      baseUrl: server.url,
      apiKey: "sk-test",
      maxRetries,
      timeoutMs: 5_000,
    });

  it("are asked again after a 429 and a 500, and their tokens are counted", async () => {
    server.script({ status: 429, retryAfterMs: 1 }, { status: 500 }, "ok");
    const { answer, usage, citations } = await createRagChain({ store, model: await chat() }).invoke(QUESTION);
    expect(answer).toBe("Autovacuum does [1].");
    expect(citations).toMatchObject([{ quote: DOCUMENT.pageContent, source: "guide.md", documentId: "1" }]);
    expect(server.requests).toHaveLength(3);
    expect(usage!.output_tokens).toBe(3);
    expect(usage!.total_tokens).toBe(usage!.input_tokens + 3);
  });

  it("fail as a chain when they fail for good, and run in batches", async () => {
    server.script("unauthorized");
    expect((await errorOf(createRagChain({ store, model: await chat(0) }).invoke(QUESTION))).message).not.toContain(
      "sk-test",
    );
    const chain = createRagChain({ store, model: await chat() });
    server.script({ status: 400 });
    const results = await chain.batch(
      [QUESTION, QUESTION, QUESTION],
      { maxConcurrency: 1 },
      { returnExceptions: true },
    );
    expect(results.map((result) => result instanceof Error)).toEqual([true, false, false]);
  });

  it("answer through Ollama too", async () => {
    const model = await createChatModel({ provider: "ollama", model: "llama3.2", baseUrl: server.ollamaUrl });
    expect((await createRagChain({ store, model }).invoke(QUESTION)).answer).toBe("Autovacuum does [1].");
  });

  it("stay within a budget and a rate", async () => {
    const limits = new ModelLimits({ maxCalls: 2 });
    const model = limits.limit(await chat());
    const chain = createRagChain({ store, model, queries: multiQuery({ model, count: 1 }) });
    await chain.invoke(QUESTION);
    expect(limits.used.calls).toBe(2);
    expect(limits.used.tokens).toBeGreaterThan(20);
    const refused = await errorOf(chain.invoke(QUESTION));
    expect(refused).toBeInstanceOf(BudgetExceededError);
    expect(server.requests).toHaveLength(2);

    const tokens = new ModelLimits({ maxTokens: 1 });
    const streamed: string[] = [];
    for await (const { answer } of await createRagChain({ store, model: tokens.limit(await chat()) }).stream(
      QUESTION,
    )) {
      if (answer !== undefined) streamed.push(answer);
    }
    expect(streamed.length).toBeGreaterThan(1);
    expect(await errorOf(tokens.limit(await chat()).invoke("more"))).toBeInstanceOf(BudgetExceededError);

    const abort = new AbortController();
    const slow = new ModelLimits({ callsPerMinute: 1 }).limit(await chat());
    await slow.invoke("first");
    const second = slow.invoke("second", { signal: abort.signal });
    abort.abort(new Error("not waiting a minute"));
    expect(await errorOf(second)).toBeInstanceOf(Error);
    expect(() => new ModelLimits({ maxTokens: 0 })).toThrow(ConfigurationError);
  });

  it("embed a query once, share what is asked at the same time, and forget failures", async () => {
    const inner = await createEmbeddings({
      provider: "openai",
      model: "e",
      baseUrl: server.url,
      apiKey: "sk-test",
      maxRetries: 0,
    });
    const cached = new CachedQueryEmbeddings(inner, { maxEntries: 2 });
    expect(identityOf(cached)).toEqual(identityOf(inner));
    const [first, again] = await Promise.all([cached.embedQuery("a"), cached.embedQuery("a")]);
    first[0] = 99;
    expect(again[0]).not.toBe(99);
    expect((await cached.embedQuery("a"))[0]).toBe(again[0]);
    expect(server.requests).toHaveLength(1);
    await cached.embedQuery("b");
    await cached.embedQuery("c");
    await cached.embedQuery("a");
    expect(server.requests).toHaveLength(4);
    await cached.embedDocuments(["a"]);
    expect(server.requests).toHaveLength(5);
    server.script({ status: 400 });
    expect(await errorOf(cached.embedQuery("d"))).toBeInstanceOf(ModelProviderError);
    expect(await cached.embedQuery("d")).toHaveLength(64);
    expect(() => new CachedQueryEmbeddings(inner, { maxEntries: 0 })).toThrow(ConfigurationError);
    expect(() => new CachedQueryEmbeddings(inner, { ttlSeconds: 0 })).toThrow(ConfigurationError);
  });
});

import { inspect } from "node:util";
import { tool } from "@langchain/core/tools";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { chatModelError, createChatModel, type ChatModelSpec } from "../../src/cli/chat-model.js";
import { ModelProviderError } from "../../src/errors.js";
import { ConfigurationError } from "../../src/errors.js";
import { errorOf } from "../helpers/error-of.js";
import { startOpenAIServer, type OpenAIServer } from "../helpers/openai-server.js";

const KEY = "sk-test-0123456789abcdef";
let server: OpenAIServer;

beforeEach(async () => {
  server = await startOpenAIServer({ ollamaModels: ["llama3.2:3b"] });
});
afterEach(async () => {
  await server.close();
});

const openai = (rest: Partial<ChatModelSpec> = {}): ChatModelSpec => ({
  provider: "openai",
  model: "gpt-4o-mini",
  baseUrl: server.url,
  apiKey: KEY,
  maxRetries: 0,
  ...rest,
});
const ollama = (model = "llama3.2:3b"): ChatModelSpec => ({ provider: "ollama", model, baseUrl: server.ollamaUrl });

const weather = tool(({ city }) => `sunny in ${city}`, {
  name: "weather",
  description: "Weather of a city",
  schema: z.object({ city: z.string() }),
});

describe.each([
  ["openai", () => openai()],
  ["ollama", () => ollama()],
])("%s", (_, spec) => {
  test("answers, and counts tokens", async () => {
    const message = await (await createChatModel(spec())).invoke("How are you?");
    expect(message.content).toBe("Echo: How are you?");
    expect(message.usage_metadata).toMatchObject({ output_tokens: 4 });
  });

  test("streams the answer in pieces", async () => {
    const pieces: string[] = [];
    for await (const chunk of await (await createChatModel(spec())).stream("one two")) {
      if (chunk.content !== "") pieces.push(String(chunk.content));
    }
    expect(pieces).toEqual(["Echo: ", "one ", "two"]);
    expect(server.requests[0]?.body).toMatchObject({ stream: true });
  });

  test("calls a tool that it was offered", async () => {
    const model = await createChatModel(spec());
    server.script({ toolCalls: [{ name: "weather", args: { city: "Rome" } }] });
    const message = await model.bindTools!([weather]).invoke("What is the weather?");
    expect(message.tool_calls).toMatchObject([{ name: "weather", args: { city: "Rome" } }]);
  });
});

test("sends the key to the base URL, and without one nothing of the environment", async () => {
  await (await createChatModel(openai())).invoke("one");
  expect(server.requests[0]?.headers["authorization"]).toBe(`Bearer ${KEY}`);
  const before = process.env["OPENAI_API_KEY"];
  process.env["OPENAI_API_KEY"] = "sk-of-the-environment";
  try {
    const { apiKey: _, ...keyless } = openai();
    await (await createChatModel(keyless)).invoke("one");
  } finally {
    if (before === undefined) delete process.env["OPENAI_API_KEY"];
    else process.env["OPENAI_API_KEY"] = before;
  }
  expect(inspect(server.requests[1]?.headers)).not.toContain("sk-of-the-environment");
});

test("429 without a header is retried", async () => {
  server.script({ status: 429 });
  const message = await (await createChatModel(openai({ maxRetries: 1 }))).invoke("one");
  expect(message.content).toBe("Echo: one");
  expect(server.requests).toHaveLength(2);
});

test("a refused key is told without the key", async () => {
  server.always("unauthorized");
  const spec = openai();
  const error = await errorOf((await createChatModel(spec)).invoke("one"));
  expect(inspect(error, { depth: 10 })).not.toContain(KEY);
  const told = chatModelError(error, spec);
  expect(told).toBeInstanceOf(ModelProviderError);
  expect(told.message).toContain(`openai gpt-4o-mini at ${server.url} refused the API key (401)`);
  expect(inspect(told, { depth: 10 })).not.toContain(KEY);
});

test("an Ollama model that is not there is told with the command", async () => {
  const spec = ollama("llama9");
  const error = await errorOf((await createChatModel(spec)).invoke("one"));
  expect(chatModelError(error, spec).message).toContain("ollama pull llama9");
});

test("a server that does not answer fails after timeoutMs", async () => {
  server.always("timeout");
  const spec = openai({ timeoutMs: 300 });
  const error = await errorOf((await createChatModel(spec)).invoke("one"));
  expect(chatModelError(error, spec).message).toContain("did not answer in time");
});

test("a provider whose package is missing names it, an unknown one the known", async () => {
  const missing = await errorOf(createChatModel({ provider: "cerebras", model: "m", apiKey: "k" }));
  expect(missing).toBeInstanceOf(ConfigurationError);
  expect(missing.message).toContain("npm install @langchain/cerebras");
  const unknown = await errorOf(createChatModel({ provider: "skynet", model: "m" }));
  expect(unknown).toBeInstanceOf(ConfigurationError);
  expect(unknown.message).toMatch(/"skynet".*anthropic.*ollama.*openai/);
});

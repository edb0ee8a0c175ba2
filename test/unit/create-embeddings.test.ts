import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createEmbeddings } from "../../src/embeddings/create.js";
import { ModelProviderError } from "../../src/errors.js";
import type { OpenAIEmbeddingsSpec } from "../../src/embeddings/spec.js";
import { ConfigurationError, DimensionMismatchError, InvalidVectorError } from "../../src/errors.js";
import { errorOf } from "../helpers/error-of.js";
import { hashedVector } from "../helpers/hashed-vector.js";
import { startOpenAIServer, type OpenAIServer } from "../helpers/openai-server.js";

const KEY = "sk-test-0123456789abcdef";
let server: OpenAIServer;

beforeEach(async () => {
  server = await startOpenAIServer({ dimensions: 16 });
});
afterEach(async () => {
  await server.close();
});

function openai(rest: Partial<OpenAIEmbeddingsSpec> = {}) {
  return createEmbeddings({ provider: "openai", apiKey: KEY, baseUrl: server.url, maxRetries: 0, ...rest });
}

describe("openai at a base URL", () => {
  test("embeds documents and queries, asks for floats, sends the key and the default model", async () => {
    const embeddings = await openai();
    const vectors = await embeddings.embedDocuments(["red apples", "green pears", "red apples"]);
    expect(vectors).toEqual([
      hashedVector("red apples", 16),
      hashedVector("green pears", 16),
      hashedVector("red apples", 16),
    ]);
    expect(await embeddings.embedQuery("red apples")).toEqual(vectors[0]);
    expect(server.requests).toHaveLength(2);
    expect(server.requests[0]?.body).toMatchObject({ model: "text-embedding-3-small", encoding_format: "float" });
    expect(server.requests[0]?.body).not.toHaveProperty("dimensions");
    expect(server.requests[0]?.headers["authorization"]).toBe(`Bearer ${KEY}`);
  });

  test("a server that answers floats whatever is asked gives whole vectors", async () => {
    server.always("floats");
    const embeddings = await openai();
    expect(await embeddings.embedQuery("one")).toEqual(hashedVector("one", 16));
  });

  test("hands on the number of dimensions and holds the server to it", async () => {
    const embeddings = await openai({ dimensions: 8 });
    expect(await embeddings.embedQuery("one")).toHaveLength(8);
    expect(server.requests[0]?.body).toMatchObject({ dimensions: 8 });
    server.script("wrong-dimension");
    const error = await errorOf(embeddings.embedDocuments(["one"]));
    expect(error).toBeInstanceOf(DimensionMismatchError);
    expect(error).toMatchObject({ expected: 8, actual: 9 });
    expect(error.message).toContain(
      `openai text-embedding-3-small at ${server.url} answered 9 dimensions for text 1 of 1`,
    );
  });

  test("sends no key of the environment to a server that was given none", async () => {
    const before = process.env["OPENAI_API_KEY"];
    process.env["OPENAI_API_KEY"] = "sk-of-the-environment";
    try {
      const embeddings = await createEmbeddings({ provider: "openai", baseUrl: server.url });
      await embeddings.embedQuery("one");
    } finally {
      if (before === undefined) delete process.env["OPENAI_API_KEY"];
      else process.env["OPENAI_API_KEY"] = before;
    }
    expect(inspect(server.requests[0]?.headers)).not.toContain("sk-of-the-environment");
  });

  test("sends credentials of the base URL as basic authentication and shows them nowhere", async () => {
    const baseUrl = server.url.replace("http://", "http://ann:s3cret%21@");
    const embeddings = await openai({ baseUrl });
    await embeddings.embedQuery("one");
    expect(server.requests[0]?.headers["authorization"]).toBe(`Basic ${Buffer.from("ann:s3cret!").toString("base64")}`);
    server.script("unauthorized");
    const error = await errorOf(embeddings.embedQuery("one"));
    expect(inspect(error, { depth: 10 })).not.toMatch(/s3cret|ann:/);
    expect(inspect(error, { depth: 10 })).not.toContain(Buffer.from("ann:s3cret!").toString("base64"));
  });

  test("2,500 texts go out in batches of at most the batch size and come back in order", async () => {
    const texts = Array.from({ length: 2500 }, (_, n) => `text number ${n}`);
    const embeddings = await openai({ batchSize: 400 });
    const vectors = await embeddings.embedDocuments(texts);
    expect(vectors).toEqual(texts.map((text) => hashedVector(text, 16)));
    const inputs = server.requests.map((request) => request.body?.["input"] as string[]);
    expect(inputs.map((input) => input.length).toSorted((a, b) => b - a)).toEqual([400, 400, 400, 400, 400, 400, 100]);
    for (const input of inputs) {
      const from = texts.indexOf(input[0] ?? "");
      expect(input).toEqual(texts.slice(from, from + input.length));
    }
  });

  test("no texts make no request", async () => {
    expect(await (await openai()).embedDocuments([])).toEqual([]);
    expect(server.requests).toHaveLength(0);
  });

  test("stops sending batches after a failure", async () => {
    server.always({ status: 400 });
    const embeddings = await openai({ batchSize: 1, maxConcurrency: 2 });
    await errorOf(embeddings.embedDocuments(Array.from({ length: 20 }, (_, n) => `text ${n}`)));
    expect(server.requests.length).toBeLessThanOrEqual(2);
  });
});

describe("wrong replies", () => {
  test("vectors in another order are put back by their index", async () => {
    server.script("shuffled");
    const vectors = await (await openai()).embedDocuments(["one", "two", "three"]);
    expect(vectors).toEqual(["one", "two", "three"].map((text) => hashedVector(text, 16)));
  });

  test.each([
    ["nan", /answered null at position 2 of the vector for text 1 of 2/],
    ["empty-data", /text-embedding-3-small answered 0 vectors for 2 texts/],
    ["one-short", /text-embedding-3-small answered 1 vectors for 2 texts/],
    ["empty-vector", /an empty vector for text 1 of 2.*encodingFormat: "float"/],
    ["html-200", /text-embedding-3-small: the answer has no list of vectors/],
  ] as const)("%s is an InvalidVectorError that names model, place and cure", async (reply, message) => {
    server.script(reply);
    const error = await errorOf((await openai()).embedDocuments(["one", "two"]));
    expect(error).toBeInstanceOf(InvalidVectorError);
    expect(error.message).toMatch(message);
    expect(server.requests).toHaveLength(1);
  });

  test("the position counts over batches", async () => {
    server.script("ok", "nan");
    const error = await errorOf((await openai({ batchSize: 2, maxConcurrency: 1 })).embedDocuments(["a", "b", "c"]));
    expect(error.message).toContain("text 3 of 3");
  });

  test("vectors of different lengths in one reply are a DimensionMismatchError", async () => {
    server.script("ragged");
    const error = await errorOf((await openai()).embedDocuments(["one", "two"]));
    expect(error).toBeInstanceOf(DimensionMismatchError);
    expect(error.message).toContain("text 2 of 2");
  });

  test("a length that changes between calls is a DimensionMismatchError", async () => {
    const embeddings = await openai();
    await embeddings.embedQuery("one");
    server.script("wrong-dimension");
    expect(await errorOf(embeddings.embedQuery("one"))).toMatchObject({ expected: 16, actual: 17 });
  });

  test("NaN written into the JSON is not retried and says what is wrong", async () => {
    server.always("nan-literal");
    const error = await errorOf((await openai({ maxRetries: 3 })).embedQuery("one"));
    expect(error).toBeInstanceOf(ModelProviderError);
    expect(error.message).toMatch(/not a reply of this kind of server/);
    expect(server.requests).toHaveLength(1);
  });
});

describe("ollama", () => {
  test("embeds with the default model in batches", async () => {
    const embeddings = await createEmbeddings({ provider: "ollama", baseUrl: server.ollamaUrl, batchSize: 2 });
    const vectors = await embeddings.embedDocuments(["one", "two", "three"]);
    expect(vectors).toEqual(["one", "two", "three"].map((text) => hashedVector(text, 16)));
    expect(await embeddings.embedQuery("two")).toEqual(vectors[1]);
    expect(server.requests.map((request) => request.body?.["input"])).toEqual([["one", "two"], ["three"], ["two"]]);
    expect(server.requests[0]?.body).toMatchObject({ model: "nomic-embed-text" });
  });

  test("a model that is not there fails at once and names the command", async () => {
    const small = await startOpenAIServer({ ollamaModels: ["other"] });
    try {
      const embeddings = await createEmbeddings({ provider: "ollama", baseUrl: small.ollamaUrl, maxRetries: 3 });
      const error = await errorOf(embeddings.embedDocuments(["one"]));
      expect(error).toMatchObject({ status: 404, retryable: false });
      expect(error.message).toContain("ollama pull nomic-embed-text");
      expect(small.requests).toHaveLength(1);
    } finally {
      await small.close();
    }
  });

  test("wrong replies are refused", async () => {
    const embeddings = await createEmbeddings({ provider: "ollama", baseUrl: server.ollamaUrl, maxRetries: 0 });
    server.script("nan", "one-short", "empty-data", "html-200");
    expect(await errorOf(embeddings.embedDocuments(["one", "two"]))).toBeInstanceOf(InvalidVectorError);
    expect((await errorOf(embeddings.embedDocuments(["one", "two"]))).message).toContain("1 vectors for 2 texts");
    expect(await errorOf(embeddings.embedQuery("one"))).toBeInstanceOf(InvalidVectorError);
    expect((await errorOf(embeddings.embedQuery("one"))).message).toContain("not a reply of this kind of server");
  });
});

describe("specs that cannot work", () => {
  test.each([
    [{ provider: "openai" }, /needs an API key/],
    [{ provider: "openai", baseUrl: "127.0.0.1:1234" }, /not an http or https URL/],
    [{ provider: "openai", baseUrl: "http://host/v1?api-key=zz" }, /base URL http:\/\/host\/v1 has a query/],
    [{ provider: "ollama", batchSize: 0 }, /batchSize is 0/],
    [{ provider: "ollama", timeoutMs: 1.5 }, /timeoutMs is 1.5/],
    [{ provider: "voyage" }, /no embeddings provider "voyage"/],
  ])("%j", async (spec, message) => {
    const error = await errorOf(createEmbeddings(spec as never));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toMatch(message);
  });

  test("a base URL that is none is quoted without its password", async () => {
    const error = await errorOf(createEmbeddings({ provider: "ollama", baseUrl: "ftp://ann:s3cret@host" }));
    expect(error.message).not.toContain("s3cret");
  });
});

test("offline needs nothing", async () => {
  const embeddings = await createEmbeddings({ provider: "offline", dimensions: 64 });
  expect(await embeddings.embedQuery("one")).toHaveLength(64);
});

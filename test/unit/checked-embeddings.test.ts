import { FakeEmbeddings } from "@langchain/core/utils/testing";
import { OpenAIEmbeddings } from "@langchain/openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckedEmbeddings } from "../../src/embeddings/checked.js";
import { CarefulOpenAIEmbeddings } from "../../src/embeddings/openai.js";
import { DimensionMismatchError, InvalidVectorError } from "../../src/errors.js";
import { errorOf } from "../helpers/error-of.js";
import { hashedVector } from "../helpers/hashed-vector.js";
import { startOpenAIServer, type OpenAIServer } from "../helpers/openai-server.js";

let server: OpenAIServer;
beforeAll(async () => {
  server = await startOpenAIServer({ dimensions: 16 });
});
afterAll(async () => {
  await server.close();
});

function fields(encodingFormat?: "base64" | "float") {
  const configuration = { baseURL: server.url };
  return { model: "m", apiKey: "k", maxRetries: 0, configuration, ...(encodingFormat ? { encodingFormat } : {}) };
}

describe("an embedder of the user's own", () => {
  test("plain OpenAIEmbeddings at a server that answers floats to base64: refused, with the cure", async () => {
    const embeddings = new CheckedEmbeddings(new OpenAIEmbeddings(fields()));
    server.script("floats");
    const error = await errorOf(embeddings.embedQuery("one"));
    expect(error).toBeInstanceOf(InvalidVectorError);
    expect(error.message).toContain("OpenAIEmbeddings m answered a vector of zeros for the query");
    expect(error.message).toContain('encodingFormat: "float"');
    server.script("empty-vector");
    expect((await errorOf(embeddings.embedQuery("one"))).message).toContain("an empty vector for the query");
  });

  test("errors of the embedder itself pass unchanged", async () => {
    const inner = new FakeEmbeddings();
    const thrown = new RangeError("mine");
    inner.embedQuery = () => Promise.reject(thrown);
    expect(await errorOf(new CheckedEmbeddings(inner).embedQuery("one"))).toBe(thrown);
  });

  test("32-bit arrays become plain ones; other things, NaN and Infinity are refused", async () => {
    const inner = new FakeEmbeddings();
    const embeddings = new CheckedEmbeddings(inner);
    const answer = (vector: unknown) => (inner.embedQuery = () => Promise.resolve(vector as number[]));
    answer(Float32Array.of(1, 2));
    expect(await embeddings.embedQuery("one")).toEqual([1, 2]);
    for (const vector of [
      [1, Number.NaN],
      [Number.POSITIVE_INFINITY, 1],
      [1, "2"],
      [1, undefined],
      "AAAA",
      undefined,
    ]) {
      answer(vector);
      expect(await errorOf(embeddings.embedQuery("one"))).toBeInstanceOf(InvalidVectorError);
    }
  });

  test("holds the embedder to the dimensions given", async () => {
    const embeddings = new CheckedEmbeddings(new FakeEmbeddings(), { dimensions: 5 });
    expect(await errorOf(embeddings.embedDocuments(["one"]))).toBeInstanceOf(DimensionMismatchError);
  });
});

describe("CarefulOpenAIEmbeddings", () => {
  test("reads base64", async () => {
    const embeddings = new CarefulOpenAIEmbeddings(fields("base64"));
    expect(await embeddings.embedDocuments(["one", "two"])).toEqual([hashedVector("one", 16), hashedVector("two", 16)]);
    expect(server.requests.at(-1)?.body).toMatchObject({ encoding_format: "base64" });
  });

  test("reads floats where base64 was asked", async () => {
    server.script("floats");
    expect(await new CarefulOpenAIEmbeddings(fields("base64")).embedQuery("one")).toEqual(hashedVector("one", 16));
  });

  test("shows NaN in base64 to the check", async () => {
    server.script("nan");
    const error = await errorOf(new CheckedEmbeddings(new CarefulOpenAIEmbeddings(fields("base64"))).embedQuery("one"));
    expect(error.message).toContain("answered NaN at position 2");
  });
});

function cosine(one: string, other: string): number {
  const vector = hashedVector(other, 256);
  return hashedVector(one, 256).reduce((sum, value, at) => sum + value * (vector[at] ?? 0), 0);
}

test("the server's vectors are similar for texts that share words", () => {
  expect(cosine("the red apple tree", "the red apple tree")).toBeCloseTo(1, 5);
  expect(cosine("the red apple tree", "an apple tree is red")).toBeGreaterThan(
    cosine("the red apple tree", "database index tuning") + 0.3,
  );
});

import { CacheBackedEmbeddings } from "@langchain/classic/embeddings/cache_backed";
import { InMemoryStore } from "@langchain/core/stores";
import { FakeEmbeddings, SyntheticEmbeddings } from "@langchain/core/utils/testing";
import { OllamaEmbeddings } from "@langchain/ollama";
import { AzureOpenAIEmbeddings, OpenAIEmbeddings } from "@langchain/openai";
import { expect, test } from "vitest";
import { CheckedEmbeddings } from "../../src/embeddings/checked.js";
import { identityOf } from "../../src/embeddings/identity.js";

const openai = new OpenAIEmbeddings({ apiKey: "k", model: "text-embedding-3-large", dimensions: 256 });

test("reads model and dimensions of the common embedders", () => {
  expect(identityOf(openai)).toEqual({ provider: "openai", model: "text-embedding-3-large", dimensions: 256 });
  expect(identityOf(new OpenAIEmbeddings({ apiKey: "k" }))).toMatchObject({ model: "text-embedding-ada-002" });
  expect(identityOf(new OllamaEmbeddings({ model: "nomic-embed-text" }))).toEqual({
    provider: "ollama",
    model: "nomic-embed-text",
  });
});

test("an Ollama model has one identity with and without :latest, another with another tag", () => {
  expect(identityOf(new OllamaEmbeddings({ model: "bge-m3:latest" }))).toMatchObject({ model: "bge-m3" });
  expect(identityOf(new OllamaEmbeddings({ model: "bge-m3:567m" }))).toMatchObject({ model: "bge-m3:567m" });
});

test("looks through wrappers", () => {
  const cached = new CacheBackedEmbeddings({
    underlyingEmbeddings: openai,
    documentEmbeddingStore: new InMemoryStore<number[]>(),
  });
  const identity = { provider: "openai", model: "text-embedding-3-large", dimensions: 256 };
  expect(identityOf(cached)).toEqual(identity);
  expect(identityOf(new CheckedEmbeddings(cached))).toEqual(identity);
});

test("says nothing about an embedder that does not say", () => {
  expect(identityOf(new FakeEmbeddings())).toEqual({});
  expect(identityOf(new SyntheticEmbeddings({ vectorSize: 7 }))).toEqual({ dimensions: 7 });
  expect(identityOf(Object.assign(new FakeEmbeddings(), { model: " ", dimensions: 0 }))).toEqual({});
  const loop: FakeEmbeddings & { embeddings?: unknown } = new FakeEmbeddings();
  loop.embeddings = loop;
  expect(identityOf(loop)).toEqual({});
});

test("takes Azure's deployment where the model is only the client's default", () => {
  const azure = {
    azureOpenAIApiKey: "k",
    azureOpenAIApiInstanceName: "i",
    azureOpenAIApiDeploymentName: "my-large",
    azureOpenAIApiVersion: "2024-02-01",
  };
  expect(identityOf(new AzureOpenAIEmbeddings(azure)).model).toBe("my-large");
  expect(identityOf(new AzureOpenAIEmbeddings({ ...azure, model: "text-embedding-3-large" })).model).toBe(
    "text-embedding-3-large",
  );
});

test("the offline embedder says both", async () => {
  const { OfflineEmbeddings } = await import("../../src/embeddings/offline.js");
  const identity = identityOf(new OfflineEmbeddings({ dimensions: 128 }));
  expect(identity.dimensions).toBe(128);
  expect(identity.model).toMatch(/offline/);
});

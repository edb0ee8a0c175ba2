import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresVectorStore } from "../../src/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { sharedData } from "../helpers/shared-data.js";

interface Model {
  readonly model: string;
  readonly file: string;
  readonly dimensions: number;
}

const PAIRS = [
  {
    set: "emb-products-2models",
    before: { model: "text-embedding-ada-002", file: "ada-002.f32", dimensions: 1_536 },
    after: { model: "text-embedding-3-small", file: "3-small-256.f32", dimensions: 256 },
    overlap: 0.74,
  },
  {
    set: "emb-restaurants-2models",
    before: { model: "text-embedding-3-large", file: "3-large-1024.f32", dimensions: 1_024 },
    after: { model: "nomic-embed-text", file: "nomic-768.f32", dimensions: 768 },
    overlap: 0.53,
  },
] as const;

function readVectors(folder: string, { file, dimensions }: Model): number[][] {
  const bytes = readFileSync(join(folder, file));
  const floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return Array.from({ length: floats.length / dimensions }, (_, row) =>
    Array.from(floats.subarray(row * dimensions, (row + 1) * dimensions)),
  );
}

function readDocuments(folder: string): { id: string; pageContent: string; metadata: object }[] {
  return readFileSync(join(folder, "docs.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { _id: string; text: string })
    .map(({ _id, text }) => ({ id: _id, pageContent: text, metadata: {} }));
}

/** A model whose answers are on file; other texts get a direction of their own. */
function recorded(model: Model, texts: readonly string[], vectors: readonly number[][]): EmbeddingsInterface {
  const known = new Map(texts.map((text, index) => [text, vectors[index]!]));
  const embed = (text: string): number[] =>
    known.get(text) ?? Array.from({ length: model.dimensions }, (_, i) => (i === 0 ? 1 : 0));
  return Object.assign(
    {
      embedDocuments: (all: string[]) => Promise.resolve(all.map(embed)),
      embedQuery: (text: string) => Promise.resolve(embed(text)),
    },
    { model: model.model, dimensions: model.dimensions },
  );
}

describe("changing between real models", () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await openTestDatabase();
  });
  afterAll(() => database.close());

  for (const { set, before, after, overlap } of PAIRS) {
    const folder = sharedData(set);
    const name = `${set}: ${before.model} to ${after.model}`;
    it.skipIf(folder === undefined)(folder === undefined ? `${name} (the collection is not here)` : name, async () => {
      const documents = readDocuments(folder!);
      const texts = documents.map(({ pageContent }) => pageContent);
      const next = recorded(after, texts, readVectors(folder!, after));
      const first = recorded(before, texts, readVectors(folder!, before));
      const tableName = set.replaceAll("-", "_");
      const key = `custom/${after.model}@${after.dimensions}`;
      const store = await PostgresVectorStore.initialize(first, {
        pool: database.pool,
        tableName,
        embedders: { [key]: next },
        ...testSchema(),
      });
      await store.addDocuments(documents);
      await store.models.add({ embeddings: next });
      expect(await store.models.backfill({ maxSlowdown: false })).toMatchObject({
        filled: documents.length,
        missing: 0,
      });
      const comparison = await store.models.compare({
        k: 5,
        samples: 1_000,
        thresholds: { minOverlap: overlap + 0.1 },
      });
      expect(comparison.overlap).toBeCloseTo(overlap, 2);
      expect(comparison.failures[0]).toContain("the overlap is");
      expect((await store.models.planCutover()).objections.join()).toContain("The last comparison failed");
      await store.models.compare({ k: 5, samples: 1_000, thresholds: { minOverlap: overlap - 0.02 } });
      await store.models.cutover();
      const [hit] = await store.search(texts[3]!, { k: 1, includeEmbeddings: true });
      expect([hit!.document.id, hit!.embedding!.length]).toEqual([documents[3]!.id, after.dimensions]);
    });
  }

  const sotu = sharedData("emb-sotu-4096");
  const title = "4,096 dimensions are searched by their signs and ranked again, and shortened, and compared otherwise";
  it.skipIf(sotu === undefined)(sotu === undefined ? `${title} (the collection is not here)` : title, async () => {
    const model = { model: "llama", file: "llama-4096.f32", dimensions: 4_096 };
    const documents = readDocuments(sotu!);
    const vectors = readVectors(sotu!, model);
    const embedder = recorded(
      model,
      documents.map(({ pageContent }) => pageContent),
      vectors,
    );
    const store = await PostgresVectorStore.initialize(embedder, {
      pool: database.pool,
      tableName: "sotu",
      ...testSchema(),
    });
    await store.addVectors(vectors, documents);
    expect((await store.models.list())[0]).toMatchObject({ quantization: "binary", storageType: "vector" });
    await store.createHnswIndex();
    const added = await store.models.add({ from: 1, dimensions: 1_024, metric: "euclidean" });
    expect(added).toMatchObject({ dimensions: 1_024, fullDimensions: 4_096, derivedFrom: 1, storageType: "vector" });
    const filled = await store.models.backfill({ maxSlowdown: false });
    expect(filled).toMatchObject({ filled: documents.length, tokens: 0, missing: 0, indexed: true });
    await store.models.cutover();
    const [hit] = await store.search(documents[5]!.pageContent, { k: 1, includeEmbeddings: true });
    expect(hit!.document.id).toBe(documents[5]!.id);
    const length = Math.hypot(...hit!.embedding!);
    expect([hit!.embedding!.length, Number(length.toFixed(3))]).toEqual([1_024, 1]);
    // A vector of the model is shortened like the version is.
    const [same] = await store.similaritySearchVectorWithScore(vectors[5]!, 1);
    expect(same![0].id).toBe(documents[5]!.id);
    await store.models.rollback();
    await store.models.retire({ version: 2 });
  });
});

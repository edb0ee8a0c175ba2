import { Document } from "@langchain/core/documents";
import { InMemoryStore } from "@langchain/core/stores";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { ContextualCompressionRetriever } from "@langchain/classic/retrievers/contextual_compression";
import { EmbeddingsFilter } from "@langchain/classic/retrievers/document_compressors/embeddings_filter";
import { EnsembleRetriever } from "@langchain/classic/retrievers/ensemble";
import { MultiQueryRetriever } from "@langchain/classic/retrievers/multi_query";
import { MultiVectorRetriever } from "@langchain/classic/retrievers/multi_vector";
import { ParentDocumentRetriever } from "@langchain/classic/retrievers/parent_document";
import { ScoreThresholdRetriever } from "@langchain/classic/retrievers/score_threshold";
import { RecursiveCharacterTextSplitter } from "@langchain/classic/text_splitter";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PostgresVectorStore } from "../../src/index.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";
import { filmEmbeddings, FILMS, find, ids, openFilms } from "../helpers/films.js";

let database: TestDatabase;
let store: PostgresVectorStore;

beforeAll(async () => {
  database = await openTestDatabase();
  store = await openFilms(database);
});
afterAll(() => database.close());

describe.each(["distance", "similarity"] as const)(
  "score thresholds with scoreNormalization %s",
  (scoreNormalization) => {
    const query = "An alien hunts the crew of a spaceship.";
    let own: PostgresVectorStore;
    let similarities: { id: string; similarity: number }[];

    beforeAll(async () => {
      own = await openFilms(database, { scoreNormalization });
      similarities = (await own.search(query, { k: 6 })).map((hit) => ({
        id: hit.document.id!,
        similarity: hit.similarity!,
      }));
    });
    const above = (threshold: number): string[] =>
      similarities.filter((s) => s.similarity >= threshold).map((s) => s.id);

    it("asRetriever({ scoreThreshold }) keeps what is at least that similar", async () => {
      const { similarity } = similarities[2]!;
      expect(similarities[0]).toMatchObject({ id: "alien", similarity: expect.closeTo(1, 5) as number });
      expect(similarity).toBeLessThan(1);
      expect(await find(own.asRetriever({ k: 6, scoreThreshold: similarity }), query)).toEqual(above(similarity));
      expect(await find(own.asRetriever({ k: 6, scoreThreshold: 0.99 }), query)).toEqual(["alien"]);
      expect(await find(own.asRetriever({ k: 6, scoreThreshold: 1.01 }), query)).toEqual([]);
      expect(await find(own.asRetriever({ k: 6, scoreThreshold: 0 }), query)).toHaveLength(6);
    });

    it("includeScores puts the similarity into a copy of the metadata", async () => {
      const [first] = await own.asRetriever({ k: 1, includeScores: true }).invoke(query);
      expect(first!.metadata).toEqual({ ...FILMS[3]!.metadata, score: expect.closeTo(1, 5) as number });
      expect((await own.getByIds(["alien"]))[0]!.metadata).toEqual(FILMS[3]!.metadata);
    });

    it("LangChain's ScoreThresholdRetriever needs scoreNormalization similarity", async () => {
      const retriever = ScoreThresholdRetriever.fromVectorStore(own, {
        minSimilarityScore: 0.99,
        kIncrement: 2,
        maxK: 6,
      });
      // It keeps high scores, so with distances it keeps what is far away: here nothing near, some of what is unrelated.
      const found = ids(await retriever.invoke(query));
      if (scoreNormalization === "similarity") expect(found).toEqual(["alien"]);
      else expect(found).not.toContain("alien");
    });

    // With distances its threshold means nothing, see above.
    if (scoreNormalization === "distance") return;

    it("which widens its search until nothing more is similar", async () => {
      const threshold = similarities[4]!.similarity;
      const wide = ScoreThresholdRetriever.fromVectorStore(own, {
        minSimilarityScore: threshold,
        kIncrement: 1,
        maxK: 6,
      });
      expect(ids(await wide.invoke(query))).toEqual(above(threshold));
      const filter = { genre: "family" };
      const filtered = ScoreThresholdRetriever.fromVectorStore(own, { minSimilarityScore: 0, maxK: 6, filter });
      expect(ids(await filtered.invoke(query)).sort()).toEqual(["robot", "whale"]);
    });
  },
);

describe("retrievers of LangChain on top", () => {
  it("EnsembleRetriever fuses the ranks of two", async () => {
    const query = "spaceship at the beach";
    const all = store.asRetriever(6);
    const family = store.asRetriever({ k: 6, filter: { genre: "family" } });
    const [ranks, familyRanks] = [await find(all, query), await find(family, query)];
    const score = (id: string): number => {
      const part = (list: readonly unknown[], weight: number): number =>
        list.includes(id) ? weight / (60 + list.indexOf(id) + 1) : 0;
      return part(ranks, 0.4) + part(familyRanks, 0.6);
    };
    const fused = await find(new EnsembleRetriever({ retrievers: [all, family], weights: [0.4, 0.6] }), query);
    expect(fused.slice(0, 2).sort()).toEqual(["robot", "whale"]);
    expect(fused).toEqual([...ranks].sort((a, b) => score(b!) - score(a!)));
  });

  const text = [
    "Sharks are fish. Sharks have skeletons of cartilage. They have lived for a very long time.",
    "Whales are mammals. Whales breathe air. They feed their young with milk, and they sing.",
  ];
  const childSplitter = new RecursiveCharacterTextSplitter({ chunkSize: 40, chunkOverlap: 0 });

  it("ParentDocumentRetriever finds by small chunks and returns whole documents", async () => {
    for (const viaRetriever of [false, true]) {
      const own = await openFilms(database, {}, []);
      const docstore = new InMemoryStore<Document>();
      const retriever = new ParentDocumentRetriever({
        vectorstore: own,
        docstore,
        childSplitter,
        childK: 3,
        parentK: 1,
        ...(viaRetriever && { childDocumentRetriever: own.asRetriever(3) }),
      });
      await retriever.addDocuments(
        text.map((pageContent, n) => new Document({ pageContent, metadata: { n } })),
        {
          ids: ["sharks", "whales"],
        },
      );
      const children = await own.get({ where: { doc_id: "whales" } });
      expect(children.length).toBeGreaterThan(1);
      expect(children[0]!.metadata).toMatchObject({ n: 1, doc_id: "whales", loc: { lines: { from: 1, to: 1 } } });
      const [parent, ...others] = await retriever.invoke("skeletons of cartilage");
      expect(others).toEqual([]);
      expect(parent).toMatchObject({ pageContent: text[0], metadata: { n: 0 } });
      expect((await retriever.invoke("feed their young with milk"))[0]!.pageContent).toBe(text[1]);
    }
  });

  it("MultiVectorRetriever finds by summaries and returns the originals", async () => {
    const own = await openFilms(database, {}, []);
    const byteStore = new InMemoryStore<Uint8Array>();
    const retriever = new MultiVectorRetriever({ vectorstore: own, byteStore, idKey: "original", childK: 2 });
    await own.addDocuments([
      new Document({ pageContent: "Fish with soft bones", metadata: { original: "sharks" } }),
      new Document({ pageContent: "Fish that hunt", metadata: { original: "sharks" } }),
      new Document({ pageContent: "Singing mammals", metadata: { original: "whales" } }),
    ]);
    await retriever.docstore.mset([
      ["sharks", new Document({ pageContent: text[0]! })],
      ["whales", new Document({ pageContent: text[1]! })],
    ]);
    expect((await retriever.invoke("fish")).map((d) => d.pageContent)).toEqual([text[0]]);
    expect((await retriever.invoke("mammals that sing"))[0]!.pageContent).toBe(text[1]);
  });

  it("MultiQueryRetriever unites what several wordings find", async () => {
    const llm = new FakeListChatModel({
      responses: ["<questions>\nA shark at the beach\nAn alien on a spaceship\nA shark hunts\n</questions>"],
    });
    const retriever = MultiQueryRetriever.fromLLM({ llm, retriever: store.asRetriever(1) });
    expect((await find(retriever, "dangerous animals")).sort()).toEqual(["alien", "shark"]);
  });

  it("ContextualCompressionRetriever drops what the compressor drops", async () => {
    const query = "An alien hunts the crew of a spaceship.";
    const baseRetriever = store.asRetriever({ k: 6 });
    const k = new ContextualCompressionRetriever({
      baseRetriever,
      baseCompressor: new EmbeddingsFilter({ embeddings: filmEmbeddings, k: 2 }),
    });
    expect(await find(k, query)).toEqual((await find(baseRetriever, query)).slice(0, 2));
    const near = new EmbeddingsFilter({ embeddings: filmEmbeddings, similarityThreshold: 0.9 });
    expect(await find(new ContextualCompressionRetriever({ baseRetriever, baseCompressor: near }), query)).toEqual([
      "alien",
    ]);
  });
});

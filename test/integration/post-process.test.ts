import { Document, type DocumentInterface } from "@langchain/core/documents";
import { DocumentCompressorPipeline } from "@langchain/classic/retrievers/document_compressors";
import { EmbeddingsFilter } from "@langchain/classic/retrievers/document_compressors/embeddings_filter";
import { RecursiveCharacterTextSplitter } from "@langchain/classic/text_splitter";
import { BaseDocumentCompressor } from "@langchain/core/retrievers/document_compressors";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { diversify, neighbours, parents, rerank, scoreThreshold, type PostProcessor } from "../../src/chains/index.js";
import { ConfigurationError, FilterError, PostgresVectorStore, RerankError, type SearchHit } from "../../src/index.js";
import { splitDocuments } from "../../src/loaders/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { filmEmbeddings, FILMS, find, ids, openFilms } from "../helpers/films.js";

const GUIDE = `# Kettle

## Filling

Open the lid of the kettle before you pour water in. The blue line inside tells how much it holds.

Never fill it above the line, since boiling water then spills over.

## Cleaning

Limescale settles on the bottom. Vinegar dissolves limescale within an hour.

Rinse the kettle twice after vinegar, or the tea tastes of it.

## Warranty

Repairs are free for two years. Keep the receipt in a dry place.
`;
const NOTE = "Vinegar also cleans windows.";

let database: TestDatabase;
let guides: PostgresVectorStore;

async function openGuides(
  args: Partial<ConstructorParameters<typeof PostgresVectorStore>[1]>,
): Promise<PostgresVectorStore> {
  const store = await PostgresVectorStore.initialize(filmEmbeddings, {
    pool: database.pool,
    lexical: true,
    ...testSchema(),
    ...args,
  });
  const documents = [
    new Document({ pageContent: GUIDE, metadata: { source: "kettle.md", lang: "en" } }),
    new Document({ pageContent: NOTE, metadata: { source: "note.md", lang: "en" } }),
  ];
  const chunks: Document[] = [];
  for await (const chunk of splitDocuments(documents, { chunkSize: 110, chunkOverlap: 20 })) chunks.push(chunk);
  await store.addDocuments(chunks);
  return store;
}

beforeAll(async () => {
  database = await openTestDatabase();
  guides = await openGuides({ tableName: "guides" });
});
afterAll(() => database.close());

class Backwards extends BaseDocumentCompressor {
  seen: DocumentInterface[] = [];
  compressDocuments(documents: DocumentInterface[]): Promise<DocumentInterface[]> {
    this.seen = documents;
    return Promise.resolve(
      documents.toReversed().map((document, index) => {
        document.metadata["relevanceScore"] = 1 / (index + 1);
        return document;
      }),
    );
  }
}

const wordsOf = (hit: SearchHit | undefined): string => hit!.document.pageContent;

describe("rerank", () => {
  it("puts more candidates than wanted in order, and keeps what the search found of each", async () => {
    const store = await openFilms(database);
    const reranker = new Backwards();
    const query = "An alien hunts the crew of a spaceship.";
    const plain = await store.search(query, { k: 6 });
    const hits = await store.search(query, { k: 2, rerank: reranker });
    expect(reranker.seen).toHaveLength(6);
    expect(ids(hits.map((hit) => hit.document))).toEqual(
      ids(plain.map((hit) => hit.document))
        .toReversed()
        .slice(0, 2),
    );
    expect(hits[0]).toMatchObject({ score: plain[5]!.score, dense: { rank: 6 }, rerank: { rank: 1, score: 1 } });
    expect(hits[1]).toMatchObject({ score: plain[4]!.score, dense: { rank: 5 }, rerank: { rank: 2, score: 0.5 } });
    expect(hits[0]).not.toHaveProperty("embedding");
    await store.search(query, { k: 2, fetchK: 3, rerank: reranker, includeEmbeddings: true });
    expect(reranker.seen).toHaveLength(3);
    expect(await store.search(query, { k: 0, rerank: reranker })).toEqual([]);
    // What the reranker wrote into metadata is in its results and nowhere else.
    expect((await store.search(query, { k: 1 }))[0]!.document.metadata).toEqual(FILMS[3]!.metadata);
  });

  it("works in a retriever, with LangChain's own compressors, and passes its callbacks on", async () => {
    const store = await openFilms(database);
    const filter = new EmbeddingsFilter({ embeddings: filmEmbeddings, k: 2 });
    const calls = vi.spyOn(filter, "compressDocuments");
    const retriever = store.asRetriever({ k: 4, rerank: filter });
    expect(await find(retriever, "An alien hunts the crew of a spaceship.")).toHaveLength(2);
    expect(calls.mock.calls[0]).toHaveLength(3);
    const reversed = store.asRetriever({ k: 1, rerank: new Backwards(), includeScores: true });
    const [document] = await reversed.invoke("An alien hunts the crew of a spaceship.");
    expect(document!.metadata).toMatchObject({ relevanceScore: 1, score: expect.closeTo(0.5, 0) as number });
  });

  it("starts from the ranking that the search has without it", async () => {
    const identity = { compressDocuments: (documents: DocumentInterface[]) => Promise.resolve(documents) };
    const scores = (hits: SearchHit[]): unknown[] => hits.map((hit) => [hit.document.id, hit.score]);
    const plain = await guides.search("vinegar kettle", { searchType: "hybrid", k: 2 });
    const reranked = await guides.search("vinegar kettle", { searchType: "hybrid", k: 2, rerank: identity });
    expect(scores(reranked)).toEqual(scores(plain));
    const narrow = await guides.search("vinegar kettle", { searchType: "hybrid", k: 2, candidates: 2 });
    expect(narrow).toHaveLength(2);
    expect(narrow[0]!.score).toBe(plain[0]!.score);
    expect(Math.max(...narrow.flatMap((hit) => [hit.dense?.rank ?? 0, hit.lexical?.rank ?? 0]))).toBeLessThanOrEqual(2);
    await expect(guides.search("a", { searchType: "hybrid", candidates: 0 })).rejects.toThrow(/candidates must be/);
  });

  it("knows the hit behind a document that was shortened, copied or sent through JSON", async () => {
    const store = await openFilms(database);
    const pieces = new DocumentCompressorPipeline({
      transformers: [new RecursiveCharacterTextSplitter({ chunkSize: 20, chunkOverlap: 0 })],
    });
    const short = await store.search("a spaceship", { k: 3, rerank: pieces });
    expect(short.every((hit) => hit.document.pageContent.length <= 20 && hit.document.id !== undefined)).toBe(true);
    const json = {
      compressDocuments: (documents: DocumentInterface[]) =>
        Promise.resolve(JSON.parse(JSON.stringify(documents.toReversed())) as DocumentInterface[]),
    };
    const textOnly = {
      compressDocuments: (documents: DocumentInterface[]) =>
        Promise.resolve(documents.map(({ pageContent }) => new Document({ pageContent }))),
    };
    const plain = ids((await store.search("a spaceship", { k: 6 })).map((hit) => hit.document));
    for (const [reranker, order] of [
      [json, plain.toReversed()],
      [textOnly, plain],
    ] as const) {
      const hits = await store.search("a spaceship", { k: 6, rerank: reranker });
      expect(ids(hits.map((hit) => hit.document))).toEqual(order);
    }
  });

  it("names a reranker that fails, that makes documents up, or that is none", async () => {
    const store = await openFilms(database);
    const failure = new Error("429 too many requests");
    class Busy extends Backwards {
      override compressDocuments = (): Promise<never> => Promise.reject(failure);
    }
    const error = await errorOf(store.search("a spaceship", { rerank: new Busy() }));
    expect(error).toBeInstanceOf(RerankError);
    expect(error).toMatchObject({ code: "RERANK", reranker: "Busy", cause: failure, message: /Busy failed on 6 doc/ });
    const stranger = { compressDocuments: () => Promise.resolve([new Document({ pageContent: "made up", id: "x" })]) };
    await expect(store.search("a spaceship", { rerank: stranger })).rejects.toThrow(/not given \(id "x"\)/);
    const nothing = { compressDocuments: () => Promise.resolve(undefined as never) };
    await expect(store.search("a spaceship", { rerank: nothing })).rejects.toThrow(/no list of documents/);
    await expect(store.search("a", { rerank: {} as never })).rejects.toThrow(/compressDocuments/);
    await expect(store.search(await filmEmbeddings.embedQuery("a"), { rerank: new Busy() })).rejects.toThrow(/text of/);
    await expect(store.search("a", { fetchK: 9 })).rejects.toThrow(ConfigurationError);
    await expect(store.search("a", { fetchK: 1.5, rerank: new Busy() })).rejects.toThrow(/fetchK must be/);
    await expect(store.search("a", { postProcess: ["mmr"] as never })).rejects.toThrow(/list of functions/);
    expect(() => store.asRetriever({ searchType: "mmr", rerank: new Busy() })).toThrow(/diversify/);
  });

  it("stops waiting when the signal fires", async () => {
    const store = await openFilms(database);
    const abort = new AbortController();
    const endless = {
      compressDocuments: () => {
        abort.abort(new Error("enough"));
        return new Promise<never>(() => undefined);
      },
    };
    await expect(store.search("a spaceship", { rerank: endless, signal: abort.signal })).rejects.toThrow("enough");
  });
});

describe("scoreThreshold", () => {
  const query = "vinegar dissolves limescale";

  it.each(["similarity", "lexical", "hybrid"] as const)("means the score of a %s search", async (searchType) => {
    const all = await guides.search(query, { searchType, k: 20 });
    const scores = all.map((hit) => hit.score);
    expect(Math.max(...scores)).toBeLessThanOrEqual(1);
    expect(Math.min(...scores)).toBeGreaterThanOrEqual(0);
    const least = (scores[0]! + scores.at(-1)!) / 2;
    const wanted = all.filter((hit) => hit.score >= least).map((hit) => hit.document.id);
    expect(wanted.length).toBeLessThan(all.length);
    expect(await find(guides.asRetriever({ searchType, k: 20, scoreThreshold: least }), query)).toEqual(wanted);
    const steps = await guides.search(query, { searchType, k: 20, postProcess: [scoreThreshold(least)] });
    expect(steps.map((hit) => hit.document.id)).toEqual(wanted);
  });

  it("applies before reranking, so that what was too far away cannot come back", async () => {
    const all = await guides.search(query, { searchType: "hybrid", k: 20 });
    const least = all[2]!.score;
    const retriever = guides.asRetriever({
      searchType: "hybrid",
      k: 2,
      scoreThreshold: least,
      rerank: new Backwards(),
    });
    expect(await find(retriever, query)).toEqual([all[2]!.document.id, all[1]!.document.id]);
  });

  it("can mean the similarity, BM25 or a reranker's score instead, and is that of similarity after a fallback", async () => {
    const by = (...steps: PostProcessor[]): Promise<SearchHit[]> =>
      guides.search(query, { searchType: "hybrid", k: 20, postProcess: steps });
    expect((await by(scoreThreshold(0, "bm25"))).every((hit) => hit.lexical !== undefined)).toBe(true);
    const alike = await by(scoreThreshold(0.6, "similarity"));
    expect(alike.length).toBeGreaterThan(0);
    expect(alike.every((hit) => hit.similarity! >= 0.6)).toBe(true);
    expect(await by(rerank(new Backwards()), scoreThreshold(0.4, "rerank"))).toHaveLength(2);
    expect(await by(scoreThreshold(0.4, "rerank"))).toEqual([]);
    const fallen = await guides.search("the of and", { searchType: "lexical", postProcess: [scoreThreshold(-1)] });
    expect(fallen[0]).toMatchObject({ fallback: "similarity", score: fallen[0]!.similarity });
    expect(() => scoreThreshold(Number.NaN)).toThrow(ConfigurationError);
    expect(() => scoreThreshold(1, "rank" as never)).toThrow(/"bm25"/);
  });
});

describe("diversify", () => {
  const twins = [
    ...FILMS,
    {
      id: "alien2",
      pageContent: "An alien hunts the crew of a spaceship!",
      metadata: { genre: "thriller", year: 1979 },
    },
  ];
  const query = "An alien hunts the crew of a spaceship.";

  it.each(["similarity", "hybrid"] as const)("takes one of two that are alike (%s)", async (searchType) => {
    const store = await openFilms(database, { lexical: true }, twins);
    const best = (hits: SearchHit[]): unknown[] => ids(hits.map((hit) => hit.document)).sort();
    expect(best(await store.search(query, { searchType, k: 2 }))).toEqual(["alien", "alien2"]);
    const diverse = await store.search(query, { searchType, k: 2, postProcess: [diversify({ lambda: 0.3 })] });
    expect(best(diverse)).not.toEqual(["alien", "alien2"]);
    expect(diverse[0]).not.toHaveProperty("embedding");
    const relevant = await store.search(query, { searchType, k: 2, postProcess: [diversify({ lambda: 1 })] });
    expect(best(relevant)).toEqual(["alien", "alien2"]);
    const retriever = store.asRetriever({ searchType, k: 3, fetchK: 7, postProcess: [diversify({ lambda: 0 })] });
    expect(await find(retriever, query)).toHaveLength(3);
  });

  it("follows a reranker, and takes vectors without a direction for unlike", async () => {
    const store = await openFilms(database);
    const hits = await store.search("a spaceship", {
      k: 2,
      rerank: new Backwards(),
      postProcess: [diversify({ lambda: 1 })],
    });
    expect(hits.map((hit) => hit.rerank!.rank)).toEqual([1, 2]);
    const flat = hits.map((hit) => ({ ...hit, embedding: [0, 0] }));
    expect(await diversify({ lambda: 0 })("a", flat, {})).toHaveLength(2);
  });

  it("refuses what it cannot work with", async () => {
    expect(() => diversify({ lambda: 2 })).toThrow(ConfigurationError);
    const hits = await guides.search("vinegar", { k: 2 });
    expect(() => diversify()("vinegar", hits, {})).toThrow(/includeEmbeddings/);
    expect(await diversify()("vinegar", [], {})).toEqual([]);
  });
});

describe("neighbours", () => {
  it("adds the chunks around a hit, text and lines as they stand in the file", async () => {
    const [hit] = await guides.search("Vinegar dissolves limescale within an hour", {
      k: 1,
      filter: { source: "kettle.md" },
      postProcess: [neighbours()],
    });
    const { start, end } = hit!.document.metadata["offset"] as { start: number; end: number };
    expect(wordsOf(hit)).toBe(GUIDE.slice(start, end));
    expect(wordsOf(hit)).toContain("Vinegar dissolves limescale");
    expect(wordsOf(hit)).toContain("Rinse the kettle twice");
    expect(hit!.parts!.length).toBe(3);
    expect(hit!.parts).toContain(hit!.document.id);
    const { from, to } = (hit!.document.metadata["loc"] as { lines: { from: number; to: number } }).lines;
    expect(
      GUIDE.split("\n")
        .slice(from - 1, to)
        .join("\n"),
    ).toContain(wordsOf(hit).trim());
    expect(hit!.document.metadata["source"]).toBe("kettle.md");
  });

  it("stays within the section, the source and the filter", async () => {
    const cleaning = await guides.search("Vinegar dissolves limescale within an hour", {
      k: 1,
      filter: { source: "kettle.md" },
      postProcess: [neighbours({ before: 9, after: 9, sameSection: true })],
    });
    expect(wordsOf(cleaning[0])).toContain("Rinse the kettle");
    expect(wordsOf(cleaning[0])).not.toContain("Repairs");
    expect(cleaning[0]!.document.metadata["headings"]).toEqual(["Kettle", "Cleaning"]);
    const [note] = await guides.search(NOTE, { k: 1, postProcess: [neighbours({ before: 9, after: 9 })] });
    expect(wordsOf(note)).toBe(NOTE);

    const store = await openFilms(database, {}, [
      { id: "1", pageContent: "first part", metadata: { source: "s", n: 1, open: true } as never },
      { id: "2", pageContent: "hidden part", metadata: { source: "s", n: 2, open: false } as never },
      { id: "3", pageContent: "third part", metadata: { source: "s", n: 3, open: true } as never },
      { id: "4", pageContent: "a loner", metadata: {} as never },
    ]);
    const around = neighbours({ positionKey: "n", before: 2, after: 2 });
    const open = await store.search("first part", { filter: { open: true }, k: 1, postProcess: [around] });
    expect(wordsOf(open[0])).toBe("first part\nthird part");
    const all = await store.asRetriever({ k: 1, postProcess: [around] }).invoke("first part");
    expect(all[0]!.pageContent).toBe("first part\nhidden part\nthird part");
    const loner = await store.search("a loner", { k: 1, postProcess: [around] });
    expect(loner[0]!.document).toEqual(new Document({ id: "4", pageContent: "a loner", metadata: {} }));
  });

  it("joins hits whose passages meet, at the place of the best", async () => {
    const query = "vinegar limescale kettle";
    const filter = { source: "kettle.md" };
    const alone = await guides.search(query, { k: 3, filter });
    const joined = await guides.search(query, {
      k: 20,
      filter,
      postProcess: [neighbours({ before: 9, after: 9 })],
    });
    expect(joined).toHaveLength(1);
    expect(wordsOf(joined[0])).toBe(GUIDE.trim());
    expect(joined[0]).toMatchObject({ score: alone[0]!.score, document: { id: alone[0]!.document.id } });
  });

  it("needs no offsets: chunks that repeat the end of the one before are joined at it", async () => {
    const store = await openFilms(database, {}, [
      {
        id: "a",
        pageContent: "One two three.",
        metadata: { source: "s", loc: { lines: { from: 1, to: 1 } } } as never,
      },
      {
        id: "b",
        pageContent: "three. Four five.",
        metadata: { source: "s", loc: { lines: { from: 2, to: 2 } } } as never,
      },
    ]);
    const [hit] = await store.search("Four five", { k: 1, postProcess: [neighbours()] });
    expect(wordsOf(hit)).toBe("One two three. Four five.");
    expect(hit!.document.metadata["loc"]).toEqual({ lines: { from: 1, to: 2 } });
  });

  it("uses the column of a promoted source, and refuses options that cannot be", async () => {
    const store = await openGuides({ tableName: "promoted_guides", promotedKeys: { source: "text" } });
    const [hit] = await store.search("Keep the receipt", { k: 1, postProcess: [neighbours({ before: 2 })] });
    const { start, end } = hit!.document.metadata["offset"] as { start: number; end: number };
    expect(wordsOf(hit)).toBe(GUIDE.slice(start, end));
    await expect(store.getNeighbours([], { before: -1 })).rejects.toThrow(/before must be/);
    await expect(store.getNeighbours([], { sourceKey: "" })).rejects.toThrow(/sourceKey/);
    await expect(store.getNeighbours([], { filter: { n: { gtee: 1 } } as never })).rejects.toThrow(FilterError);
    expect(await store.getNeighbours([])).toEqual([]);
  });
});

describe("parents", () => {
  it("returns the stored parent once, at the place of its best chunk", async () => {
    const pages = await openFilms(database, {}, [
      { id: "p1", pageContent: "All about sharks and whales, at length.", metadata: { open: true } as never },
      { id: "p2", pageContent: "All about spaceships, at length.", metadata: { open: false } as never },
    ]);
    const chunks = await openFilms(
      database,
      {},
      FILMS.map((film) => ({
        ...film,
        metadata: { parentId: ["shark", "whale"].includes(film.id) ? "p1" : "p2", open: true } as never,
      })),
    );
    const step = parents({ from: pages });
    const hits = await chunks.search("A shark hunts swimmers off a beach.", { k: 2, postProcess: [step] });
    expect(ids(hits.map((hit) => hit.document))).toEqual(["p1", "p2"]);
    expect(hits[0]!.parts!.toSorted()).toEqual(["shark", "whale"]);
    expect(hits[0]!.dense!.rank).toBe(1);
    // A parent that the filter excludes is not read; its chunks stay what they are.
    const open = await chunks.search("a spaceship", { k: 9, filter: { open: true }, postProcess: [step] });
    expect(ids(open.map((hit) => hit.document)).toSorted()).toEqual(["alien", "heist", "p1", "robot", "space"]);
  });

  it("puts a section or a source together where there is no stored parent", async () => {
    const options = { k: 1, filter: { source: "kettle.md" } };
    const query = "Vinegar dissolves limescale within an hour";
    const [section] = await guides.search(query, { ...options, postProcess: [parents()] });
    expect(wordsOf(section)).toMatch(/^## Cleaning[^]*the tea tastes of it\.$/);
    const [whole] = await guides.search(query, { ...options, postProcess: [parents({ unit: "source" })] });
    expect(wordsOf(whole)).toBe(GUIDE.trim());
    const [part] = await guides.search(query, {
      ...options,
      postProcess: [parents({ unit: "source", maxCharacters: 200 })],
    });
    expect(wordsOf(part).length).toBeLessThanOrEqual(200);
    expect(GUIDE).toContain(wordsOf(part));
    const both = await guides.search(query, { k: 9, postProcess: [parents({ unit: "source" })] });
    expect(both.map((hit) => hit.document.metadata["source"]).toSorted()).toEqual(["kettle.md", "note.md"]);
    expect(() => parents({ unit: "book" as never })).toThrow(/"section"/);
    expect(() => parents({ maxCharacters: 0 })).toThrow(ConfigurationError);
  });
});

it("reads nothing of other tenants", async () => {
  const store = await PostgresVectorStore.initialize(filmEmbeddings, {
    pool: database.pool,
    tableName: "shared_guides",
    tenancy: "rls",
    ...testSchema(),
  });
  const part = (id: string, n: number, pageContent: string): Document =>
    new Document({ id, pageContent, metadata: { source: "s", n, parentId: "p" } });
  await store.forTenant("a").addDocuments([part("1", 1, "mine"), part("p", 9, "my parent")]);
  await store
    .forTenant("b")
    .addDocuments([part("2", 2, "secret of b"), part("p", 9, "parent of b"), part("1", 1, "b")]);
  const mine = store.forTenant("a");
  const step = neighbours({ positionKey: "n", before: 9, after: 9 });
  const hits = await mine.search("secret of b", { k: 9, postProcess: [step, parents()] });
  expect(hits.map(wordsOf)).toEqual(["my parent"]);
  // Even hits of another tenant lead to rows of one's own only.
  const theirs = await store.forTenant("b").search("secret of b", { k: 9 });
  expect((await step("", theirs, { store: mine })).map(wordsOf)).not.toContain("parent of b\nmine");
  await expect(step("", theirs, {})).rejects.toThrow(/\{ store \}/);
  expect(JSON.stringify(await mine.getNeighbours(theirs.map((hit) => hit.document)))).not.toContain("secret");
});

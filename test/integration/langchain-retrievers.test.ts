import { createRequire } from "node:module";
import { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import { Document, type DocumentInterface } from "@langchain/core/documents";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { PromptTemplate } from "@langchain/core/prompts";
import { BaseRetriever, type BaseRetrieverInterface } from "@langchain/core/retrievers";
import { RunnableSequence, type Runnable } from "@langchain/core/runnables";
import { InMemoryStore } from "@langchain/core/stores";
import {
  Comparison,
  Operation,
  StructuredQuery,
  type Comparator,
  type Operator,
} from "@langchain/core/structured_query";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { VectorStoreRetriever } from "@langchain/core/vectorstores";
import { AttributeInfo } from "@langchain/classic/chains/query_constructor";
import { ContextualCompressionRetriever } from "@langchain/classic/retrievers/contextual_compression";
import { EmbeddingsFilter } from "@langchain/classic/retrievers/document_compressors/embeddings_filter";
import { EnsembleRetriever } from "@langchain/classic/retrievers/ensemble";
import { MultiQueryRetriever } from "@langchain/classic/retrievers/multi_query";
import { MultiVectorRetriever } from "@langchain/classic/retrievers/multi_vector";
import { ParentDocumentRetriever } from "@langchain/classic/retrievers/parent_document";
import { ScoreThresholdRetriever } from "@langchain/classic/retrievers/score_threshold";
import { SelfQueryRetriever } from "@langchain/classic/retrievers/self_query";
import { RecursiveCharacterTextSplitter } from "@langchain/classic/text_splitter";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { ConfigurationError, FilterError, PostgresRetriever, PostgresVectorStore } from "../../src/index.js";
import type { PostgresVectorStoreArgs } from "../../src/index.js";
import { PostgresTranslator } from "../../src/store/self-query-translator.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";

const FILMS = [
  { id: "shark", pageContent: "A shark hunts swimmers off a beach.", metadata: { genre: "thriller", year: 1975 } },
  {
    id: "whale",
    pageContent: "A whale and a boy become friends at the beach.",
    metadata: { genre: "family", year: 1993 },
  },
  { id: "space", pageContent: "A computer takes over a spaceship.", metadata: { genre: "drama", year: 1968 } },
  { id: "alien", pageContent: "An alien hunts the crew of a spaceship.", metadata: { genre: "thriller", year: 1979 } },
  {
    id: "robot",
    pageContent: "A lonely robot cleans the earth and finds a spaceship.",
    metadata: { genre: "family", year: 2008 },
  },
  { id: "heist", pageContent: "Thieves plan a robbery inside dreams.", metadata: { genre: "thriller", year: 2010 } },
];

/** LangChain parses the conditions of a model's answer with peggy, an optional peer dependency of its own. */
const needsPeggy = isInstalled("peggy") ? "" : " (needs peggy, skipped without it)";

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

const embeddings = new OfflineEmbeddings({ dimensions: 128 });
let database: TestDatabase;
let store: PostgresVectorStore;
let serial = 0;

async function openStore(args: Partial<PostgresVectorStoreArgs> = {}, films = FILMS): Promise<PostgresVectorStore> {
  serial += 1;
  const tableName = `retrievers_${serial}`;
  return PostgresVectorStore.fromDocuments(
    films.map((film) => new Document(film)),
    embeddings,
    { pool: database.pool, tableName, ...testSchema(), ...args },
  );
}

beforeAll(async () => {
  database = await openTestDatabase();
  store = await openStore();
});
afterAll(() => database.close());

const ids = (documents: readonly DocumentInterface[]): (string | undefined)[] =>
  documents.map((document) => document.id);
const find = async (
  retriever: BaseRetrieverInterface,
  query = "hunts on a spaceship",
): Promise<(string | undefined)[]> => ids(await retriever.invoke(query));

describe("asRetriever", () => {
  it("returns the documents of a similarity search, metadata untouched", async () => {
    const retriever = store.asRetriever();
    expect(retriever).toBeInstanceOf(PostgresRetriever);
    expect(retriever).toBeInstanceOf(VectorStoreRetriever);
    expect(retriever).toBeInstanceOf(BaseRetriever);
    const documents = await retriever.invoke("An alien hunts the crew of a spaceship.");
    expect(documents).toHaveLength(4);
    expect(documents[0]).toEqual(new Document(FILMS[3]!));
    expect(documents).toEqual(await store.similaritySearch("An alien hunts the crew of a spaceship.", 4));
  });

  it.each([
    ["a number", () => store.asRetriever(2), 2],
    ["an object", () => store.asRetriever({ k: 3 }), 3],
    ["an empty object", () => store.asRetriever({}), 4],
    ["nothing", () => store.asRetriever(), 4],
    ["an undefined k", () => store.asRetriever({ k: undefined } as object), 4],
    ["more than there are", () => store.asRetriever(100), 6],
  ])("takes k as %s", async (_name, make, length) => {
    expect(await find(make())).toHaveLength(length);
  });

  it.each([
    ["in the object", () => store.asRetriever({ k: 9, filter: { genre: "thriller" } })],
    ["after a number", () => store.asRetriever(9, { genre: "thriller" })],
    ["after nothing", () => store.asRetriever(undefined, { genre: "thriller" })],
    ["after an object", () => store.asRetriever({ k: 9 }, { genre: "thriller" })],
    ["beside an empty one", () => store.asRetriever({ k: 9, filter: {} }, { genre: "thriller" })],
    ["before an empty one", () => store.asRetriever({ k: 9, filter: { genre: "thriller" } }, {})],
  ])("applies a filter passed %s", async (_name, make) => {
    expect((await find(make())).sort()).toEqual(["alien", "heist", "shark"]);
  });

  it("needs both filters to hold when two are passed, and the store's own with them", async () => {
    const both = store.asRetriever({ k: 9, filter: { genre: "thriller" } }, { year: { lt: 2000 } });
    expect((await find(both)).sort()).toEqual(["alien", "shark"]);
    const narrow = await openStore({ filter: { genre: "thriller" } });
    expect((await find(narrow.asRetriever(9))).sort()).toEqual(["alien", "heist", "shark"]);
    expect(await find(narrow.asRetriever({ k: 9, filter: { genre: "family" } }))).toEqual([]);
    expect(await find(narrow.asRetriever({ k: 9, filter: {} }))).toHaveLength(3);
  });

  it("refuses what it does not know before any search", () => {
    expect(() => store.asRetriever({ filter: { year: { gtee: 1 } } as never })).toThrow(FilterError);
    expect(() => store.asRetriever(4, { year: { gtee: 1 } })).toThrow(FilterError);
    expect(() => store.asRetriever(0)).toThrow(ConfigurationError);
    expect(() => store.asRetriever({ k: 1.5 })).toThrow(ConfigurationError);
    expect(() => store.asRetriever({ searchType: "magic" as "mmr" })).toThrow(/"magic" is unknown/);
    expect(() => store.asRetriever({ searchType: "mmr", scoreThreshold: 0.5 })).toThrow(ConfigurationError);
    expect(() => store.asRetriever({ scoreThreshold: Number.NaN })).toThrow(ConfigurationError);
  });

  it("chooses documents that differ from each other with mmr", async () => {
    const twins = [
      ...FILMS,
      {
        id: "alien2",
        pageContent: "An alien hunts the crew of a spaceship!",
        metadata: { genre: "thriller", year: 1979 },
      },
    ];
    const own = await openStore({}, twins);
    const query = "An alien hunts the crew of a spaceship.";
    expect((await find(own.asRetriever(2), query)).sort()).toEqual(["alien", "alien2"]);
    const diverse = own.asRetriever({ k: 2, searchType: "mmr", searchKwargs: { fetchK: 7, lambda: 0.1 } });
    const [first, second] = await find(diverse, query);
    expect(["alien", "alien2"]).toContain(first);
    expect(["alien", "alien2"]).not.toContain(second);
    const relevant = own.asRetriever({ k: 2, searchType: "mmr", searchKwargs: { fetchK: 7, lambda: 1 } });
    expect((await find(relevant, query)).sort()).toEqual(["alien", "alien2"]);
    const few = own.asRetriever({ k: 2, searchType: "mmr", searchKwargs: { fetchK: 2, lambda: 0 } });
    expect((await find(few, query)).sort()).toEqual(["alien", "alien2"]);
    const filtered = own.asRetriever({ k: 5, searchType: "mmr", filter: { genre: "family" } });
    expect((await find(filtered, query)).sort()).toEqual(["robot", "whale"]);
  });

  it("adds documents to the store and returns their ids", async () => {
    const own = await openStore();
    const retriever = own.asRetriever({ k: 1 });
    const added = await retriever.addDocuments([new Document({ pageContent: "A train robbery.", metadata: {} })]);
    expect(added).toHaveLength(1);
    expect(
      await retriever.addDocuments([new Document({ pageContent: "A duel.", metadata: {} })], { ids: ["duel"] }),
    ).toEqual(["duel"]);
    expect(await find(retriever, "A train robbery.")).toEqual(added);
    expect(ids(await own.getByIds(["duel"]))).toEqual(["duel"]);
  });
});

describe("as a Runnable", () => {
  it("does batch, stream, pipe and withConfig", async () => {
    const retriever = store.asRetriever(1);
    const [space, beach] = await retriever.batch(["An alien on a spaceship", "A shark at the beach"]);
    expect([ids(space!), ids(beach!)]).toEqual([["alien"], ["shark"]]);
    const streamed: string[][] = [];
    for await (const chunk of await retriever.stream("A shark at the beach")) streamed.push(chunk.map((d) => d.id!));
    expect(streamed).toEqual([["shark"]]);
    const titles = retriever.pipe((documents) => documents.map((document) => document.id).join());
    expect(await titles.invoke("A shark at the beach")).toBe("shark");
    expect(ids(await retriever.withConfig({ runName: "films" }).invoke("A shark at the beach"))).toEqual(["shark"]);
  });

  interface Event {
    readonly kind: string;
    readonly name?: string | undefined;
    readonly tags?: string[] | undefined;
    readonly metadata?: Record<string, unknown> | undefined;
    readonly result?: unknown;
  }

  function recorder(): { events: Event[]; handler: BaseCallbackHandler } {
    const events: Event[] = [];
    const handler = BaseCallbackHandler.fromMethods({
      handleRetrieverStart(_retriever, query, _runId, _parentRunId, tags, metadata, name) {
        events.push({ kind: `start ${query}`, name, tags, metadata });
      },
      handleRetrieverEnd(documents) {
        events.push({ kind: "end", result: ids(documents) });
      },
      handleRetrieverError(error) {
        events.push({ kind: "error", result: error });
      },
    });
    handler.awaitHandlers = true;
    return { events, handler };
  }

  it.each(["in the object", "by position", "in the call"])("tells callbacks passed %s", async (way) => {
    const { events, handler } = recorder();
    const callbacks = [handler];
    const [tags, metadata] = [["mine"], { user: 1 }];
    const retriever =
      way === "by position"
        ? store.asRetriever(1, undefined, callbacks, tags, metadata, false)
        : store.asRetriever({ k: 1, tags, metadata, ...(way === "in the object" && { callbacks }) });
    await retriever.invoke("A shark at the beach", { runName: "films", ...(way === "in the call" && { callbacks }) });
    expect(events).toMatchObject([
      { kind: "start A shark at the beach", name: "films" },
      { kind: "end", result: ["shark"] },
    ]);
    expect(events[0]!.tags).toEqual(expect.arrayContaining(["mine", store._vectorstoreType()]));
    expect(events[0]!.metadata).toMatchObject({ user: 1 });
  });

  it("tells callbacks of a failure, and of the run name of withConfig", async () => {
    const { events, handler } = recorder();
    const broken = await openStore();
    broken.embeddings.embedQuery = () => Promise.reject(new Error("The embedder is down."));
    const retriever = broken.asRetriever({ callbacks: [handler] }).withConfig({ runName: "broken" });
    const error = await errorOf(retriever.invoke("anything"));
    delete (broken.embeddings as Partial<OfflineEmbeddings>).embedQuery;
    expect(error.message).toBe("The embedder is down.");
    expect(events).toMatchObject([{ name: "broken" }, { kind: "error", result: error }]);
  });

  it("shows no connection or query data when a tracer serialises it", () => {
    const shown = JSON.stringify(store.asRetriever({ filter: { genre: "family" } }).toJSON());
    expect(shown).toContain("not_implemented");
    expect(JSON.stringify(store)).not.toMatch(/postgres(ql)?:\/\//);
  });
});

describe.each(["distance", "similarity"] as const)(
  "score thresholds with scoreNormalization %s",
  (scoreNormalization) => {
    const query = "An alien hunts the crew of a spaceship.";
    let own: PostgresVectorStore;
    let similarities: { id: string; similarity: number }[];

    beforeAll(async () => {
      own = await openStore({ scoreNormalization });
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

    it.runIf(scoreNormalization === "similarity")("which widens its search until nothing more is similar", async () => {
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
      const own = await openStore({}, []);
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
    const own = await openStore({}, []);
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
      baseCompressor: new EmbeddingsFilter({ embeddings, k: 2 }),
    });
    expect(await find(k, query)).toEqual((await find(baseRetriever, query)).slice(0, 2));
    const near = new EmbeddingsFilter({ embeddings, similarityThreshold: 0.9 });
    expect(await find(new ContextualCompressionRetriever({ baseRetriever, baseCompressor: near }), query)).toEqual([
      "alien",
    ]);
  });
});

describe("SelfQueryRetriever with PostgresTranslator", () => {
  type SearchParams = NonNullable<ConstructorParameters<typeof SelfQueryRetriever>[0]["searchParams"]>;
  /** A condition as the model answers it: `["and", ["gt", "year", 1990], ...]`. */
  type Answer = readonly [string, ...unknown[]];

  const toDirective = ([name, ...args]: Answer): Comparison | Operation =>
    ["and", "or", "not"].includes(name)
      ? new Operation(name as Operator, (args as Answer[]).map(toDirective))
      : new Comparison(name as Comparator, args[0] as string, args[1] as string);

  function selfQuery(
    filter?: Answer,
    searchParams: SearchParams = { k: 6 },
    query = "spaceship",
  ): SelfQueryRetriever<PostgresVectorStore> {
    const llm = new FakeListChatModel({ responses: [JSON.stringify({ query, filter })] });
    const queryConstructor = RunnableSequence.from([
      PromptTemplate.fromTemplate("Split into words and conditions: {query}"),
      llm,
      new StringOutputParser(),
      (text: string) => {
        const answer = JSON.parse(text) as { query: string; filter?: Answer };
        return new StructuredQuery(answer.query, answer.filter && toDirective(answer.filter));
      },
    ]) as Runnable<{ query: string }, StructuredQuery>;
    const structuredQueryTranslator = new PostgresTranslator();
    return new SelfQueryRetriever({ vectorStore: store, queryConstructor, structuredQueryTranslator, searchParams });
  }

  it.each<[Answer | undefined, string[]]>([
    [
      ["eq", "genre", "thriller"],
      ["alien", "heist", "shark"],
    ],
    [
      ["ne", "genre", "thriller"],
      ["robot", "space", "whale"],
    ],
    [
      ["gt", "year", 1993],
      ["heist", "robot"],
    ],
    [
      ["gte", "year", "1993"],
      ["heist", "robot", "whale"],
    ],
    [["eq", "year", "1979"], ["alien"]],
    [
      ["ne", "year", "1979"],
      ["heist", "robot", "shark", "space", "whale"],
    ],
    [
      ["and", ["lt", "year", 1980], ["eq", "genre", "thriller"]],
      ["alien", "shark"],
    ],
    [
      ["or", ["lte", "year", 1968], ["and", ["eq", "genre", "family"], ["gt", "year", 2000]]],
      ["robot", "space"],
    ],
    [["not", ["or", ["eq", "genre", "thriller"], ["eq", "genre", "family"]]], ["space"]],
    [undefined, ["alien", "heist", "robot", "shark", "space", "whale"]],
  ])("%j", async (filter, expected) => {
    expect((await find(selfQuery(filter), "what the user asked")).sort()).toEqual(expected);
  });

  it("searches with the words that the model leaves", async () => {
    const retriever = selfQuery(undefined, { k: 1 }, "A shark at the beach");
    expect(await find(retriever, "An alien on a spaceship")).toEqual(["shark"]);
  });

  it("keeps the default filter, also when the model has none", async () => {
    const family = { k: 6, filter: { genre: "family" } };
    const recent: Answer = ["gt", "year", 2000];
    expect((await find(selfQuery(undefined, family))).sort()).toEqual(["robot", "whale"]);
    expect(await find(selfQuery(recent, family))).toEqual(["robot"]);
    const or = selfQuery(recent, { ...family, mergeFiltersOperator: "or" });
    expect((await find(or)).sort()).toEqual(["heist", "robot", "whale"]);
    const replace = selfQuery(recent, { ...family, mergeFiltersOperator: "replace" });
    expect((await find(replace)).sort()).toEqual(["heist", "robot"]);
  });

  it.each<[Answer]>([
    [["eq", "genre", ["thriller", "family"]]],
    [["gt", "year", true]],
    [["contains", "genre", "thr"]],
    [["and"]],
    [["eq", "$or", 1]],
  ])("refuses %j instead of searching everything", async (filter) => {
    expect(await errorOf(selfQuery(filter).invoke("q"))).toBeInstanceOf(FilterError);
  });

  it.skipIf(!isInstalled("peggy"))(`fromLLM understands the answer${needsPeggy}`, async () => {
    const answer = (filter: string): string => `\`\`\`json\n${JSON.stringify({ query: "spaceship", filter })}\n\`\`\``;
    const llm = new FakeListChatModel({
      responses: [
        answer(`and(lt("year", 1980), not(eq("genre", "drama")))`),
        answer("NO_FILTER"),
        answer(`or(eq("genre", "family"), gte("year", "2010"))`),
      ],
    });
    const retriever = SelfQueryRetriever.fromLLM({
      llm,
      vectorStore: store,
      documentContents: "Summaries of films",
      attributeInfo: [
        new AttributeInfo("genre", "string", "Genre of the film"),
        new AttributeInfo("year", "number", "Year of release"),
      ],
      structuredQueryTranslator: new PostgresTranslator(),
      searchParams: { k: 6 },
    });
    expect((await find(retriever)).sort()).toEqual(["alien", "shark"]);
    expect(await find(retriever)).toHaveLength(6);
    expect((await find(retriever)).sort()).toEqual(["heist", "robot", "whale"]);
  });
});

import { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import { Document } from "@langchain/core/documents";
import { BaseRetriever } from "@langchain/core/retrievers";
import { VectorStoreRetriever } from "@langchain/core/vectorstores";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { ConfigurationError, FilterError, PostgresRetriever, type PostgresVectorStore } from "../../src/index.js";
import { openTestDatabase, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";
import { filmEmbeddings, FILMS, find, ids, openFilms } from "../helpers/films.js";

let database: TestDatabase;
let store: PostgresVectorStore;

beforeAll(async () => {
  database = await openTestDatabase();
  store = await openFilms(database);
});
afterAll(() => database.close());

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
    ["an undefined k", () => store.asRetriever({ k: undefined }), 4],
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
    const narrow = await openFilms(database, { filter: { genre: "thriller" } });
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

  it.each(["similarity", "mmr"] as const)(
    "checks a filter set later before it embeds the query (%s)",
    async (searchType) => {
      const embedQuery = vi.spyOn(filmEmbeddings, "embedQuery");
      const retriever = store.asRetriever({ searchType });
      retriever.filter = { year: { gtee: 1 } };
      expect(await errorOf(retriever.invoke("anything"))).toBeInstanceOf(FilterError);
      expect(embedQuery).not.toHaveBeenCalled();
      embedQuery.mockRestore();
    },
  );

  it("chooses documents that differ from each other with mmr", async () => {
    const twins = [
      ...FILMS,
      {
        id: "alien2",
        pageContent: "An alien hunts the crew of a spaceship!",
        metadata: { genre: "thriller", year: 1979 },
      },
    ];
    const own = await openFilms(database, {}, twins);
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
    const own = await openFilms(database);
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
    const broken = await openFilms(database);
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

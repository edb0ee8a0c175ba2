import { Document, type DocumentInterface } from "@langchain/core/documents";
import { AIMessage, HumanMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import { fakeModel } from "@langchain/core/testing";
import { createAgent } from "langchain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  CoverageReranker,
  createConversationalRagChain,
  createRagChain,
  createRetrievalTool,
  diversify,
  neighbours,
} from "../../src/chains/index.js";
import { PostgresVectorStore, type SearchType } from "../../src/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { HashedEmbeddings } from "../helpers/vectors.js";

/** Only words can find the second one: its vector is as far from the question's as that of any other. */
const NOTES = [
  "The shop opens at nine in the morning.",
  "A locked bolt raises ERR_4711 on the panel. Turn the key twice to clear it.",
  "Parking is behind the house.",
  "Refunds take five days.",
];
const QUESTION = "What clears ERR_4711?";

let database: TestDatabase;
let store: PostgresVectorStore;
const open = (searchType?: SearchType): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(new HashedEmbeddings(), {
    pool: database.pool,
    tableName: "notes",
    lexical: true,
    ...(searchType !== undefined && { searchType }),
    ...testSchema(),
  });

beforeAll(async () => {
  database = await openTestDatabase();
  store = await open();
  await store.addDocuments(
    NOTES.map((pageContent, n) => new Document({ id: String(n), pageContent, metadata: { source: "notes.md", n } })),
  );
});
afterAll(() => database.close());

const ids = (documents: readonly DocumentInterface[]): unknown[] => documents.map(({ id }) => id);

/** Lexical searches return what has the words and nothing else, the others `k` documents. */
const FOUND: readonly [SearchType, number][] = [
  ["similarity", 3],
  ["lexical", 1],
  ["hybrid", 3],
];

describe.each(FOUND)("searchType %s", (searchType, count) => {
  it("is what a chain, a conversation, a tool and an agent search by", async () => {
    const source = { store, searchType, k: 3 };
    const expected = ids((await store.search(QUESTION, { searchType, k: 3 })).map(({ document }) => document));
    expect(expected).toHaveLength(count);
    const { context } = await createRagChain(source).invoke({ input: QUESTION });
    expect(ids(context)).toEqual(expected);
    const talk = await createConversationalRagChain(source).invoke({ input: QUESTION, chat_history: [] });
    expect(ids(talk.context)).toEqual(expected);

    const tool = createRetrievalTool({ ...source, name: "search_notes", description: "Notes." });
    const call = { name: "search_notes", args: { query: QUESTION }, id: "1", type: "tool_call" as const };
    const result = (await tool.invoke(call)) as ToolMessage;
    expect(ids(result.artifact as Document[])).toEqual(expected);

    const model = fakeModel()
      .respondWithTools([call])
      .respond((messages: BaseMessage[]) => new AIMessage(messages.at(-1)!.text));
    const { messages } = await createAgent({ model, tools: [tool] }).invoke({ messages: [new HumanMessage(QUESTION)] });
    const seen = messages.find((message): message is ToolMessage => ToolMessage.isInstance(message))!;
    expect(ids(seen.artifact as Document[])).toEqual(expected);
  });

  it("is inherited from the store", async () => {
    const own = await open(searchType);
    const expected = ids((await store.search(QUESTION, { searchType, k: 3 })).map(({ document }) => document));
    expect(ids(await own.asRetriever({ k: 3 }).invoke(QUESTION))).toEqual(expected);
    expect(ids((await createRagChain({ store: own, k: 3 }).invoke({ input: QUESTION })).context)).toEqual(expected);
  });
});

it("finds by words what vectors do not, and answers from it", async () => {
  for (const searchType of ["lexical", "hybrid"] as const) {
    const { answer, citations } = await createRagChain({ store, searchType, k: 1 }).invoke({ input: QUESTION });
    expect(answer).toContain("ERR_4711");
    expect(citations[0]).toMatchObject({ documentId: "1", source: "notes.md" });
  }
});

it("feeds a chain and a tool with reranked and widened passages", async () => {
  const retriever = store.asRetriever({
    searchType: "hybrid",
    k: 1,
    rerank: new CoverageReranker({ weight: 1 }),
    postProcess: [diversify({ lambda: 1 }), neighbours({ positionKey: "n", before: 0, after: 1 })],
  });
  const { context, answer } = await createRagChain({ retriever }).invoke({ input: QUESTION });
  expect(context[0]!.id).toBe("1");
  expect(context[0]!.pageContent).toBe(`${NOTES[1]}\n${NOTES[2]}`);
  expect(answer).toContain("ERR_4711");
  const tool = createRetrievalTool({ retriever, name: "search_notes", description: "Notes." });
  expect(await tool.invoke({ query: QUESTION })).toContain("Parking is behind the house.");
});

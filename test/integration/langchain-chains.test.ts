import { Document } from "@langchain/core/documents";
import { AIMessage, HumanMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate, MessagesPlaceholder } from "@langchain/core/prompts";
import { RunnableLambda, RunnablePassthrough, RunnableSequence } from "@langchain/core/runnables";
import { fakeModel } from "@langchain/core/testing";
import { FakeStreamingChatModel } from "@langchain/core/utils/testing";
import { createStuffDocumentsChain } from "@langchain/classic/chains/combine_documents";
import { createHistoryAwareRetriever } from "@langchain/classic/chains/history_aware_retriever";
import { createRetrievalChain } from "@langchain/classic/chains/retrieval";
import { createRetrieverTool } from "@langchain/classic/tools/retriever";
import { createAgent } from "langchain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRetrievalTool } from "../../src/chains/index.js";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { PostgresVectorStore } from "../../src/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";

const FACTS = [
  { id: "refund", pageContent: "Refunds take five days.", metadata: { source: "refunds.md" } },
  { id: "hours", pageContent: "The shop opens at nine.", metadata: { source: "hours.md" } },
  { id: "parking", pageContent: "Parking is behind the house.", metadata: { source: "parking.md" } },
];

let database: TestDatabase;
let store: PostgresVectorStore;

beforeAll(async () => {
  database = await openTestDatabase();
  store = await PostgresVectorStore.fromDocuments(
    FACTS.map((fact) => new Document(fact)),
    new OfflineEmbeddings({ dimensions: 128 }),
    { pool: database.pool, ...testSchema() },
  );
});
afterAll(() => database.close());

/** Answers with what it was asked, so that a test sees what reached it. */
const echo = (): ReturnType<typeof fakeModel> => {
  const model = fakeModel();
  for (let calls = 0; calls < 10; calls += 1) {
    model.respond((messages: BaseMessage[]) => new AIMessage(messages.map((message) => message.text).join("\n")));
  }
  return model;
};

const streaming = (text: string): FakeStreamingChatModel =>
  new FakeStreamingChatModel({ responses: [new AIMessage(text)] });

const prompt = ChatPromptTemplate.fromMessages([
  ["system", "Answer from: {context}"],
  ["human", "{question}"],
]);
const joined = (documents: Document[]): string => documents.map((document) => document.pageContent).join(" ");

describe("LCEL", () => {
  it("feeds a prompt and a model, one question or many", async () => {
    const chain = RunnableSequence.from([
      { context: store.asRetriever(1).pipe(joined), question: new RunnablePassthrough() },
      prompt,
      echo(),
      new StringOutputParser(),
    ]);
    expect(await chain.invoke("When does the shop open?")).toBe(
      "Answer from: The shop opens at nine.\nWhen does the shop open?",
    );
    expect(await chain.batch(["How long do refunds take?", "Where is parking?"])).toEqual([
      "Answer from: Refunds take five days.\nHow long do refunds take?",
      "Answer from: Parking is behind the house.\nWhere is parking?",
    ]);
  });

  it("keeps the documents beside the answer with assign", async () => {
    const chain = RunnablePassthrough.assign({
      documents: RunnableLambda.from((input: { question: string }) => input.question).pipe(store.asRetriever(1)),
    })
      .assign({ context: ({ documents }: { documents: Document[] }) => joined(documents) })
      .assign({ answer: prompt.pipe(echo()).pipe(new StringOutputParser()) });
    const output = (await chain.invoke({ question: "Where is parking?" })) as Record<string, unknown>;
    expect(output["documents"]).toEqual([new Document(FACTS[2]!)]);
    expect(output["answer"]).toContain("Answer from: Parking is behind the house.");
  });

  it("streams the model's tokens, and the retriever's events with their run names", async () => {
    const retriever = store.asRetriever({ k: 1, tags: ["facts"] }).withConfig({ runName: "find facts" });
    const chain = RunnableSequence.from([
      { context: retriever.pipe(joined), question: new RunnablePassthrough() },
      prompt,
      streaming("At nine."),
      new StringOutputParser(),
    ]);
    const tokens: string[] = [];
    for await (const token of await chain.stream("When does the shop open?")) tokens.push(token);
    expect(tokens.length).toBeGreaterThan(1);
    expect(tokens.join("")).toBe("At nine.");

    const events: { event: string; name: string; tags?: string[]; data: Record<string, unknown> }[] = [];
    for await (const event of chain.streamEvents("When does the shop open?", { version: "v2" })) {
      if (event.event.startsWith("on_retriever")) events.push(event);
    }
    expect(events.map(({ event, name }) => [event, name])).toEqual([
      ["on_retriever_start", "find facts"],
      ["on_retriever_end", "find facts"],
    ]);
    expect(events[0]!.tags).toContain("facts");
    expect((events[1]!.data["output"] as Document[]).map((document) => document.id)).toEqual(["hours"]);
  });

  it("lets errors of the search through", async () => {
    const retriever = store.asRetriever({ k: 1, filter: { source: { $like: "%" } } });
    retriever.filter = { source: { $likes: "%" } };
    const chain = retriever.pipe(joined);
    await expect(chain.invoke("When?")).rejects.toThrow(/\$likes/);
    expect(await chain.withFallbacks([RunnableLambda.from(() => "nothing")]).invoke("When?")).toBe("nothing");
  });
});

describe("createRetrievalChain", () => {
  const stuffPrompt = ChatPromptTemplate.fromMessages([
    ["system", "Answer from: {context}"],
    new MessagesPlaceholder("chat_history"),
    ["human", "{input}"],
  ]);

  it("answers with the documents as context", async () => {
    const chain = await createRetrievalChain({
      retriever: store.asRetriever(2),
      combineDocsChain: await createStuffDocumentsChain({ llm: echo(), prompt: stuffPrompt }),
    });
    const output = await chain.invoke({ input: "How long do refunds take?" });
    expect(output.context).toHaveLength(2);
    expect(output.context[0]).toEqual(new Document(FACTS[0]!));
    expect(output.answer).toMatch(/^Answer from: Refunds take five days\.\n[\s\S]*How long do refunds take\?$/);
    const chat_history = [new HumanMessage("Hello"), new AIMessage("Good day")];
    const followUp = await chain.invoke({ input: "And parking?", chat_history });
    expect(followUp.answer).toContain("Hello\nGood day\nAnd parking?");
    expect(followUp.context[0]!.id).toBe("parking");
  });

  it("streams the context, then the answer", async () => {
    const chain = await createRetrievalChain({
      retriever: store.asRetriever(1),
      combineDocsChain: await createStuffDocumentsChain({ llm: streaming("Five days."), prompt: stuffPrompt }),
    });
    let answer = "";
    let context: string[] | undefined;
    let pieces = 0;
    for await (const chunk of await chain.stream({ input: "How long do refunds take?" })) {
      if (chunk.context) context = chunk.context.map((document) => document.id!);
      if (chunk.answer) {
        expect(context).toEqual(["refund"]);
        answer += chunk.answer;
        pieces += 1;
      }
    }
    expect(answer).toBe("Five days.");
    expect(pieces).toBeGreaterThan(1);
  });

  it("searches with the question that a history-aware retriever makes", async () => {
    const llm = fakeModel().respond(new AIMessage("Where is parking?"));
    const retriever = await createHistoryAwareRetriever({
      llm,
      retriever: store.asRetriever(1),
      rephrasePrompt: ChatPromptTemplate.fromMessages([new MessagesPlaceholder("chat_history"), ["human", "{input}"]]),
    });
    const chat_history = [new HumanMessage("Is there parking?"), new AIMessage("Yes.")];
    expect((await retriever.invoke({ input: "Where?", chat_history }))[0]!.id).toBe("parking");
    expect((await retriever.invoke({ input: "How long do refunds take?", chat_history: [] }))[0]!.id).toBe("refund");
    expect(llm.callCount).toBe(1);
  });
});

describe("createAgent", () => {
  const ask = (query: string): ReturnType<typeof fakeModel> =>
    fakeModel()
      .respondWithTools([{ name: "search_facts", args: { query }, id: "call_1" }])
      .respond((messages: BaseMessage[]) => new AIMessage(`I read: ${messages.at(-1)!.text}`));
  const facts = { name: "search_facts", description: "Facts about the shop." };
  const question = { messages: [new HumanMessage("How long do refunds take?")] };
  const isToolMessage = (message: BaseMessage): message is ToolMessage => ToolMessage.isInstance(message);

  it("calls the retrieval tool, and answers from what it returns", async () => {
    const model = ask("refunds take how long");
    const agent = createAgent({ model, tools: [createRetrievalTool({ store, k: 1, ...facts })] });
    const { messages } = await agent.invoke(question);
    const result = messages.find(isToolMessage);
    expect(result).toMatchObject({ name: "search_facts", tool_call_id: "call_1" });
    expect(result!.text).toContain("refunds.md");
    expect(result!.artifact).toEqual([new Document(FACTS[0]!)]);
    expect(messages.at(-1)!.text).toMatch(/^I read: [\s\S]*Refunds take five days\./);
    expect(model.callCount).toBe(2);
  });

  it("streams each step", async () => {
    const agent = createAgent({ model: ask("refunds"), tools: [createRetrievalTool({ store, k: 1, ...facts })] });
    const steps: string[] = [];
    for await (const update of await agent.stream(question, { streamMode: "updates" })) {
      steps.push(...Object.keys(update));
    }
    expect(steps).toEqual(["model_request", "tools", "model_request"]);
  });

  it("takes a ready retriever, and LangChain's own retriever tool too", async () => {
    const retriever = store.asRetriever({ k: 3, filter: { source: "hours.md" } });
    for (const tool of [createRetrievalTool({ retriever, ...facts }), createRetrieverTool(retriever, facts)]) {
      const { messages } = await createAgent({ model: ask("refunds"), tools: [tool] }).invoke(question);
      expect(messages.at(-1)!.text).toContain("The shop opens at nine.");
      expect(messages.at(-1)!.text).not.toContain("Refunds take five days.");
    }
  });

  it("goes on when nothing is found", async () => {
    const retriever = store.asRetriever({ filter: { source: "none.md" } });
    const agent = createAgent({ model: ask("refunds"), tools: [createRetrievalTool({ retriever, ...facts })] });
    const { messages } = await agent.invoke(question);
    expect(messages.at(-1)!.text).toBe("I read: No passage was found.");
  });
});

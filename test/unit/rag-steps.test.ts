import { MemoryVectorStore } from "@langchain/classic/vectorstores/memory";
import { Document } from "@langchain/core/documents";
import { HumanMessage, type BaseMessage } from "@langchain/core/messages";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { beforeAll, describe, expect, it } from "vitest";
import { estimateTokens, fitContext } from "../../src/chains/context-window.js";
import {
  createConversationalRagChain,
  createRagChain,
  createRetrievalTool,
  CrossEncoderReranker,
  decompose,
  ExtractiveCompressor,
  hyde,
  LlmReranker,
  multiQuery,
} from "../../src/chains/index.js";
import { fuseRankings } from "../../src/chains/fuse-rankings.js";
import { formatPassages } from "../../src/chains/prompt.js";
import { withPreviousQuestion } from "../../src/chains/stand-alone-question.js";
import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { ConfigurationError, MissingTenantError } from "../../src/errors.js";
import { errorOf } from "../helpers/error-of.js";

const doc = (id: string, pageContent: string): Document => new Document({ id, pageContent, metadata: { source: id } });
const DOCUMENTS = [
  doc("hnsw", "An HNSW index is a graph. Raise ef_search for better recall of an HNSW index."),
  doc("dump", "Back up the database with pg_dump. A restore rebuilds every index."),
  doc("kite", "A kite needs wind. The weather was fine. Dry the string of a kite."),
];
let store: MemoryVectorStore;
beforeAll(async () => {
  store = await MemoryVectorStore.fromDocuments(DOCUMENTS, new OfflineEmbeddings());
});

/** Answers in turn, and keeps what it was asked. */
class Scripted extends FakeListChatModel {
  readonly seen: BaseMessage[][] = [];

  override async _generate(...args: Parameters<FakeListChatModel["_generate"]>) {
    this.seen.push(args[0]);
    return super._generate(...args);
  }

  override async *_streamResponseChunks(...args: Parameters<FakeListChatModel["_streamResponseChunks"]>) {
    this.seen.push(args[0]);
    yield* super._streamResponseChunks(...args);
  }
}
const says = (...responses: string[]): Scripted => new Scripted({ responses });
const idsOf = (documents: readonly { id?: string | undefined }[]): (string | undefined)[] =>
  documents.map(({ id }) => id);

describe("queries", () => {
  it("searches for the question and for what the model makes of it, and fuses what is found", async () => {
    const model = says('1. "How is a kite dried?"\n- How does one back up a database?\n\n(3) ignored\nfour\nfive');
    expect(await multiQuery({ model, count: 2 }).invoke("recall?")).toEqual([
      "recall?",
      "How is a kite dried?",
      "How does one back up a database?",
    ]);
    const queries = multiQuery({ model: says("dry the string of a kite\nback up with pg_dump"), count: 2 });
    const { context } = await createRagChain({ store, k: 1, queries }).invoke({ input: "recall of an HNSW index" });
    expect(idsOf(context)).toEqual(["hnsw"]);
    const wider = await createRagChain({ store, k: 2, queries }).invoke({ input: "recall of an HNSW index" });
    expect(wider.context).toHaveLength(2);
  });

  it("breaks questions down, and makes up a passage", async () => {
    const parts = await decompose({ model: says("What is HNSW?\nWhat is IVFFlat?") }).invoke("HNSW or IVFFlat?");
    expect(parts).toEqual(["HNSW or IVFFlat?", "What is HNSW?", "What is IVFFlat?"]);
    const passage = "Kites are dried\nafter flying.";
    expect(await hyde({ model: says(passage) }).invoke("q")).toEqual(["q", passage]);
    expect(await hyde({ model: says("  ") }).invoke("q")).toEqual(["q"]);
    expect(() => multiQuery({ model: says("x"), count: 11 })).toThrow(ConfigurationError);
  });

  it("counts the tokens of every model call, and reports them as one run", async () => {
    class Counting extends FakeListChatModel {
      override async _generate(...args: Parameters<FakeListChatModel["_generate"]>) {
        const result = await super._generate(...args);
        const usage_metadata = { input_tokens: 10, output_tokens: 2, total_tokens: 12 };
        for (const { message } of result.generations) Object.assign(message, { usage_metadata });
        return result;
      }
    }
    const model = new Counting({ responses: ["other words"] });
    const { usage } = await createRagChain({ store, queries: multiQuery({ model }) }).invoke({ input: "HNSW recall" });
    expect(usage).toMatchObject({ input_tokens: 10, output_tokens: 2, total_tokens: 12 });
  });

  it("ranks by the sum of reciprocal ranks, each document once", () => {
    const [a, b, c] = DOCUMENTS as [Document, Document, Document];
    expect(
      fuseRankings([
        [a, b],
        [b, c],
      ]),
    ).toEqual([b, a, c]);
    const nameless = new Document({ pageContent: "x" });
    expect(fuseRankings([[nameless], [new Document({ pageContent: "x" })]])).toEqual([nameless]);
  });
});

describe("compressors", () => {
  const config = { store, k: 2, fetchK: 3 };
  it("lets a model put passages in order, and loses none", async () => {
    const reranker = new LlmReranker({ model: says("Best: 3, then 1, 99, 3") });
    expect(idsOf(await reranker.compressDocuments(DOCUMENTS, "q"))).toEqual(["kite", "hnsw", "dump"]);
    expect(idsOf(await new LlmReranker({ model: says("none") }).compressDocuments(DOCUMENTS, "q"))).toEqual(
      idsOf(DOCUMENTS),
    );
    const some = new LlmReranker({ model: says("3, 2"), maxDocuments: 2 });
    expect(idsOf(await some.compressDocuments(DOCUMENTS, "q"))).toEqual(["dump", "hnsw", "kite"]);
    expect(() => new LlmReranker({ model: says("1"), maxDocuments: 1 })).toThrow(ConfigurationError);
  });

  it("sorts by a cross-encoder's scores, and refuses scores that are none", async () => {
    const score = (_question: string, texts: readonly string[]): Promise<number[]> =>
      Promise.resolve(texts.map((text) => text.length % 10));
    const ranked = await new CrossEncoderReranker({ score, batchSize: 2 }).compressDocuments(DOCUMENTS, "q");
    const scores = ranked.map(({ metadata }) => metadata["relevanceScore"] as number);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(ranked).toHaveLength(3);
    const strict = new CrossEncoderReranker({ score, minScore: scores[0]! });
    expect((await strict.compressDocuments(DOCUMENTS, "q")).length).toBeLessThan(3);
    const broken = new CrossEncoderReranker({ score: () => Promise.resolve([Number.NaN]) });
    await expect(broken.compressDocuments(DOCUMENTS, "q")).rejects.toThrow(ConfigurationError);
  });

  it("keeps the stretch that speaks of the question, word for word, with its lines", async () => {
    const pageContent = "Cats sleep all day.\nDogs bark loudly.\nA kite needs wind.\nIt may rain soon.\nBirds sing.";
    const metadata = { loc: { lines: { from: 10, to: 14 } } };
    const [kept, ...others] = await new ExtractiveCompressor({ minCoverage: 0.6, around: 0 }).compressDocuments(
      [new Document({ id: "1", pageContent, metadata }), DOCUMENTS[1]!],
      "How much wind does a kite need?",
    );
    expect(others).toEqual([]);
    expect(kept).toMatchObject({
      id: "1",
      pageContent: "A kite needs wind.",
      metadata: { loc: { lines: { from: 12, to: 12 } } },
    });
  });

  it("fetches more than are shown", async () => {
    const seen: number[] = [];
    const spy = {
      compressDocuments: (documents: Document[]) => {
        seen.push(documents.length);
        return Promise.resolve(documents.toReversed());
      },
    };
    const { context } = await createRagChain({ ...config, store, compressors: [spy] }).invoke({ input: "HNSW recall" });
    expect(seen).toEqual([3]);
    expect(context).toHaveLength(2);
  });
});

describe("the context of a model", () => {
  const five = ["1", "2", "3", "4", "5"].map((id) => doc(id, `Passage ${id}.`));

  it("has the best passages at its edges", async () => {
    expect(idsOf(await fitContext(five, { order: "edges" }))).toEqual(["1", "3", "5", "4", "2"]);
    expect(idsOf(await fitContext(five, {}))).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("keeps to the budget", async () => {
    const one = estimateTokens(formatPassages([five[0]!]));
    expect(idsOf(await fitContext(five, { maxTokens: 3 * one }))).toEqual(["1", "2", "3"]);
    const long = doc("long", "many words ".repeat(500));
    const countTokens = (text: string): number => text.split(/\s+/).length;
    expect(idsOf(await fitContext([long, ...five], { maxTokens: 11, countTokens }))).toEqual(["1"]);
    const [cut] = await fitContext([long], { maxTokens: 40, countTokens });
    expect(countTokens(formatPassages([cut!]))).toBeLessThanOrEqual(40);
    expect(countTokens(formatPassages([cut!]))).toBeGreaterThan(36);
    expect(long.pageContent.startsWith(cut!.pageContent)).toBe(true);
    expect(await fitContext([long], { maxTokens: 1 })).toEqual([]);
  });

  it("is refused when it cannot be", () => {
    expect(() => createRagChain({ store, context: { maxTokens: 0 } })).toThrow(ConfigurationError);
    expect(() => createRagChain({ store, context: { order: "best" as never } })).toThrow(ConfigurationError);
    expect(() => createRagChain({ store, minEvidence: 2 })).toThrow(ConfigurationError);
  });
});

describe("abstention", () => {
  it("calls no model when the evidence is weak, by words or by another measure", async () => {
    const model = says("Anything");
    const weak = await createRagChain({ store, model, minEvidence: 0.9 }).invoke({
      input: "Who painted the Mona Lisa?",
    });
    expect(weak).toMatchObject({ abstained: true, citations: [] });
    expect(weak.answer).toMatch(/^I don't know/);
    const measured = createRagChain({ store, model, minEvidence: 0.5, evidence: () => 0.4 });
    expect((await measured.invoke({ input: "HNSW recall" })).abstained).toBe(true);
    expect(
      (await createRagChain({ store, minEvidence: 0.5, evidence: () => 0.4 }).invoke({ input: "HNSW recall" }))
        .abstained,
    ).toBe(true);
    expect(model.seen).toEqual([]);
  });

  it("is seen in the words of the model, and quotes are flagged", async () => {
    const judge = says("I don’t know: no passage says so.");
    const abstains = await createRagChain({ store, model: judge }).invoke({ input: "q?" });
    expect(judge.seen).toHaveLength(1);
    expect(abstains.abstained).toBe(true);
    const forged = await createRagChain({ store, model: says('"pay the bill to account 7" [1]') }).invoke({
      input: "HNSW?",
    });
    expect(forged).toMatchObject({ abstained: false, unverified: ["pay the bill to account 7"], citations: [] });
  });
});

describe("conversations", () => {
  it("searches along the previous question when one points back, and not otherwise", async () => {
    const chat_history = [new HumanMessage("What is HNSW?")];
    const ask = (input: string): Promise<string> => withPreviousQuestion({ input, chat_history }, {});
    expect(await ask("And its default?")).toBe("And its default? What is HNSW?");
    expect(await ask("Recall?")).toBe("Recall? What is HNSW?");
    expect(await ask("How do I back up the database?")).toBe("How do I back up the database?");
  });

  it("wants a session for a history", async () => {
    const history = () => ({ getMessages: () => Promise.resolve([]), addMessages: () => Promise.resolve() });
    const chain = createConversationalRagChain({ store, history });
    expect(await errorOf(chain.invoke({ input: "HNSW?" }))).toBeInstanceOf(ConfigurationError);
    const both = chain.invoke({ input: "HNSW?", chat_history: [] }, { configurable: { sessionId: "1" } });
    expect(await errorOf(both)).toBeInstanceOf(ConfigurationError);
    expect(() => createConversationalRagChain({ store, maxMessages: 0 })).toThrow(ConfigurationError);
  });
});

describe("a tenant of the call", () => {
  const asked: unknown[] = [];
  const tenants = {
    asRetriever: () => store.asRetriever(1),
    forTenant: (tenant: string | number) => {
      asked.push(tenant);
      return { asRetriever: () => store.asRetriever(1) };
    },
  };
  const tenant = ({ configurable }: { configurable?: Record<string, unknown> }) =>
    configurable?.["tenant_id"] as string;

  it("comes from the config, never from the arguments", async () => {
    const search = createRetrievalTool({ store: tenants, tenant, name: "search", description: "Searches." });
    const args = { query: "HNSW", tenant_id: "b", tenant: "b", filter: {}, k: 100 };
    await search.invoke({ name: "search", args, id: "1", type: "tool_call" }, { configurable: { tenant_id: "a" } });
    expect(asked).toEqual(["a"]);
    expect(Object.keys(search.schema.shape)).toEqual(["query"]);
  });

  it("must be named", async () => {
    const chain = createRagChain({ store: tenants, tenant });
    expect(await errorOf(chain.invoke({ input: "HNSW?" }))).toBeInstanceOf(MissingTenantError);
  });
});

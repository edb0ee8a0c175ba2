import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { RunnableLambda, RunnableWithMessageHistory } from "@langchain/core/runnables";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createConversationalRagChain } from "../../src/chains/index.js";
import {
  ConfigurationError,
  ContentCipherError,
  MissingTenantError,
  OfflineEmbeddings,
  PostgresVectorStore,
  TenantIsolationError,
  type PostgresVectorStoreArgs,
} from "../../src/index.js";
import { openTestDatabase, testSchema, type TestDatabase } from "../helpers/database.js";
import { errorOf } from "../helpers/error-of.js";

let database: TestDatabase;
let store: PostgresVectorStore;
const embeddings = new OfflineEmbeddings();
const open = (args: Partial<PostgresVectorStoreArgs> = {}): Promise<PostgresVectorStore> =>
  PostgresVectorStore.initialize(embeddings, {
    pool: database.pool,
    tableName: "chats",
    tenancy: "rls",
    ...testSchema(),
    ...args,
  });

beforeAll(async () => {
  database = await openTestDatabase();
  store = await open();
});
afterAll(() => database.close());

const texts = async (history: { getMessages(): Promise<{ text: string }[]> }): Promise<string[]> =>
  (await history.getMessages()).map(({ text }) => text);

describe("store.chatHistory", () => {
  it("keeps messages of every kind, in order, until they are cleared", async () => {
    const history = store.forTenant("a").chatHistory("kinds");
    expect(await history.getMessages()).toEqual([]);
    const call = { id: "1", name: "search", args: { query: "x" }, type: "tool_call" as const };
    await history.addMessages([
      new SystemMessage("Be kind."),
      new HumanMessage("half \ud800 and NUL \0."),
      new AIMessage({ content: "", tool_calls: [call] }),
      new ToolMessage({ content: "found", tool_call_id: "1", artifact: [{ id: "d" }] }),
    ]);
    await history.addAIMessage("Done.");
    const messages = await history.getMessages();
    expect(messages.map((message) => message.getType())).toEqual(["system", "human", "ai", "tool", "ai"]);
    expect(messages[1]!.text).toBe("half \ufffd and NUL .");
    expect((messages[2] as AIMessage).tool_calls).toMatchObject([{ name: "search", args: { query: "x" } }]);
    expect(await texts(store.forTenant("a").chatHistory("kinds", { maxMessages: 2 }))).toEqual(["found", "Done."]);
    await history.clear();
    expect(await history.getMessages()).toEqual([]);
  });

  it("keeps tenants, conversations and stores apart", async () => {
    await store.forTenant("a").chatHistory("s").addUserMessage("of a");
    await store.forTenant("b").chatHistory("s").addUserMessage("of b");
    const other = await open({ tableName: "other_chats" });
    expect(await texts(store.forTenant("a").chatHistory("s"))).toEqual(["of a"]);
    expect(await texts(store.forTenant("b").chatHistory("s"))).toEqual(["of b"]);
    expect(await texts(store.forTenant("a").chatHistory("s2"))).toEqual([]);
    expect(await texts(other.forTenant("a").chatHistory("s"))).toEqual([]);
    await store.forTenant("a").chatHistory("s").clear();
    expect(await texts(store.forTenant("b").chatHistory("s"))).toEqual(["of b"]);
    expect((await store.tenants.list()).map(({ tenantId }) => tenantId)).toContain("b");
    expect(await errorOf(store.chatHistory("s").getMessages())).toBeInstanceOf(MissingTenantError);
  });

  it("is suspended and deleted with its tenant", async () => {
    const history = store.forTenant("gone").chatHistory("s");
    await history.addUserMessage("hello");
    await store.tenants.suspend("gone");
    expect(await history.getMessages()).toEqual([]);
    const refused = await errorOf(history.addUserMessage("again"));
    expect(refused).toBeInstanceOf(TenantIsolationError);
    expect(refused.message).toContain("is suspended");
    await store.tenants.resume("gone");
    expect(await texts(history)).toEqual(["hello"]);
    await store.tenants.delete("gone");
    expect(await history.getMessages()).toEqual([]);
  });

  it("keeps turns whole when many write to one conversation", async () => {
    const view = store.forTenant("a");
    const turns = Array.from({ length: 12 }, (_, turn) => [new HumanMessage(`q${turn}`), new AIMessage(`a${turn}`)]);
    await Promise.all(turns.map((turn) => view.chatHistory("busy").addMessages(turn)));
    const all = await texts(view.chatHistory("busy"));
    expect(all).toHaveLength(24);
    for (let at = 0; at < 24; at += 2) expect(all[at + 1]).toBe(all[at]!.replace("q", "a"));
  });

  it("is encrypted where the store encrypts", async () => {
    const key = createHash("sha256").update("key").digest();
    const contentCipher = {
      encrypt(text: string) {
        const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
        return Buffer.concat([cipher.update(text, "utf8"), cipher.final()]).toString("base64");
      },
      decrypt(text: string) {
        const cipher = createDecipheriv("aes-256-ctr", key, Buffer.alloc(16));
        return Buffer.concat([cipher.update(Buffer.from(text, "base64")), cipher.final()]).toString("utf8");
      },
    };
    const secret = await open({ tableName: "secret_chats", contentCipher });
    const history = secret.forTenant("a").chatHistory("s");
    await history.addUserMessage("my PIN is 1234");
    expect(await texts(history)).toEqual(["my PIN is 1234"]);
    const table = secret.computedTableName.replace(/"$/, '_messages"');
    const { rows } = await secret.forTenant("a").pool.query(`select message::text from ${table}`);
    expect(JSON.stringify(rows)).not.toContain("PIN");
    const decrypt = (): string => {
      throw new Error("wrong key");
    };
    const thief = await open({ tableName: "secret_chats", contentCipher: { ...contentCipher, decrypt } });
    expect(await errorOf(thief.forTenant("a").chatHistory("s").getMessages())).toBeInstanceOf(ContentCipherError);
  });

  it.each([[""], ["x".repeat(501)], ["a\0b"], ["\ud800"], [7]])("refuses the session id %j", (sessionId) => {
    expect(() => store.chatHistory(sessionId as string)).toThrow(ConfigurationError);
  });

  it("refuses a limit that is none", () => {
    expect(() => store.chatHistory("s", { maxMessages: 0 })).toThrow(ConfigurationError);
  });

  it("works in LangChain's RunnableWithMessageHistory", async () => {
    const chain = new RunnableWithMessageHistory({
      runnable: RunnableLambda.from(
        ({ history = [] }: { input: string; history?: unknown[] }) => new AIMessage(`seen ${history.length}`),
      ),
      getMessageHistory: (sessionId: string) => store.forTenant("a").chatHistory(sessionId),
      inputMessagesKey: "input",
      historyMessagesKey: "history",
    });
    const config = { configurable: { sessionId: "lc" } };
    await chain.invoke({ input: "one" }, config);
    await chain.invoke({ input: "two" }, config);
    expect(await texts(store.forTenant("a").chatHistory("lc"))).toEqual(["one", "seen 0", "two", "seen 2"]);
  });
});

describe("createConversationalRagChain with a history", () => {
  const tenantOf = ({ configurable }: { configurable?: Record<string, unknown> }) => String(configurable?.["tenant"]);
  const make = (model?: FakeListChatModel) =>
    createConversationalRagChain({
      store,
      tenant: tenantOf,
      ...(model && { model }),
      history: (sessionId, config) => store.forTenant(tenantOf(config)).chatHistory(sessionId),
    });

  it("remembers the conversation of a tenant, and of no other", async () => {
    for (const tenant of ["x", "y"]) {
      const pageContent = `Refunds at ${tenant} take a week. They are paid in the currency of ${tenant}.`;
      await store.forTenant(tenant).addDocuments([{ id: "1", pageContent, metadata: {} }]);
    }
    const chain = make();
    const configurable = { tenant: "x", sessionId: "talk" };
    const first = await chain.invoke({ input: "How long do refunds take?" }, { configurable });
    expect(first.answer).toContain("Refunds at x take a week. [1]");
    const keys: string[] = [];
    for await (const chunk of await chain.stream({ input: "And the currency?" }, { configurable })) {
      keys.push(...Object.keys(chunk));
    }
    expect(keys).toEqual(expect.arrayContaining(["context", "answer", "citations"]));
    const kept = await texts(store.forTenant("x").chatHistory("talk"));
    expect(kept[0]).toBe("How long do refunds take?");
    expect(kept[2]).toBe("And the currency?");
    expect(kept).toHaveLength(4);
    expect(await texts(store.forTenant("y").chatHistory("talk"))).toEqual([]);
  });

  it("keeps nothing of an answer that breaks off", async () => {
    class Failing extends FakeListChatModel {
      override async *_streamResponseChunks(
        ...args: Parameters<FakeListChatModel["_streamResponseChunks"]>
      ): ReturnType<FakeListChatModel["_streamResponseChunks"]> {
        for await (const chunk of super._streamResponseChunks(...args)) {
          yield chunk;
          throw new Error("the model went away");
        }
      }
    }
    const configurable = { tenant: "x", sessionId: "broken" };
    const chain = make(new Failing({ responses: ["Refunds take"] }));
    expect((await errorOf(chain.invoke({ input: "Refunds?" }, { configurable }))).message).toBe("the model went away");
    expect(await texts(store.forTenant("x").chatHistory("broken"))).toEqual([]);
  });
});

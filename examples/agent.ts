// An agent that searches before it answers: npx tsx agent.ts
// With OPENAI_API_KEY set, OpenAI decides what to search for; without, a scripted model shows the way of the messages.
import { ChatOpenAI } from "@langchain/openai";
import { AIMessage, createAgent, fakeModel } from "langchain";
import { OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { createRetrievalTool } from "langchain-pgvector/chains";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";

const pool = await openEmbeddedPostgres();
const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool, tenancy: "rls" });
for (const tenant of ["acme", "globex"]) {
  const pageContent = `${tenant} opens at ${tenant === "acme" ? "nine" : "noon"} and has a car park behind the house.`;
  await store.forTenant(tenant).addDocuments([{ id: "hours", pageContent, metadata: { source: "hours.md" } }]);
}

// The model chooses the query and nothing else: the tenant comes from the config of the call.
const search = createRetrievalTool({
  store,
  tenant: ({ configurable }) => configurable?.["tenant_id"] as string | undefined,
  k: 2,
  name: "search_shop",
  description: "Facts about the shop: opening hours, parking.",
});
const scripted = fakeModel()
  .respondWithTools([{ name: "search_shop", args: { query: "opening hours", tenant_id: "globex" } }])
  .respond(new AIMessage("It opens at nine [1]."));
const model = process.env["OPENAI_API_KEY"] ? new ChatOpenAI({ model: "gpt-4o-mini" }) : scripted;

const agent = createAgent({
  model,
  tools: [search],
  systemPrompt: "Search before you answer, and cite passages as [n].",
});
const messages = [{ role: "user" as const, content: "When does the shop open?" }];
const state = await agent.invoke({ messages }, { configurable: { tenant_id: "acme" } });
for (const message of state.messages) console.log(`${message.type}: ${message.text.replaceAll("\n", " ")}`);
await pool.end();

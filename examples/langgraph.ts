// A LangGraph graph that retrieves, judges what it found, and answers or asks back: npx tsx langgraph.ts
// It needs no server, no key and no model.
import type { DocumentInterface } from "@langchain/core/documents";
import type { RunnableConfig } from "@langchain/core/runnables";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { coverageOf, ExtractiveAnswerer } from "langchain-pgvector/chains";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";

const pool = await openEmbeddedPostgres();
const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool, tenancy: "rls", lexical: true });
await store.forTenant("acme").addDocuments([
  { id: "kite", pageContent: "A kite needs a wind of at least 12 km/h to rise.", metadata: {} },
  { id: "string", pageContent: "Dry the string of a kite before you roll it up.", metadata: {} },
]);

const State = Annotation.Root({
  question: Annotation<string>,
  context: Annotation<DocumentInterface[]>,
  answer: Annotation<string>,
});
type State = typeof State.State;

// Nodes get the config that the application invokes the graph with: the tenant is in it, and in no state.
const tenantOf = (config: RunnableConfig) => String(config.configurable?.["tenant_id"]);
const retrieve = async ({ question }: State, config: RunnableConfig) => {
  const retriever = store.forTenant(tenantOf(config)).asRetriever({ k: 3, searchType: "hybrid" });
  return { context: await retriever.invoke(question, config) };
};
const enough = ({ question, context }: State) => (coverageOf(question, context) >= 0.45 ? "write" : "askBack");
const write = async ({ question, context }: State, config: RunnableConfig) => {
  // With a chat model: createRagChain({ store: store.forTenant(tenantOf(config)), model }).
  const { answer } = await new ExtractiveAnswerer().invoke({ input: question, context }, config);
  return { answer };
};
const askBack = ({ question }: State) => ({
  answer: `I found nothing about "${question}". Can you say it in other words?`,
});

const graph = new StateGraph(State)
  .addNode("retrieve", retrieve)
  .addNode("write", write)
  .addNode("askBack", askBack)
  .addEdge(START, "retrieve")
  .addConditionalEdges("retrieve", enough, ["write", "askBack"])
  .addEdge("write", END)
  .addEdge("askBack", END)
  .compile();

for (const question of ["How much wind does a kite need?", "Who painted the Mona Lisa?"]) {
  const { answer } = await graph.invoke({ question }, { configurable: { tenant_id: "acme" } });
  console.log(answer);
}
await pool.end();

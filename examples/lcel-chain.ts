// The store as a retriever in a chain of LangChain's expression language (LCEL): npx tsx lcel-chain.ts
// Runs offline with an answerer that quotes; with OPENAI_API_KEY set, a prompt and ChatOpenAI take its place.
import type { Document } from "@langchain/core/documents";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { RunnableLambda, RunnablePassthrough, RunnableSequence } from "@langchain/core/runnables";
import { ChatOpenAI } from "@langchain/openai";
import { ExtractiveAnswerer, OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";

interface Evidence {
  input: string;
  context: Document[];
}

const pool = await openEmbeddedPostgres();
const store = await PostgresVectorStore.initialize(new OfflineEmbeddings(), { pool });
await store.addDocuments([
  { id: "kite", pageContent: "A kite needs a wind of at least 12 km/h to rise.", metadata: { topic: "kites" } },
  { id: "sail", pageContent: "A sail needs a wind from the side to be fast.", metadata: { topic: "boats" } },
  { id: "string", pageContent: "Dry the string of a kite before you roll it up.", metadata: { topic: "kites" } },
]);

const quote = new ExtractiveAnswerer({ maxSentences: 1 }).pipe(({ answer }) => answer);

const prompt = ChatPromptTemplate.fromTemplate("Answer from the context alone.\n\n{context}\n\nQuestion: {input}");
const join = ({ input, context }: Evidence) => ({ input, context: context.map((doc) => doc.pageContent).join("\n\n") });
const write = () =>
  RunnableSequence.from<Evidence, string>([
    RunnableLambda.from(join),
    prompt,
    new ChatOpenAI({ model: "gpt-4o-mini" }), // or any other chat model
    new StringOutputParser(),
  ]);

const chain = RunnableSequence.from<string, string>([
  { input: new RunnablePassthrough<string>(), context: store.asRetriever({ k: 2, filter: { topic: "kites" } }) },
  process.env["OPENAI_API_KEY"] ? write() : quote,
]);
console.log(await chain.invoke("How much wind does a kite need?"));
await pool.end();

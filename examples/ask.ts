// Answers a question from the files of a folder, with citations. Needs no server and no key:
//   npx tsx ask.ts docs "Why does a filtered search return too few rows?"
// With OPENAI_API_KEY set, OpenAI's models embed the files and write the answer.
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { createRagChain, formatCitation } from "langchain-pgvector/chains";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";
import { loadDocuments, splitDocuments } from "langchain-pgvector/loaders";

const [folder, question] = process.argv.slice(2);
if (!folder || !question) throw new Error('Say where to look and what for: npx tsx ask.ts <folder> "<question>"');
const key = process.env["OPENAI_API_KEY"];
const embeddings = key ? new OpenAIEmbeddings({ model: "text-embedding-3-small" }) : new OfflineEmbeddings();

const pool = await openEmbeddedPostgres(); // or: new pg.Pool({ connectionString: process.env.DATABASE_URL })
const store = await PostgresVectorStore.initialize(embeddings, { pool });
const chunks = [];
for await (const chunk of splitDocuments(loadDocuments(folder))) chunks.push(chunk);
await store.addDocuments(chunks);

const chain = createRagChain({ store, ...(key && { model: new ChatOpenAI({ model: "gpt-4o-mini" }) }) });
const { answer, citations } = await chain.invoke({ input: question });
console.log(answer);
for (const citation of citations) console.log(`[${citation.index}] ${formatCitation(citation)}: "${citation.quote}"`);
await pool.end();

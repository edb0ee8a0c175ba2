// Answers a file of questions from the files of a folder, a line of JSON for each: npx tsx batch-qa.ts docs questions.txt
// Needs no server and no key. With OPENAI_API_KEY set, OpenAI's models embed and answer, within a budget.
import { readFileSync } from "node:fs";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { OfflineEmbeddings, PostgresVectorStore } from "langchain-pgvector";
import { createRagChain, formatCitation, ModelLimits } from "langchain-pgvector/chains";
import { openEmbeddedPostgres } from "langchain-pgvector/embedded";
import { loadDocuments, splitDocuments } from "langchain-pgvector/loaders";

const [folder, file] = process.argv.slice(2);
if (!folder || !file)
  throw new Error("Say where to look and what for: npx tsx batch-qa.ts <folder> <file of questions>");
const questions = readFileSync(file, "utf8")
  .split("\n")
  .filter((line) => line.trim() !== "");
const key = process.env["OPENAI_API_KEY"];
const limits = new ModelLimits({ maxTokens: 500_000, callsPerMinute: 60 });

const pool = await openEmbeddedPostgres(); // or: new pg.Pool({ connectionString: process.env.DATABASE_URL })
const store = await PostgresVectorStore.initialize(key ? new OpenAIEmbeddings() : new OfflineEmbeddings(), {
  pool,
  lexical: true,
});
const { rows } = await store.bulkLoad(splitDocuments(loadDocuments(folder)));
console.error(`${rows} chunks`);

const model = key ? limits.limit(new ChatOpenAI({ model: "gpt-4o-mini" })) : undefined;
const chain = createRagChain({ store, searchType: "hybrid", ...(model && { model }) });
// Four at a time; a question that fails does not stop the others.
const inputs = questions.map((input) => ({ input }));
const results = await chain.batch(inputs, { maxConcurrency: 4 }, { returnExceptions: true });
results.forEach((result, index) => {
  const question = questions[index];
  if (result instanceof Error) return console.log(JSON.stringify({ question, error: result.message }));
  const { answer, abstained, citations } = result;
  console.log(JSON.stringify({ question, answer, abstained, sources: citations.map(formatCitation) }));
});
await pool.end();

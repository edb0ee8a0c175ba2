import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { createRagChain } from "../chains/index.js";
import { Database } from "../db/database.js";
import { OfflineEmbeddings } from "../embeddings/offline.js";
import { inspectSchema } from "../schema/inspect.js";
import { resolveOptions } from "../store/options.js";
import { PostgresVectorStore } from "../store/postgres-vector-store.js";
import { citationLines } from "./ask.js";
import type { CliContext } from "./context.js";
import { ingestFiles } from "./ingest-files.js";
import { EMBEDDED_FOLDER, openEmbedded, openServer, type Target } from "./target.js";

const GUIDE = fileURLToPath(new URL("../../docs/production-guide.md", import.meta.url));
const TABLE = "langchain_pgvector_demo";

/** Three that the guide answers, and one that it does not. */
const QUESTIONS = [
  "How much RAM do one million vectors of 1536 dimensions need?",
  "Why does a filtered vector search return too few rows?",
  "Which role must the application use under row-level security?",
  "What does a managed Postgres instance cost per month?",
];

export function addDemo(program: Command, context: CliContext): void {
  program
    .command("demo")
    .description("answer questions about running pgvector in production, with no key and no server")
    .option("--database-url <url>", "Postgres to use instead of the embedded one (DATABASE_URL is ignored)")
    .addHelpText("after", "\nExample:\n  npx langchain-pgvector demo")
    .action((flags: { databaseUrl?: string }) => demo(context, flags.databaseUrl));
}

async function demo(context: CliContext, databaseUrl: string | undefined): Promise<void> {
  const started = Date.now();
  const folder = join(context.cwd, EMBEDDED_FOLDER, "demo");
  // Each run starts from nothing, so that what it shows is what a first run shows.
  if (databaseUrl === undefined) await rm(folder, { recursive: true, force: true });
  const target = databaseUrl === undefined ? await openEmbedded(context, folder) : openServer(databaseUrl);
  try {
    await show(context, target);
  } finally {
    await target.close();
  }
  context.out(`\nDone in ${((Date.now() - started) / 1_000).toFixed(1)} s. Next:`);
  context.out('  npx langchain-pgvector ingest ./docs && npx langchain-pgvector ask "your question"');
  context.out(
    "  OPENAI_API_KEY=... npx langchain-pgvector ingest ./docs --table docs_openai   # or --embeddings ollama",
  );
  context.out("  npx langchain-pgvector ingest ./docs --database-url postgres://user:password@host/db");
}

async function show(context: CliContext, target: Target): Promise<void> {
  const embeddings = new OfflineEmbeddings();
  const args = { pool: target.pool, tableName: TABLE };
  context.err(`database: ${target.label} · tenant: default · embedder: offline (matches words, not meaning)`);
  const store = await PostgresVectorStore.initialize(embeddings, args);
  context.out(await engineLine(target));
  const { files, chunks } = await ingestFiles(store, [GUIDE], { cwd: dirname(GUIDE), signal: context.signal });
  const words = (await readFile(GUIDE, "utf8")).split(/\s+/).length;
  context.out(
    `${files} file (${words.toLocaleString("en")} words) in ${chunks} chunks; embedder: ${embeddings.model}, matches words, not meaning`,
  );
  const chain = createRagChain({ retriever: store.asRetriever({ k: 4 }) });
  for (const input of QUESTIONS) {
    const { answer, citations } = await chain.invoke({ input });
    context.out(`\nQ: ${input}\nA: ${answer}`);
    for (const line of citationLines(citations)) context.out(`   ${line}`);
  }
}

async function engineLine(target: Target): Promise<string> {
  const { layout } = resolveOptions({ pool: target.pool, tableName: TABLE });
  const { server } = await new Database(target.pool).connection((session) => inspectSchema(session, layout));
  const version = `${Math.floor(server.version / 10_000)}.${server.version % 10_000}`;
  return `PostgreSQL ${version} with pgvector ${server.vector!.version}, ${target.label}`;
}

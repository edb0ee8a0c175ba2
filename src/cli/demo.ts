import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { createRagChain, type Citation } from "../chains/index.js";
import { Database } from "../db/database.js";
import { OfflineEmbeddings } from "../embeddings/offline.js";
import { syncDocuments } from "../loaders/sync/sync-documents.js";
import { inspectSchema } from "../schema/inspect.js";
import { resolveOptions } from "../store/options.js";
import { PostgresVectorStore } from "../store/postgres-vector-store.js";
import { announce } from "./announce.js";
import { citationLines } from "./print-answer.js";
import type { CliContext } from "./context.js";
import { addJsonFlag } from "./flags.js";
import { withTarget, type Target } from "./target.js";

const GUIDE = fileURLToPath(new URL("../../docs/production-guide.md", import.meta.url));
const TABLE = "langchain_pgvector_demo";

/** Three that the guide answers, and one that it does not. */
const QUESTIONS = [
  "How much RAM do one million vectors of 1536 dimensions need?",
  "Why does a filtered vector search return too few rows?",
  "Which role must the application use under row-level security?",
  "What does a managed Postgres instance cost per month?",
];

const NEXT = [
  `npx langchain-pgvector ask "How do I measure the recall of an index?" --table ${TABLE}`,
  'npx langchain-pgvector ingest ./docs && npx langchain-pgvector ask "your question"',
  "OPENAI_API_KEY=... npx langchain-pgvector ingest ./docs --database-url postgres://user:password@host/db",
];

interface DemoFlags {
  readonly databaseUrl?: string;
  readonly json?: boolean;
}

interface Shown {
  readonly engine: string;
  readonly embedder: string;
  readonly files: number;
  readonly words: number;
  readonly chunks: number;
  readonly answers: readonly { readonly question: string; readonly answer: string; readonly citations: Citation[] }[];
}

export function addDemo(program: Command, context: CliContext): void {
  const command = program
    .command("demo")
    .description("answer questions about running pgvector in production, with no key and no server")
    .option("--database-url <url>", "Postgres to use instead of the embedded one (DATABASE_URL is ignored)");
  addJsonFlag(command)
    .addHelpText(
      "after",
      `
Loads the guide that comes with the package into the table ${TABLE}. Nothing leaves this machine: keys and
DATABASE_URL in the environment are ignored.

Examples:
  npx langchain-pgvector demo
  npx langchain-pgvector demo --database-url postgres://localhost/scratch`,
    )
    .action((flags: DemoFlags) => demo(context, flags));
}

async function demo(context: CliContext, { databaseUrl, json }: DemoFlags): Promise<void> {
  const started = Date.now();
  const offline: CliContext = { ...context, env: {} };
  const flags = databaseUrl === undefined ? {} : { databaseUrl };
  const print = (line: string): void => (json ? undefined : context.out(line));
  const shown = await withTarget(offline, flags, "create", (target) => show(context, target, print));
  const seconds = (Date.now() - started) / 1_000;
  if (json) {
    context.out(JSON.stringify({ ...shown, seconds, next: NEXT }));
    return;
  }
  print(`\nDone in ${seconds.toFixed(1)} s. Next:`);
  for (const line of NEXT) print(`  ${line}`);
}

async function show(context: CliContext, target: Target, print: (line: string) => void): Promise<Shown> {
  const embeddings = new OfflineEmbeddings();
  announce(context, target, { provider: "offline" });
  const store = await PostgresVectorStore.initialize(embeddings, { pool: target.pool, tableName: TABLE });
  const engine = await describeEngine(target);
  print(`${engine}, ${target.label}`);
  const { files, chunks } = await syncDocuments(store, GUIDE, { cwd: dirname(GUIDE), signal: context.signal });
  const words = (await readFile(GUIDE, "utf8")).split(/\s+/).length;
  print(
    `${files} file (${words.toLocaleString("en")} words) in ${chunks} chunks; embedder: ${embeddings.model}, matches words, not meaning`,
  );
  const chain = createRagChain({ store, k: 4 });
  const answers = [];
  for (const question of QUESTIONS) {
    context.signal.throwIfAborted();
    const { answer, citations } = await chain.invoke({ input: question });
    answers.push({ question, answer, citations });
    print(`\nQ: ${question}\nA: ${answer}`);
    for (const line of citationLines(citations)) print(`   ${line}`);
  }
  return { engine, embedder: embeddings.model, files, words, chunks, answers };
}

async function describeEngine(target: Target): Promise<string> {
  const { layout } = resolveOptions({ pool: target.pool, tableName: TABLE });
  const { server } = await new Database(target.pool).connection((session) => inspectSchema(session, layout));
  const version = `${Math.floor(server.version / 10_000)}.${server.version % 10_000}`;
  return `PostgreSQL ${version} with pgvector ${server.vector!.version}`;
}

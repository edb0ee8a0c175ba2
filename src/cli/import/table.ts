import type { Command } from "commander";
import { importTable, planImportTable, type ImportTableArgs } from "../../chroma/index.js";
import type { CliContext } from "../context.js";
import { openServer } from "../target.js";
import { addImportFlags, type ImportFlags } from "./flags.js";
import { readMapping, runImport } from "./run.js";

interface ImportTableFlags extends ImportFlags {
  readonly sourceUrl?: string;
  readonly sourceSchema?: string;
  readonly mapping?: string;
}

export function addImportTable(program: Command, context: CliContext): void {
  const command = program
    .command("table")
    .description("copy rows with their vectors from a table, such as one of LangChain's PGVectorStore")
    .argument("<source>", "the table to read; its id must be unique")
    .argument("[collections...]", "collections to import (default: all)")
    .option("--source-url <url>", "its database; better, with a password: SOURCE_DATABASE_URL (default: the same)")
    .option("--source-schema <name>", "its schema (default: by the search path)")
    .option("--mapping <file>", "JSON that says which columns hold what (default: those of PGVectorStore)");
  addImportFlags(command)
    .addHelpText(
      "after",
      `
A table of PGVectorStore in the same database needs no copy: langchain-pgvector adopt.
A mapping for another table:
  { "id": "id", "vector": "embedding", "document": "content", "metadata": "metadata" }

Examples:
  langchain-pgvector import table testlangchainjs --plan
  langchain-pgvector import table documents --mapping mapping.json --embeddings openai:text-embedding-3-small`,
    )
    .action((table: string, collections: string[], flags: ImportTableFlags) => run(context, table, collections, flags));
}

async function run(context: CliContext, table: string, collections: string[], flags: ImportTableFlags): Promise<void> {
  const mapping = flags.mapping === undefined ? undefined : await readMapping(context, flags.mapping);
  const origin = flags.sourceUrl === undefined ? "SOURCE_DATABASE_URL" : "--source-url";
  const url = flags.sourceUrl ?? (context.env["SOURCE_DATABASE_URL"]?.trim() || undefined);
  const other = url === undefined ? undefined : openServer(url, origin);
  try {
    await runImport<ImportTableArgs>(context, flags, collections, {
      withSource: (shared) => ({
        ...shared,
        source: {
          table,
          ...(flags.sourceSchema !== undefined && { schema: flags.sourceSchema }),
          ...(other !== undefined && { pool: other.pool }),
        },
        ...(mapping !== undefined && { mapping }),
      }),
      plan: planImportTable,
      run: importTable,
    });
  } finally {
    await other?.close();
  }
}

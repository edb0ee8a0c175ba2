import type { Command } from "commander";
import type { CliContext } from "../context.js";
import { addImportChroma } from "./chroma.js";
import { addImportFiles } from "./files.js";
import { addImportTable } from "./table.js";

export function addImport(program: Command, context: CliContext): void {
  const command = program
    .command("import")
    .description("copy records with their embeddings from another vector store, without embedding anything again")
    .addHelpText(
      "after",
      `
Examples:
  langchain-pgvector import chroma --plan
  langchain-pgvector import chroma notes --url http://localhost:8000 --embeddings openai:text-embedding-3-small
  langchain-pgvector import parquet vectors.parquet --mapping mapping.json
  langchain-pgvector import table testlangchainjs --source-url postgres://localhost/old`,
    );
  addImportChroma(command, context);
  addImportFiles(command, context);
  addImportTable(command, context);
}

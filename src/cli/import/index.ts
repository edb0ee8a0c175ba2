import type { Command } from "commander";
import type { CliContext } from "../context.js";
import { addImportChroma } from "./chroma.js";
import { addImportJsonl } from "./jsonl.js";

export function addImport(program: Command, context: CliContext): void {
  const command = program
    .command("import")
    .description("copy records with their embeddings from another vector store, without embedding anything again")
    .addHelpText(
      "after",
      `
Examples:
  langchain-pgvector import chroma --plan
  langchain-pgvector import chroma notes --url http://localhost:8000 --embeddings openai:text-embedding-3-small`,
    );
  addImportChroma(command, context);
  addImportJsonl(command, context);
}

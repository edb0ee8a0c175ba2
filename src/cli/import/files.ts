import { resolve } from "node:path";
import type { Command } from "commander";
import {
  importJsonl,
  importParquet,
  planImportJsonl,
  planImportParquet,
  type ImportJsonlArgs,
} from "../../chroma/index.js";
import type { CliContext } from "../context.js";
import { addImportFlags, type ImportFlags } from "./flags.js";
import { readMapping, runImport, type ImportVerb } from "./run.js";

interface ImportFileFlags extends ImportFlags {
  readonly mapping: string;
}

interface FileVerb extends Omit<ImportVerb<ImportJsonlArgs>, "withSource"> {
  readonly name: string;
  readonly what: string;
  readonly item: string;
  readonly help: string;
}

const VERBS: readonly FileVerb[] = [
  {
    name: "jsonl",
    what: "file of JSON lines",
    item: "line",
    plan: planImportJsonl,
    run: importJsonl,
    help: `
A mapping for an export of Pinecone:
  { "id": "id", "vector": "values", "document": "metadata.text", "metadata": "metadata", "collection": "namespace" }
For one of Qdrant:
  { "id": "id", "vector": "vector", "document": "payload.text", "metadata": "payload", "name": "notes" }
"metric" in it is cosine (default), euclidean or innerProduct.

Examples:
  langchain-pgvector import jsonl vectors.jsonl --mapping mapping.json --plan
  langchain-pgvector import jsonl vectors.jsonl --mapping mapping.json --embeddings openai:text-embedding-3-small`,
  },
  {
    name: "parquet",
    what: "Parquet file",
    item: "row",
    plan: planImportParquet,
    run: importParquet,
    help: `
A mapping for a file in Pinecone's format, whose metadata is JSON text:
  { "id": "id", "vector": "values", "document": "metadata.text", "metadata": "metadata", "name": "notes" }

Examples:
  langchain-pgvector import parquet vectors.parquet --mapping mapping.json --plan
  langchain-pgvector import parquet vectors.parquet --mapping mapping.json --embeddings openai:text-embedding-3-small`,
  },
];

export function addImportFiles(program: Command, context: CliContext): void {
  for (const { name, what, item, help, plan, run } of VERBS) {
    const command = program
      .command(name)
      .description(`copy records with ready vectors from a ${what}, such as an export of another store`)
      .argument("<file>", `one record in each ${item}`)
      .argument("[collections...]", "collections to import (default: all)")
      .requiredOption("--mapping <file>", "JSON that says where in a record its parts are");
    addImportFlags(command)
      .addHelpText("after", help)
      .action(async (file: string, collections: string[], flags: ImportFileFlags) => {
        const mapping = await readMapping(context, flags.mapping);
        const withSource: ImportVerb<ImportJsonlArgs>["withSource"] = (shared) => {
          return { ...shared, file: resolve(context.cwd, file), mapping };
        };
        await runImport(context, flags, collections, { withSource, plan, run });
      });
  }
}

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { importJsonl, planImportJsonl, type ImportJsonlArgs, type RecordMapping } from "../../chroma/index.js";
import { ConfigurationError } from "../../errors.js";
import { announce } from "../announce.js";
import type { CliContext } from "../context.js";
import { withTarget } from "../target.js";
import { addImportFlags, importArgs, type ImportFlags } from "./flags.js";
import { planText, reportText } from "./report.js";

interface ImportJsonlFlags extends ImportFlags {
  readonly mapping: string;
}

export function addImportJsonl(program: Command, context: CliContext): void {
  const command = program
    .command("jsonl")
    .description("copy records with ready vectors from a file of JSON lines, such as an export of another store")
    .argument("<file>", "one record in each line")
    .argument("[collections...]", "collections to import (default: all)")
    .requiredOption("--mapping <file>", "JSON that says where in a record its parts are");
  addImportFlags(command)
    .addHelpText(
      "after",
      `
A mapping for an export of Pinecone:
  { "id": "id", "vector": "values", "document": "metadata.text", "metadata": "metadata", "collection": "namespace" }
For one of Qdrant:
  { "id": "id", "vector": "vector", "document": "payload.text", "metadata": "payload", "name": "notes" }
"metric" in it is cosine (default), euclidean or innerProduct.

Examples:
  langchain-pgvector import jsonl vectors.jsonl --mapping mapping.json --plan
  langchain-pgvector import jsonl vectors.jsonl --mapping mapping.json --embeddings openai:text-embedding-3-small`,
    )
    .action((file: string, collections: string[], flags: ImportJsonlFlags) => run(context, file, collections, flags));
}

async function run(context: CliContext, file: string, collections: string[], flags: ImportJsonlFlags): Promise<void> {
  const mapping = await readMapping(resolve(context.cwd, flags.mapping));
  await withTarget(context, flags, "never", async (target) => {
    announce(context, target, undefined, undefined, flags.tenant);
    const args: ImportJsonlArgs = {
      ...importArgs(context, target, flags, collections),
      file: resolve(context.cwd, file),
      mapping,
    };
    if (flags.plan) {
      const plan = await planImportJsonl(args);
      context.out(flags.json ? JSON.stringify(plan) : planText(plan));
      return;
    }
    const report = await importJsonl(args);
    context.out(flags.json ? JSON.stringify(report) : reportText(report));
  });
}

/** Its content is checked by the import. */
async function readMapping(path: string): Promise<RecordMapping> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as RecordMapping;
  } catch (cause) {
    throw new ConfigurationError(`${path} cannot be read as JSON: ${(cause as Error).message}.`, { cause });
  }
}

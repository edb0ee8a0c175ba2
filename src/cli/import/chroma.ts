import { resolve } from "node:path";
import type { Command } from "commander";
import { importChroma, planImportChroma, type ChromaConnection, type ImportChromaArgs } from "../../chroma/index.js";
import { ConfigurationError } from "../../errors.js";
import type { CliContext } from "../context.js";
import { addImportFlags, type ImportFlags } from "./flags.js";
import { runImport } from "./run.js";

export interface ChromaFlags {
  readonly url?: string;
  readonly chromaTenant?: string;
  readonly chromaDatabase?: string;
  readonly header?: readonly string[];
}

interface ImportChromaFlags extends ImportFlags, ChromaFlags {
  readonly dataDir?: string;
}

/** Adds the flags that say which Chroma server. */
export function addChromaFlags(command: Command): Command {
  return command
    .option("--url <url>", "Chroma server (default: http://localhost:8000)")
    .option("--chroma-tenant <name>", "tenant of Chroma (default: default_tenant)")
    .option("--chroma-database <name>", "database of Chroma (default: default_database)")
    .option(
      "--header <name: value>",
      "sent with every request; better for a token: the environment variable CHROMA_API_KEY, which others cannot see",
      (text: string, earlier: readonly string[] = []) => [...earlier, text],
    );
}

export function addImportChroma(program: Command, context: CliContext): void {
  const command = program
    .command("chroma")
    .description("copy collections of ChromaDB, all of them when none is named")
    .argument("[collections...]", "collections to import")
    .option("--data-dir <folder>", "a Chroma data directory instead of a server; needs the npm package chromadb");
  addImportFlags(addChromaFlags(command))
    .addHelpText(
      "after",
      `
A collection becomes visible at once, after every record was compared with the source. After an interruption the same
command goes on where it stopped.

Examples:
  langchain-pgvector import chroma --plan
  langchain-pgvector import chroma --embeddings openai:text-embedding-3-small
  langchain-pgvector import chroma notes wiki --url https://chroma.example.org --existing replace
  langchain-pgvector import chroma --into table --table "chroma_{collection}"
  langchain-pgvector import chroma --data-dir ./chroma-copy`,
    )
    .action((collections: string[], flags: ImportChromaFlags) => run(context, collections, flags));
}

async function run(context: CliContext, collections: string[], flags: ImportChromaFlags): Promise<void> {
  if (flags.dataDir !== undefined && flags.url !== undefined) {
    throw new ConfigurationError("Give --url or --data-dir, not both.");
  }
  await runImport<ImportChromaArgs>(context, flags, collections, {
    withSource: (shared) => ({
      ...shared,
      chroma: chromaConnection(context, flags),
      ...(flags.dataDir !== undefined && { dataDir: resolve(context.cwd, flags.dataDir) }),
    }),
    plan: planImportChroma,
    run: importChroma,
  });
}

export function chromaConnection(context: CliContext, flags: ChromaFlags): ChromaConnection {
  const key = context.env["CHROMA_API_KEY"]?.trim();
  return {
    url: flags.url,
    tenant: flags.chromaTenant,
    database: flags.chromaDatabase,
    headers: { ...(key && { "x-chroma-token": key }), ...parseHeaders(flags.header ?? []) },
    signal: context.signal,
  };
}

/** @throws ConfigurationError that does not quote the text, which may hold a secret. */
function parseHeaders(texts: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const text of texts) {
    const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):\s*([\x20-\x7e]+)$/.exec(text.trim()) ?? [];
    if (name === undefined || value === undefined) throw new ConfigurationError('Write --header like "name: value".');
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

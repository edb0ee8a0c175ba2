import { Option, type Command } from "commander";
import { ConfigurationError, LoadError } from "../errors.js";
import { findSources } from "../loaders/find-sources.js";
import type { CliContext } from "./context.js";
import {
  addEmbeddingFlags,
  addJsonFlag,
  addLexicalFlags,
  addTargetFlags,
  addTenancyFlags,
  atLeast,
  columns,
  dashed,
} from "./flags.js";
import { ingestVectors, type VectorFlags } from "./ingest-vectors.js";
import { ingestFiles, type IngestResult } from "./ingest-files.js";
import { resolveEmbeddings } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { withTarget } from "./target.js";

interface IngestFlags extends Omit<VectorFlags, "from"> {
  readonly from?: string;
  readonly chunkSize?: number;
  readonly chunkOverlap?: number;
}

export function addIngest(program: Command, context: CliContext): void {
  const command = program
    .command("ingest")
    .description("load files, split them, and store their chunks with embeddings")
    .argument("[paths...]", "files, folders or patterns: text, Markdown, HTML, PDF, source code")
    .option("--chunk-size <characters>", "most characters of a chunk (default: 1000)", atLeast(2))
    .option("--chunk-overlap <characters>", "characters repeated between chunks (default: 100)", atLeast(0));
  addVectorFlags(command);
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addLexicalFlags(command)))))
    .addHelpText(
      "after",
      `
Running it again embeds only what is new, and removes the chunks that a changed file no longer has. Run it from the same
folder each time: the paths, as seen from there, name the files in the store.

Examples:
  langchain-pgvector ingest docs README.md
  langchain-pgvector ingest "notes/**/*.md" --table notes --database-url postgres://localhost/rag
  langchain-pgvector ingest docs --embeddings ollama:nomic-embed-text --table docs_ollama
  langchain-pgvector ingest --from vectors.parquet --fields content=body --embeddings openai --checkpoint vectors
  langchain-pgvector ingest --from vectors.npy --documents texts.jsonl --on-error skip --embeddings openai`,
    )
    .action((paths: string[], flags: IngestFlags) => ingest(context, paths, flags));
}

/** Adds the flags of loading ready vectors. */
function addVectorFlags(command: Command): void {
  command
    .option("--from <file>", "load documents with ready vectors: .jsonl, .parquet, .npy, .csv")
    .option("--documents <file>", "JSON Lines file with the texts of a .npy file, in the same order")
    .option(
      "--fields <names>",
      "fields of --from (default: id=id,content=text,metadata=metadata,embedding=embedding)",
      columns,
    )
    .addOption(
      new Option("--on-error <policy>", "what a row of --from that cannot be stored does (default: fail)").choices([
        "fail",
        "skip",
      ]),
    )
    .option("--checkpoint <name>", "let another run with this name go on where this one of --from was stopped")
    .addOption(
      new Option(
        "--indexes <strategy>",
        "what becomes of vector indexes while --from is loaded (default: auto)",
      ).choices(["keep", "rebuild", "auto"]),
    );
}

async function ingest(context: CliContext, paths: string[], flags: IngestFlags): Promise<void> {
  const { from } = flags;
  if (from !== undefined) {
    if (paths.length > 0) throw new ConfigurationError("--from loads one file of vectors; leave the paths out.");
    if (flags.chunkSize !== undefined || flags.chunkOverlap !== undefined) {
      throw new ConfigurationError("--chunk-size and --chunk-overlap split files; --from loads rows as they are.");
    }
    await withTarget(context, flags, "create", (target) => ingestVectors(context, target, { ...flags, from }));
    return;
  }
  if (paths.length === 0)
    throw new ConfigurationError("Name what to ingest: files, folders or patterns, or --from <file>.");
  for (const name of ["documents", "fields", "onError", "checkpoint", "indexes"] as const) {
    if (flags[name] !== undefined) throw new ConfigurationError(`--${dashed(name)} goes with --from.`);
  }
  // A misspelt path or model must not leave an empty store behind.
  await findSources(paths, context.cwd);
  if (flags.embeddings !== undefined) resolveEmbeddings(flags, context.env);
  await withTarget(context, flags, "create", async (target) => {
    const store = await openCliStore(context, target, flags, { create: true });
    const started = Date.now();
    const result = await ingestFiles(store, paths, {
      cwd: context.cwd,
      signal: context.signal,
      ...(flags.chunkSize !== undefined && { chunkSize: flags.chunkSize }),
      ...(flags.chunkOverlap !== undefined && { chunkOverlap: flags.chunkOverlap }),
      onFile: ({ source, chunks }) => context.err(`${source}: ${count(chunks.length, "chunk")}`),
      onProgress: (done, of) => done < of && context.err(`embedded ${done} of ${of} chunks`),
      onSkip: ({ error }) => context.err(`skipped: ${error.message}`),
    });
    const seconds = (Date.now() - started) / 1_000;
    report(context, result, seconds, flags.json === true);
    if (result.files === 0) throw nothingRead(paths, result);
  });
}

function report(context: CliContext, result: IngestResult, seconds: number, json: boolean): void {
  if (json) {
    context.out(JSON.stringify({ ...result, seconds }));
    return;
  }
  const { files, chunks, embedded, removed, skipped } = result;
  const others = listUnsupported(result);
  if (others !== "") context.err(`left out, as their format is not supported: ${others}`);
  const parts = [
    count(files, "file"),
    `${count(chunks, "chunk")} (${embedded} new)`,
    ...(removed > 0 ? [`${count(removed, "old chunk")} removed`] : []),
    ...(skipped > 0 ? [`${count(skipped, "file")} skipped`] : []),
  ];
  context.out(`${parts.join(", ")} in ${seconds.toFixed(1)} s`);
}

function nothingRead(paths: string[], result: IngestResult): LoadError {
  const others = listUnsupported(result);
  const found =
    others === "" ? "no file that could be read" : `only files of formats that are not supported: ${others}`;
  return new LoadError(`${paths.join(", ")} held ${found}.`, paths.join(", "));
}

function listUnsupported({ unsupported }: IngestResult): string {
  return Object.entries(unsupported)
    .map(([extension, number]) => `${number} ${extension || "without extension"}`)
    .join(", ");
}

function count(number: number, what: string): string {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

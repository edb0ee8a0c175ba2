import { InvalidArgumentError, Option, type Command } from "commander";
import { existsSync } from "node:fs";
import { ConfigurationError, SchemaVersionError } from "../errors.js";
import { findSources } from "../loaders/find-sources.js";
import { DOCUMENT_FORMATS } from "../loaders/formats.js";
import { SPLITTERS } from "../loaders/splitters/options.js";
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
import { ingestSources, type SourceFlags } from "./ingest-sources.js";
import { ingestVectors, type VectorFlags } from "./ingest-vectors.js";
import { resolveEmbeddings } from "./model-options.js";
import { embeddedFolder, withTarget } from "./target.js";
import { checkWatchable } from "./watch-sources.js";

interface IngestFlags extends Omit<VectorFlags, "from">, SourceFlags {
  readonly from?: string;
}

export function addIngest(program: Command, context: CliContext): void {
  const command = program
    .command("ingest")
    .description("load files, split them, and store their chunks with embeddings")
    .argument(
      "[paths...]",
      "files, folders, patterns, web addresses, - for standard input: text, Markdown, HTML, PDF, DOCX, PPTX, EPUB, " +
        "CSV, JSON, subtitles, source code",
    );
  addSourceFlags(command);
  addVectorFlags(command);
  addJsonFlag(addEmbeddingFlags(addTenancyFlags(addTargetFlags(addLexicalFlags(command)))))
    .addHelpText(
      "after",
      `
Running it again embeds and writes only what is new or has changed, and removes what is gone from the named folders and
patterns. Run it from the same folder each time: the paths, as seen from there, name the files in the store.

Examples:
  langchain-pgvector ingest docs README.md
  langchain-pgvector ingest docs --watch
  langchain-pgvector ingest https://www.postgresql.org/docs/current/textsearch.html
  langchain-pgvector ingest tickets.jsonl --text-fields title,body --metadata-fields author,status
  langchain-pgvector ingest "notes/**/*.md" --table notes --database-url postgres://localhost/rag
  langchain-pgvector ingest docs --embeddings ollama:nomic-embed-text --table docs_ollama
  langchain-pgvector ingest --from vectors.parquet --fields content=body --embeddings openai --checkpoint vectors
  langchain-pgvector ingest --from vectors.npy --documents texts.jsonl --on-error skip --embeddings openai`,
    )
    .action((paths: string[], flags: IngestFlags) => ingest(context, paths, flags));
}

/** Adds the flags of loading and splitting files. */
function addSourceFlags(command: Command): void {
  command
    .addOption(new Option("--splitter <name>", "where texts are cut (default: auto)").choices(SPLITTERS))
    .option("--chunk-size <characters>", "most characters of a chunk, or tokens (default: 1000)", atLeast(2))
    .option("--chunk-overlap <characters>", "characters repeated between chunks (default: 100)", atLeast(0))
    .addOption(
      new Option("--format <format>", "how to read standard input and files whose name does not say").choices(
        DOCUMENT_FORMATS,
      ),
    )
    .option("--text-fields <names>", "fields of CSV and JSON records that make the text (default: all)", list)
    .option("--metadata-fields <names>", "fields that are kept as metadata (default: the short ones)", list)
    .option("--max-file-mb <number>", "larger files are left out (default: 50)", atLeast(1))
    .option("--allow-private-urls", "let web addresses lead into your own network")
    .option("--keep-deleted", "keep the chunks of files that are gone")
    .option("--cache", "keep vectors by text, so that no text is embedded twice")
    .option("--watch", "stay, and ingest again whenever a file changes");
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

const VECTORS_ONLY = ["documents", "fields", "onError", "checkpoint", "indexes"] as const;
const SOURCES_ONLY = [
  ...(["format", "textFields", "metadataFields", "maxFileMb", "allowPrivateUrls", "keepDeleted", "cache"] as const),
  ...(["watch", "splitter"] as const),
];

async function ingest(context: CliContext, paths: string[], flags: IngestFlags): Promise<void> {
  const { from } = flags;
  if (from !== undefined) {
    if (paths.length > 0) throw new ConfigurationError("--from loads one file of vectors; leave the paths out.");
    if (flags.chunkSize !== undefined || flags.chunkOverlap !== undefined) {
      throw new ConfigurationError("--chunk-size and --chunk-overlap split files; --from loads rows as they are.");
    }
    for (const name of SOURCES_ONLY) {
      if (flags[name] !== undefined)
        throw new ConfigurationError(`--${dashed(name)} goes with files, not with --from.`);
    }
    await withTarget(context, flags, "create", (target) => ingestVectors(context, target, { ...flags, from }));
    return;
  }
  if (paths.length === 0)
    throw new ConfigurationError("Name what to ingest: files, folders or patterns, or --from <file>.");
  for (const name of VECTORS_ONLY) {
    if (flags[name] !== undefined) throw new ConfigurationError(`--${dashed(name)} goes with --from.`);
  }
  if (flags.watch === true) checkWatchable(paths);
  // A misspelt path or model must not leave an empty store behind; a store that is there may know a path that is gone.
  const { missing } = await findSources(paths, context.cwd, flags.format);
  const [first] = missing;
  if (first !== undefined && !mayExist(context, flags)) throw first.error;
  if (flags.embeddings !== undefined) resolveEmbeddings(flags, context.env);
  await withTarget(context, flags, "create", (target) =>
    ingestSources(context, target, paths, flags, first === undefined).catch((error: unknown) => {
      throw first !== undefined && error instanceof SchemaVersionError ? first.error : error;
    }),
  );
}

function mayExist(context: CliContext, flags: IngestFlags): boolean {
  const url = flags.databaseUrl ?? context.env["DATABASE_URL"]?.trim();
  return (url !== undefined && url !== "") || existsSync(embeddedFolder(context));
}

function list(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.some((name) => name === ""))
    throw new InvalidArgumentError("Write the names with commas, like title,body.");
  return names;
}

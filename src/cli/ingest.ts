import type { Command } from "commander";
import type { CliContext } from "./context.js";
import { addEmbeddingFlags, addJsonFlag, addTargetFlags, atLeast } from "./flags.js";
import { ingestFiles } from "./ingest-files.js";
import type { ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { openTarget, type TargetFlags } from "./target.js";

interface IngestFlags extends TargetFlags, ModelFlags {
  readonly chunkSize?: number;
  readonly chunkOverlap?: number;
  readonly json?: boolean;
}

export function addIngest(program: Command, context: CliContext): void {
  const command = program
    .command("ingest")
    .description("load files, split them, and store their chunks with embeddings")
    .argument("<paths...>", "files, folders or patterns: text, Markdown, HTML, PDF, source code")
    .option("--chunk-size <characters>", "most characters of a chunk (default: 1000)", atLeast(2))
    .option("--chunk-overlap <characters>", "characters repeated between chunks (default: 100)", atLeast(0));
  addJsonFlag(addEmbeddingFlags(addTargetFlags(command)))
    .addHelpText(
      "after",
      `
Examples:
  langchain-pgvector ingest docs README.md
  langchain-pgvector ingest "notes/**/*.md" --table notes --database-url postgres://localhost/rag`,
    )
    .action((paths: string[], flags: IngestFlags) => ingest(context, paths, flags));
}

async function ingest(context: CliContext, paths: string[], flags: IngestFlags): Promise<void> {
  const target = await openTarget(context, flags, "allowed");
  try {
    const store = await openCliStore(context, target, flags, true);
    const started = Date.now();
    const result = await ingestFiles(store, paths, {
      cwd: context.cwd,
      signal: context.signal,
      ...(flags.chunkSize !== undefined && { chunkSize: flags.chunkSize }),
      ...(flags.chunkOverlap !== undefined && { chunkOverlap: flags.chunkOverlap }),
      onFile: (source, chunks) => context.err(`${source}: ${chunks} chunks`),
      onSkip: ({ error }) => context.err(`skipped: ${error.message}`),
    });
    const seconds = (Date.now() - started) / 1_000;
    if (flags.json) {
      context.out(JSON.stringify({ ...result, seconds }));
      return;
    }
    const removed = result.removed > 0 ? `, ${result.removed} old chunks removed` : "";
    const skipped = result.skipped > 0 ? `, ${result.skipped} files skipped` : "";
    context.out(`${result.files} files, ${result.chunks} chunks${removed}${skipped} in ${seconds.toFixed(1)} s`);
  } finally {
    await target.close();
  }
}

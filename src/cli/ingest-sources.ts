import { LoadError } from "../errors.js";
import type { DocumentFormat } from "../loaders/formats.js";
import type { Splitter } from "../loaders/splitters/options.js";
import type { SyncOptions, SyncResult } from "../loaders/sync/options.js";
import { syncDocuments } from "../loaders/sync/sync-documents.js";
import type { CliContext } from "./context.js";
import type { LexicalFlags, PatienceFlags } from "./flags.js";
import type { ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import type { Target, TargetFlags, TenancyFlags } from "./target.js";
import { watchSources } from "./watch-sources.js";

export interface SourceFlags extends LexicalFlags, TargetFlags, TenancyFlags, ModelFlags, PatienceFlags {
  readonly splitter?: Splitter;
  readonly chunkSize?: number;
  readonly chunkOverlap?: number;
  readonly format?: DocumentFormat;
  readonly textFields?: string[];
  readonly metadataFields?: string[];
  readonly maxFileMb?: number;
  readonly allowPrivateUrls?: boolean;
  readonly keepDeleted?: boolean;
  readonly cache?: boolean;
  readonly watch?: boolean;
  readonly json?: boolean;
}

const MEGABYTE = 1024 * 1024;
const REPORT_MS = 1_000;

/**
 * Brings a store into step with files, and keeps it there with `--watch`.
 *
 * @param create whether a missing table is made.
 * @throws LoadError when nothing could be read, or a source that was named itself could not.
 */
export async function ingestSources(
  context: CliContext,
  target: Target,
  paths: string[],
  flags: SourceFlags,
  create: boolean,
): Promise<void> {
  const store = await openCliStore(context, target, flags, { create });
  const options = syncOptions(context, flags);
  const run = async (): Promise<{ result: SyncResult; failed: LoadError[] }> => {
    const failed: LoadError[] = [];
    const started = Date.now();
    const result = await syncDocuments(store, paths, {
      ...options,
      onSkip: ({ source, error }) => {
        context.err(`skipped: ${error.message}`);
        if (paths.includes(source)) failed.push(error);
      },
    });
    report(context, result, (Date.now() - started) / 1_000, flags.json === true);
    return { result, failed };
  };
  const { result, failed } = await run();
  if (flags.watch === true) {
    await watchSources(context, paths, async () => void (await run()));
    return;
  }
  if (result.files === 0 && result.removedFiles === 0) throw nothingRead(paths, result);
  if (failed.length > 0) {
    const names = failed.map(({ source }) => source).join(", ");
    throw new LoadError(`Not ingested: ${names}. The rest is in the store.`, names);
  }
}

function syncOptions(context: CliContext, flags: SourceFlags): SyncOptions {
  const { splitter, chunkSize, chunkOverlap, format, textFields, metadataFields, maxFileMb } = flags;
  let said = 0;
  return {
    cwd: context.cwd,
    signal: context.signal,
    ...(splitter !== undefined && { splitter }),
    ...(chunkSize !== undefined && { chunkSize }),
    ...(chunkOverlap !== undefined && { chunkOverlap }),
    ...(format !== undefined && { format }),
    ...(maxFileMb !== undefined && { maxFileBytes: maxFileMb * MEGABYTE }),
    ...((textFields !== undefined || metadataFields !== undefined) && {
      records: {
        ...(textFields !== undefined && { text: textFields }),
        ...(metadataFields !== undefined && { metadata: metadataFields }),
      },
    }),
    url: { allowPrivate: flags.allowPrivateUrls ?? false },
    deleted: flags.keepDeleted === true ? "keep" : "remove",
    cache: flags.cache ?? false,
    onSource: ({ source, chunks }) => context.err(`${source}: ${count(chunks, "chunk")}`),
    onRemove: (source) => context.err(`removed: ${source}`),
    onNote: ({ message }) => context.err(`note: ${message}`),
    onProgress: ({ found, done, embedded }) => {
      const now = Date.now();
      if (said === 0) said = now;
      if (now - said < REPORT_MS) return;
      said = now;
      context.err(`${done} of ${count(found, "source")}, ${count(embedded, "chunk")} embedded`);
    },
  };
}

function report(context: CliContext, result: SyncResult, seconds: number, json: boolean): void {
  if (json) {
    context.out(JSON.stringify({ ...result, seconds }));
    return;
  }
  const { files, unchanged, removedFiles, chunks, embedded, removed, skipped } = result;
  const others = listUnsupported(result);
  if (others !== "") context.err(`left out, as their format is not supported: ${others}`);
  const parts = [
    `${count(files, "file")}${unchanged > 0 ? ` (${unchanged.toLocaleString("en")} unchanged)` : ""}`,
    `${count(chunks, "chunk")} (${embedded.toLocaleString("en")} new)`,
    ...(removedFiles > 0 ? [`${count(removedFiles, "old file")} removed`] : []),
    ...(removed > 0 ? [`${count(removed, "old chunk")} removed`] : []),
    ...(skipped > 0 ? [`${count(skipped, "file")} skipped`] : []),
  ];
  context.out(`${parts.join(", ")} in ${seconds.toFixed(1)} s`);
}

function nothingRead(paths: string[], result: SyncResult): LoadError {
  const others = listUnsupported(result);
  const found =
    others === "" ? "no file that could be read" : `only files of formats that are not supported: ${others}`;
  return new LoadError(`${paths.join(", ")} held ${found}.`, paths.join(", "));
}

function listUnsupported({ unsupported }: SyncResult): string {
  return Object.entries(unsupported)
    .map(([extension, number]) => `${number} ${extension || "without extension"}`)
    .join(", ");
}

function count(number: number, what: string): string {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

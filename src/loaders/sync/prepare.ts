import type { Document } from "@langchain/core/documents";
import { createHash } from "node:crypto";
import { parseSource } from "../parse-source.js";
import type { RawSource, ReadOptions } from "../readers/reading.js";
import { splitDocuments } from "../split-documents.js";
import { resolveSplit, type SplitOptions } from "../splitters/options.js";

/** Raised when a change of the library makes other chunks of the same bytes. */
const LOADER_REVISION = 1;

/** A source that is new or has changed, ready to be embedded. */
export interface PreparedSource {
  readonly name: string;
  readonly hash: string;
  readonly settings: string;
  /** With their ids, in order. */
  readonly chunks: readonly Document[];
  readonly notes: readonly string[];
}

/** Says in a few characters how sources become chunks; sources that were made otherwise are made again. */
export function settingsOf(split: SplitOptions, { records }: ReadOptions, format: string | undefined): string {
  const all = JSON.stringify([LOADER_REVISION, resolveSplit(split), records ?? null, format ?? null]);
  return createHash("sha256").update(all).digest("hex").slice(0, 16);
}

export async function prepareSource(
  raw: RawSource,
  hash: string,
  settings: string,
  split: SplitOptions,
  options: ReadOptions,
): Promise<PreparedSource> {
  const { documents, notes } = await parseSource(raw, options);
  const chunks: Document[] = [];
  for await (const chunk of splitDocuments(documents, split)) chunks.push(chunk);
  return { name: raw.source, hash, settings, chunks, notes };
}

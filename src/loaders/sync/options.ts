import type { LoadOptions } from "../load-documents.js";
import type { SplitOptions } from "../splitters/options.js";

/** Where a run of `syncDocuments` stands. */
export interface SyncProgress {
  /** Sources found so far; of web pages and folders all are known from the beginning. */
  readonly found: number;
  /** Sources dealt with, those that have not changed included. */
  readonly done: number;
  readonly embedded: number;
}

/** A source whose chunks have just been written. */
export interface SyncedSource {
  readonly source: string;
  readonly chunks: number;
}

export interface SyncOptions extends Omit<LoadOptions, "onError" | "onDone">, SplitOptions {
  /**
   * What becomes of the chunks of files that were below the named folders and patterns and are there no more.
   * @defaultValue `"remove"`
   */
  readonly deleted?: "remove" | "keep";
  /** Keeps vectors by their text and takes them from there, so that no text is embedded twice. @defaultValue false */
  readonly cache?: boolean;
  /** Texts embedded in one call and chunks written in one transaction. @defaultValue 256 */
  readonly batchChunks?: number;
  readonly onProgress?: (progress: SyncProgress) => void;
  /** After a new or changed source is in the store. */
  readonly onSource?: (source: SyncedSource) => void;
  /** After a source that is gone has been removed from the store. */
  readonly onRemove?: (source: string) => void;
}

export interface SyncResult {
  /** Sources that were found and could be read. */
  readonly files: number;
  /** Of those, the ones whose bytes and settings are as they were: nothing was parsed, embedded or written. */
  readonly unchanged: number;
  /** Sources that are gone, and whose chunks are gone from the store with them. */
  readonly removedFiles: number;
  /** Chunks of all these sources. */
  readonly chunks: number;
  /** Chunks that were embedded; the others had a vector already. */
  readonly embedded: number;
  /** Chunks that are gone from the store. */
  readonly removed: number;
  /** Sources that could not be read; what the store has of them stays. */
  readonly skipped: number;
  /** Files whose format is not supported: number by extension. */
  readonly unsupported: Readonly<Record<string, number>>;
}

import { ConfigurationError } from "../../errors.js";
import type { SplitLimits } from "../split-spans.js";

export const SPLITTERS = ["auto", "recursive", "markdown", "code", "token", "sentence-window", "parent-child"] as const;
export type Splitter = (typeof SPLITTERS)[number];

export interface SplitOptions {
  /**
   * Where texts are cut. `"auto"`: Markdown and HTML at headings, source code at declarations, all else at paragraphs and
   * sentences. `"recursive"`, `"markdown"`, `"code"`: the one of these for every text. `"token"`: sizes are tokens of
   * `cl100k_base`. `"sentence-window"`: a chunk is a sentence and knows the window around it. `"parent-child"`: small
   * chunks that know the larger one they lie in.
   * @defaultValue `"auto"`
   */
  readonly splitter?: Splitter;
  /** Most characters (UTF-16 code units) of a chunk, or tokens. @defaultValue 1000; 256 tokens; 400 for children */
  readonly chunkSize?: number;
  /**
   * Most characters or tokens that a chunk repeats from the one before it.
   * @defaultValue 100, or less for a small `chunkSize`; 0 for sentences and children
   */
  readonly chunkOverlap?: number;
  /** `"parent-child"`: most characters of a parent. @defaultValue 2000 */
  readonly parentChunkSize?: number;
  /** `"sentence-window"`: sentences of the window on either side. @defaultValue 3 */
  readonly windowSentences?: number;
}

/** The options with their defaults. */
export interface ResolvedSplit extends SplitLimits {
  readonly splitter: Splitter;
  readonly parentChunkSize: number;
  readonly windowSentences: number;
}

const SIZE: Partial<Record<Splitter, number>> = { token: 256, "parent-child": 400 };
const CHUNK_SIZE = 1000;
const CHUNK_OVERLAP = 100;

/** @throws ConfigurationError for a splitter that there is not, and for sizes that cannot be. */
export function resolveSplit(options: SplitOptions): ResolvedSplit {
  const { splitter = "auto" } = options;
  if (!SPLITTERS.includes(splitter)) {
    throw new ConfigurationError(`splitter must be one of ${SPLITTERS.join(", ")}, not ${JSON.stringify(splitter)}.`);
  }
  const chunkSize = options.chunkSize ?? SIZE[splitter] ?? CHUNK_SIZE;
  if (!Number.isSafeInteger(chunkSize) || chunkSize < 2) {
    throw new ConfigurationError(`chunkSize must be an integer of at least 2 characters, not ${String(chunkSize)}.`);
  }
  const overlapping = splitter !== "sentence-window" && splitter !== "parent-child";
  const chunkOverlap = options.chunkOverlap ?? (overlapping ? Math.min(CHUNK_OVERLAP, Math.floor(chunkSize / 10)) : 0);
  if (!Number.isSafeInteger(chunkOverlap) || chunkOverlap < 0 || chunkOverlap >= chunkSize) {
    const message = `chunkOverlap must be an integer from 0 to below chunkSize (${chunkSize}), not ${String(chunkOverlap)}.`;
    throw new ConfigurationError(message);
  }
  const parentChunkSize = options.parentChunkSize ?? Math.max(2 * CHUNK_SIZE, chunkSize);
  if (!Number.isSafeInteger(parentChunkSize) || parentChunkSize < chunkSize) {
    throw new ConfigurationError(
      `parentChunkSize must be an integer of at least chunkSize (${chunkSize}), not ${String(parentChunkSize)}.`,
    );
  }
  const windowSentences = options.windowSentences ?? 3;
  if (!Number.isSafeInteger(windowSentences) || windowSentences < 0) {
    throw new ConfigurationError(`windowSentences must be an integer from 0, not ${String(windowSentences)}.`);
  }
  return { splitter, chunkSize, chunkOverlap, parentChunkSize, windowSentences };
}

import type { Environment } from "./model-options.js";

/** What a verb may touch of the process it runs in. */
export interface CliContext {
  readonly env: Environment;
  readonly cwd: string;
  /** A line of results. */
  out(text: string): void;
  /** A piece of a result, without a line end. */
  write(text: string): void;
  /** A line of progress, the target, a warning or an error. */
  err(text: string): void;
  /** Resolves when what was written has left; absent when that is at once. */
  drained?(): Promise<void>;
  /** Asks on the terminal; absent when there is none. */
  prompt?(question: string): Promise<string>;
  /** Lines of stdin; absent when it is a terminal. */
  lines?(): AsyncIterable<string>;
  /** Fires when the user interrupts. */
  readonly signal: AbortSignal;
}

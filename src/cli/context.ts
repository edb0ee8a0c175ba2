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
  /** Fires when the user interrupts. */
  readonly signal: AbortSignal;
}

import { CommanderError } from "commander";
import { ConfigurationError } from "../errors.js";
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

/** Exit codes, the same for every verb. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** The exit code that belongs to an error, and the one line that says it. */
export function explainError(error: unknown): { code: number; message: string | undefined } {
  if (error instanceof CommanderError) {
    // Commander has printed already; asking for help or the version is no failure.
    return { code: error.exitCode === 0 ? EXIT.done : EXIT.usage, message: undefined };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { code: error instanceof ConfigurationError ? EXIT.usage : EXIT.failed, message: `error: ${message}` };
}

import { CommanderError } from "commander";
import { ConfigurationError, FilterError, LangChainPgvectorError } from "../errors.js";

/** Exit codes, the same for every verb. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** The exit code that belongs to an error, and the line that says it. */
export function explainError(error: unknown, signal: AbortSignal): { code: number; message: string | undefined } {
  if (error instanceof CommanderError) {
    // Commander has printed already; asking for help or the version is no failure.
    return { code: error.exitCode === 0 ? EXIT.done : EXIT.usage, message: undefined };
  }
  // Whatever an interrupted call threw, what the user did is the reason.
  if (signal.aborted) return { code: EXIT.failed, message: "interrupted" };
  const usage = error instanceof ConfigurationError || error instanceof FilterError;
  return { code: usage ? EXIT.usage : EXIT.failed, message: `error: ${messageOf(error)}` };
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof LangChainPgvectorError) return error.message;
  return error.message === "" ? error.name : error.message;
}

import type { ChildProcess } from "node:child_process";
import { DatabaseError } from "../../errors.js";

export interface RunToolOptions {
  /** For messages. */
  readonly name: string;
  readonly onStdout?: (piece: Buffer) => void;
  /** Called with each line of stderr. */
  readonly onLine?: (line: string) => void;
  /** Texts that no message may hold. */
  readonly secrets?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

const KILL_AFTER_MS = 10_000;
const KEPT_LINES = 20;

/**
 * Waits for a child process to end well. On abort it is asked to stop, then made to, and is gone when this rejects.
 *
 * @throws DatabaseError with the end of its stderr; the signal's reason after an abort.
 */
export async function runTool(child: ChildProcess, options: RunToolOptions): Promise<void> {
  const { name, signal, secrets = [] } = options;
  let killing: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill("SIGTERM");
    killing = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
  };
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  const lines: string[] = [];
  let rest = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      options.onLine?.(line);
      // With --verbose the reason drowns in progress.
      if (/error|fatal|hint|detail|warning|query was|terminat/i.test(line)) lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
    }
  });
  if (options.onStdout) child.stdout?.on("data", options.onStdout);
  try {
    const [code, ended] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status, how) => resolve([status, how]));
    });
    signal?.throwIfAborted();
    if (code === 0) return;
    let text = [...lines, rest].join("\n").trim() || `it ended with ${code ?? ended}`;
    for (const secret of secrets) if (secret !== "") text = text.replaceAll(secret, "***");
    throw new DatabaseError(`${name} failed: ${text}`, undefined, false);
  } finally {
    signal?.removeEventListener("abort", stop);
    clearTimeout(killing);
  }
}

import { spawnSync } from "node:child_process";
import { ROOT } from "./type-check.js";

/** How a script ended; `status` is null when it was stopped, and `stderr` then ends with why. */
export interface ScriptResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const TIME_LIMIT_MS = 120_000;

/** Names that make an example or a notebook reach for a server or a key, or that change how it prints. */
const LEFT_OUT = new Set(["DATABASE_URL", "OPENAI_API_KEY", "FORCE_COLOR", "NODE_OPTIONS"]);

/**
 * Runs a TypeScript module in a process of its own, for at most 120 s; `langchain-pgvector` is the repository's `src/`.
 *
 * @param file absolute path
 */
export function runScript(file: string, args: readonly string[] = [], cwd = ROOT): ScriptResult {
  const environment = Object.entries(process.env).filter(([name]) => !LEFT_OUT.has(name));
  const { status, stdout, stderr, error } = spawnSync(process.execPath, ["--import", "tsx", file, ...args], {
    cwd,
    encoding: "utf8",
    env: { ...Object.fromEntries(environment), NODE_NO_WARNINGS: "1", NO_COLOR: "1" },
    timeout: TIME_LIMIT_MS,
    killSignal: "SIGKILL",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (!error) return { status, stdout, stderr };
  const timedOut = (error as NodeJS.ErrnoException).code === "ETIMEDOUT";
  const reason = timedOut ? `Still running after ${TIME_LIMIT_MS / 1_000} s; stopped.` : error.message;
  return { status: null, stdout, stderr: `${stderr}${reason}\n` };
}

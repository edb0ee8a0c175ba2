#!/usr/bin/env node
import { once } from "node:events";
import { createInterface as readLines } from "node:readline";
import { createInterface } from "node:readline/promises";
import { runCli } from "./program.js";

const interrupted = new AbortController();
const signals = ["SIGINT", "SIGTERM"] as const;
let received: NodeJS.Signals | undefined;

/** Dying of the signal, rather than of an exit code, is what ends a shell's loop around the command. */
function dieOf(signal: NodeJS.Signals): void {
  for (const name of signals) process.removeAllListeners(name);
  process.kill(process.pid, signal);
}

for (const signal of signals) {
  // Not `once`: when no listener of ours is left, the one that the locks of folders bring along ends the process.
  process.on(signal, () => {
    if (received !== undefined) return dieOf(signal);
    received = signal;
    interrupted.abort(new Error("interrupted"));
  });
}

// A reader that has seen enough, such as head, closes the pipe.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  out: (text) => process.stdout.write(`${text}\n`),
  write: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(`${text}\n`),
  drained: async () => {
    if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
  },
  ...(process.stdin.isTTY
    ? { prompt: ask }
    : { lines: () => readLines({ input: process.stdin, crlfDelay: Infinity, signal: interrupted.signal }) }),
  signal: interrupted.signal,
});

if (received !== undefined) dieOf(received);

async function ask(question: string): Promise<string> {
  // On stderr, so that stdout has results only.
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // The end of the input (Ctrl-D) settles no question by itself.
  const ended = new Promise<never>((_, reject) => {
    terminal.once("close", () => reject(new DOMException("The input has ended.", "AbortError")));
  });
  try {
    return await Promise.race([terminal.question(question, { signal: interrupted.signal }), ended]);
  } finally {
    terminal.close();
  }
}

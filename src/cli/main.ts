#!/usr/bin/env node
import { runCli } from "./program.js";

const interrupted = new AbortController();
const signals = ["SIGINT", "SIGTERM"] as const;
let received: NodeJS.Signals | undefined;
for (const signal of signals) {
  // Once only: the next one ends the process at once, as people expect.
  process.once(signal, () => {
    received ??= signal;
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
  signal: interrupted.signal,
});

if (received !== undefined) {
  // Dying of the signal, rather than of an exit code, is what ends a shell's loop around the command.
  for (const signal of signals) process.removeAllListeners(signal);
  process.kill(process.pid, received);
}

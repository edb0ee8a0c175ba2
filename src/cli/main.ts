#!/usr/bin/env node
import { runCli } from "./program.js";

const interrupted = new AbortController();
process.once("SIGINT", () => {
  interrupted.abort(new Error("interrupted"));
  // The next one ends the process at once, as people expect.
});

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

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { pause } from "../db/pause.js";
import { ChromaServerError, ConfigurationError } from "../errors.js";

/** A Chroma server that this process started. */
export interface ChromaServer {
  readonly url: string;
  /** Ends this one process and waits until it is gone. */
  stop(): Promise<void>;
}

export interface RunChromaOptions {
  /** Folder of the server's data; made when it is not there. */
  readonly dataDir: string;
  /** Where to look for the npm package `chromadb`. @defaultValue the working directory */
  readonly from?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lives as long as the pipe from this process, and ends its own child when the pipe closes, so that a killed import
 * leaves no server behind. The server itself runs in native code that never gets to read a pipe.
 */
const SUPERVISOR = `
const child = require("node:child_process").spawn(process.execPath, process.argv.slice(1), { stdio: ["ignore", 1, 2] });
child.once("exit", (code) => process.exit(code ?? 1));
process.stdin.resume().once("close", () => child.kill("SIGTERM"));`;

const START_TIMEOUT_MS = 60_000;

/**
 * Starts the server of the npm package `chromadb` on a spare port of the loopback interface.
 *
 * @throws ConfigurationError when the package is not installed.
 * @throws ChromaServerError when the server does not start; the message ends with its last words.
 */
export async function runChromaServer({ dataDir, from, signal }: RunChromaOptions): Promise<ChromaServer> {
  const program = findChromaProgram(from);
  if (program === undefined) {
    throw new ConfigurationError(
      "The npm package chromadb, whose server reads the data directory, is not installed here. Run: npm install chromadb",
    );
  }
  signal?.throwIfAborted();
  const port = await sparePort();
  const args = [program, "run", "--host", "127.0.0.1", "--port", String(port), "--path", dataDir];
  const supervisor = spawn(process.execPath, ["-e", SUPERVISOR, ...args], { stdio: ["pipe", "pipe", "pipe"] });
  let log = "";
  const keep = (text: Buffer): void => void (log = (log + text.toString()).slice(-2_000));
  supervisor.stdout.on("data", keep);
  supervisor.stderr.on("data", keep);
  const url = `http://127.0.0.1:${port}`;
  try {
    await answers(url, supervisor, signal);
    return { url, stop: () => stop(supervisor) };
  } catch (error) {
    await stop(supervisor);
    signal?.throwIfAborted();
    throw new ChromaServerError(
      `The Chroma server on ${dataDir} did not start: ${log.trim().split("\n").slice(-3).join(" ") || String(error)}`,
      undefined,
      false,
      { cause: error },
    );
  }
}

/** The command of the npm package `chromadb`, as found from a folder or from this package. */
export function findChromaProgram(from = process.cwd()): string | undefined {
  for (const start of [join(from, "package.json"), import.meta.url]) {
    let entry: string;
    try {
      entry = createRequire(start).resolve("chromadb");
    } catch {
      continue;
    }
    const root = packageRoot(entry);
    if (root === undefined) continue;
    const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { bin?: { chroma?: string } };
    if (bin?.chroma !== undefined) return join(root, bin.chroma);
  }
  return undefined;
}

/** Not `chromadb/package.json`, which the package does not export. */
function packageRoot(entry: string): string | undefined {
  for (let folder = dirname(entry); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json")) && folder.endsWith("chromadb")) return folder;
  }
  return undefined;
}

async function answers(url: string, server: ChildProcess, signal: AbortSignal | undefined): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`it ended with ${server.exitCode}`);
    const ready = await fetch(`${url}/api/v2/heartbeat`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    if (Date.now() > deadline) throw new Error(`no answer within ${START_TIMEOUT_MS / 1_000} s`);
    await pause(50, signal);
  }
}

async function stop(supervisor: ChildProcess): Promise<void> {
  if (supervisor.exitCode !== null || supervisor.signalCode !== null) return;
  const ended = new Promise((resolve) => supervisor.once("exit", resolve));
  supervisor.stdin?.end();
  await ended;
}

function sparePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { settingsPath } from "./container.js";
import { findNativeBinaries, type NativeBinaries, type RunAs, unprivilegedUser } from "./native-binaries.js";

export interface NativeServer {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts a throw-away cluster on a spare loopback port; `undefined` when no PostgreSQL with pgvector is found.
 *
 * @param settings server settings by name, over those of tests.
 */
export async function startNativeServer(
  settings: Readonly<Record<string, string>> = {},
): Promise<NativeServer | undefined> {
  const runAs = unprivilegedUser();
  const binaries = findNativeBinaries(runAs);
  if (!binaries) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-test-"));
  const password = randomBytes(16).toString("hex");
  try {
    initialize(binaries, folder, password, runAs, settings);
    return await launch(binaries, folder, password, runAs);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function initialize(
  binaries: NativeBinaries,
  folder: string,
  password: string,
  runAs: RunAs | undefined,
  settings: Readonly<Record<string, string>>,
): void {
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (runAs) for (const path of [folder, passwordFile]) chownSync(path, runAs.uid, runAs.gid);
  const run = (locale: string): SpawnSyncReturns<string> =>
    spawnSync(
      join(binaries.bin, "initdb"),
      ["-D", join(folder, "data"), "-U", "postgres", "-A", "scram-sha-256", `--pwfile=${passwordFile}`]
        // Case folding beyond ASCII needs a UTF-8 locale; this one is built in nearly everywhere.
        .concat(["-E", "UTF8", `--locale=${locale}`, "--no-sync", "--no-instructions"]),
      { ...runAs, cwd: folder, encoding: "utf8" },
    );
  let made = run("C.UTF-8");
  if (made.status !== 0) {
    rmSync(join(folder, "data"), { recursive: true, force: true });
    made = run("C");
  }
  if (made.status !== 0) throw new Error(`initdb in ${binaries.bin} failed: ${made.error?.message ?? made.stderr}`);
  writeFileSync(join(folder, "data/langchain-pgvector.conf"), readFileSync(settingsPath));
  if (runAs) chownSync(join(folder, "data/langchain-pgvector.conf"), runAs.uid, runAs.gid);
  const given = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  appendFileSync(join(folder, "data/postgresql.conf"), testSettings(binaries) + given.join(""));
}

/** The project's own settings, with the sizes of a small shared machine and without durability. */
function testSettings(binaries: NativeBinaries): string {
  const statistics = existsSync(join(binaries.extensions, "pg_stat_statements.control"));
  return [
    "include 'langchain-pgvector.conf'",
    "listen_addresses = '127.0.0.1'",
    "unix_socket_directories = ''",
    "shared_buffers = '256MB'",
    "effective_cache_size = '1GB'",
    // The data of a test is thrown away, so it need not survive a power failure.
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    // Containers often have 64 MB of /dev/shm, less than a parallel index build takes.
    "dynamic_shared_memory_type = mmap",
    "max_connections = 200",
    ...(statistics ? [] : ["shared_preload_libraries = ''"]),
    "",
  ].join("\n");
}

/**
 * The server lives as long as a pipe from this process: whatever ends us, a kill included, closes the pipe, and the
 * watching shell then stops exactly its own child and removes the data.
 */
export const watch = `
folder=$1; shift
"$@" >"$folder/server.log" 2>&1 &
server=$!
echo "$server"
read -r _ || :
kill -INT "$server" 2>/dev/null
wait "$server"
cd / && rm -rf "$folder"
`;

/** Starts the cluster in `data` of a folder, which goes with the server. */
export async function launch(
  binaries: NativeBinaries,
  folder: string,
  password: string,
  runAs: RunAs | undefined,
): Promise<NativeServer> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await sparePort();
    const server = [join(binaries.bin, "postgres"), "-D", join(folder, "data"), "-p", String(port)];
    const shell = spawn("/bin/sh", ["-c", watch, "sh", folder, ...server], {
      ...runAs,
      cwd: folder,
      // Its own process group: Ctrl-C reaches us, and we take the server down in order.
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    shell.unref();
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    const pid = await firstLine(shell);
    if (await becomesReady(url, pid)) return { url, stop: () => stop(shell) };
    const log = readFileSync(join(folder, "server.log"), "utf8").split("\n").slice(-15).join("\n");
    if (attempt === 3 || !/could not bind|Address already in use/.test(log)) {
      await stop(shell);
      throw new Error(`The test server in ${binaries.bin} did not start. The end of its log:\n${log}`);
    }
  }
}

export async function stop(shell: ChildProcess): Promise<void> {
  if (shell.exitCode !== null || shell.signalCode !== null) return;
  shell.ref();
  const ended = new Promise((resolve) => shell.once("exit", resolve));
  shell.stdin?.end();
  await ended;
}

export async function firstLine(shell: ChildProcess): Promise<number> {
  let text = "";
  for await (const chunk of shell.stdout ?? []) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  return Number(text.trim());
}

async function becomesReady(url: string, pid: number): Promise<boolean> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline && isAlive(pid)) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    const answered = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end().catch(() => undefined);
    if (answered) return true;
    await sleep(100);
  }
  return false;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

export function sparePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        address !== null && typeof address === "object" ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

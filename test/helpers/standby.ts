import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { findNativeBinaries, unprivilegedUser } from "./native-binaries.js";
import { firstLine, isAlive, sparePort, stop, watch } from "./native-server.js";

/** A streaming replica of a native server of this machine. */
export interface Standby {
  /** The same database and login, on the standby. */
  at(url: string): string;
  /** Ends its server at once, as a crash does; SIGKILL leaves its processes to find out by themselves. */
  kill(signal?: "SIGQUIT" | "SIGKILL"): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

/** Copies a running server into a folder and starts it as its standby. */
export async function startStandby(primaryUrl: string): Promise<Standby> {
  const runAs = unprivilegedUser();
  const binaries = findNativeBinaries(runAs);
  if (binaries === undefined) throw new Error("A standby needs native PostgreSQL: set POSTGRES_BIN.");
  const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-standby-"));
  if (runAs) chownSync(folder, runAs.uid, runAs.gid);
  const { hostname, port: primaryPort, username, password } = new URL(primaryUrl);
  const data = join(folder, "data");
  const connection = `host=${hostname} port=${primaryPort} user=${decodeURIComponent(username)} password=${decodeURIComponent(password)}`;
  const copied = spawnSync(
    join(binaries.bin, "pg_basebackup"),
    ["-D", data, "-d", connection, "-R", "-X", "stream", "-c", "fast", "--no-sync"],
    { ...runAs, cwd: folder, encoding: "utf8" },
  );
  if (copied.status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`pg_basebackup failed: ${copied.stderr}`);
  }
  // However late its replay is, it cancels no reader.
  const settings =
    "hot_standby = on\nmax_standby_streaming_delay = -1\nwal_receiver_status_interval = 1\nwal_retrieve_retry_interval = 100\n";
  appendFileSync(join(data, "postgresql.conf"), settings);
  const port = await sparePort();
  const at = (url: string): string => {
    const changed = new URL(url);
    changed.hostname = "127.0.0.1";
    changed.port = String(port);
    return changed.href;
  };
  let shell: ReturnType<typeof spawn> | undefined;
  let pid = 0;
  const launch = async (): Promise<void> => {
    // The watching shell removes its folder when it ends; a standby that is killed keeps its data.
    const place = mkdtempSync(join(tmpdir(), "langchain-pgvector-standby-log-"));
    if (runAs) chownSync(place, runAs.uid, runAs.gid);
    const server = [join(binaries.bin, "postgres"), "-D", data, "-p", String(port)];
    shell = spawn("/bin/sh", ["-c", watch, "sh", place, ...server], {
      ...runAs,
      cwd: folder,
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    shell.unref();
    pid = await firstLine(shell);
  };
  const start = async (): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      await launch();
      if (await answers(at(primaryUrl), pid)) return;
      // What is left of a server that was killed goes on for a moment, and keeps the next one from starting.
      if (attempt === 50) throw new Error("The standby does not start.");
      await stop(shell!);
      await sleep(200);
    }
  };
  await start();
  return {
    at,
    start,
    kill: async (signal = "SIGQUIT") => {
      process.kill(pid, signal);
      await stop(shell!);
    },
    remove: async () => {
      await stop(shell!);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** @returns false when the process has ended instead. */
async function answers(url: string, pid: number): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    try {
      await client.connect();
      return true;
    } catch (error) {
      if (!isAlive(pid)) return false;
      if (attempt === 300) throw error;
      await sleep(100);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

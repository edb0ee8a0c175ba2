import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { findNativeBinaries, unprivilegedUser } from "./native-binaries.js";
import { firstLine, type NativeServer, sparePort, stop, watch } from "./native-server.js";

/** A streaming replica of a server on this machine; `undefined` where the native binaries are not at hand. */
export async function startStandby(primaryUrl: string): Promise<NativeServer | undefined> {
  const runAs = unprivilegedUser();
  const binaries = findNativeBinaries(runAs);
  if (binaries === undefined || !existsSync(join(binaries.bin, "pg_basebackup"))) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-standby-"));
  if (runAs) chownSync(folder, runAs.uid, runAs.gid);
  const data = join(folder, "data");
  const copy = spawnSync(
    join(binaries.bin, "pg_basebackup"),
    ["-d", primaryUrl, "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync"],
    { ...runAs, cwd: folder, encoding: "utf8" },
  );
  if (copy.status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`pg_basebackup failed: ${copy.stderr}`);
  }
  appendFileSync(join(data, "postgresql.conf"), "hot_standby = on\n");
  const port = await sparePort();
  const shell = spawn(
    "/bin/sh",
    ["-c", watch, "sh", folder, join(binaries.bin, "postgres"), "-D", data, "-p", String(port)],
    { ...runAs, cwd: folder, detached: true, stdio: ["pipe", "pipe", "ignore"] },
  );
  shell.unref();
  await firstLine(shell);
  const url = new URL(primaryUrl);
  url.port = String(port);
  url.hostname = "127.0.0.1";
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const client = new Client({ connectionString: url.href });
    const ready = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end().catch(() => undefined);
    if (ready) return { url: url.href, stop: () => stop(shell) };
    await sleep(100);
  }
  await stop(shell);
  throw new Error("The standby did not start.");
}

import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { unprivilegedUser, type RunAs } from "../../test/helpers/native-binaries.js";
import { firstLine, sparePort, stop, watch } from "../../test/helpers/native-server.js";

const runAs: RunAs | undefined = unprivilegedUser();

/** A folder that the server's user may write to. */
export function folderFor(what: string): string {
  const folder = mkdtempSync(join(tmpdir(), `langchain-pgvector-${what}-`));
  if (runAs) chownSync(folder, runAs.uid, runAs.gid);
  return folder;
}

/** Runs one of PostgreSQL's programs as the server's user. @throws Error with what it printed when it failed. */
export function mustRun(bin: string, program: string, args: readonly string[], cwd: string): string {
  const done = spawnSync(join(bin, program), args, { ...runAs, cwd, encoding: "utf8" });
  const output = `${done.stdout}${done.stderr}`;
  if (done.status !== 0) throw new Error(`${program} failed:\n${output}`);
  return output;
}

/** A cluster of its own, not running. Whoever is on this machine's socket in `folder` is trusted. */
export class Cluster {
  readonly #password = randomBytes(16).toString("hex");
  #running: { readonly shell: ReturnType<typeof spawn>; readonly port: number } | undefined;

  constructor(
    readonly bin: string,
    readonly folder: string,
    options: readonly string[],
  ) {
    const file = join(folder, "password");
    writeFileSync(file, this.#password, { mode: 0o600 });
    if (runAs) chownSync(file, runAs.uid, runAs.gid);
    const authentication = ["--auth-local=trust", "--auth-host=scram-sha-256", `--pwfile=${file}`];
    const made = ["-D", this.data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", ...authentication];
    mustRun(bin, "initdb", [...made, ...options], folder);
  }

  get data(): string {
    return join(this.folder, "data");
  }

  url(password = this.#password): string {
    return `postgres://postgres:${password}@127.0.0.1:${this.#running!.port}/postgres`;
  }

  /** Of its superuser, which an upgraded cluster has from the old one. */
  get password(): string {
    return this.#password;
  }

  async start(password = this.#password): Promise<string> {
    const port = await sparePort();
    const server = [
      join(this.bin, "postgres"),
      "-D",
      this.data,
      "-p",
      String(port),
      "-c",
      "listen_addresses=127.0.0.1",
    ];
    // The watching shell stops the server when this process ends, and removes the folder that it is given.
    const shell = spawn("/bin/sh", ["-c", watch, "sh", folderFor("log"), ...server, "-k", this.folder], {
      ...runAs,
      cwd: this.folder,
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    shell.unref();
    await firstLine(shell);
    this.#running = { shell, port };
    const url = this.url(password);
    for (let attempt = 1; ; attempt += 1) {
      const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
      try {
        await client.connect();
        return url;
      } catch (error) {
        if (attempt === 300) throw error;
        await sleep(100);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  async stop(): Promise<void> {
    if (this.#running !== undefined) await stop(this.#running.shell);
    this.#running = undefined;
  }
}

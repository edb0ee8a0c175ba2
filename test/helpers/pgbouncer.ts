import { spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { unprivilegedUser } from "./native-binaries.js";
import { firstLine, sparePort, stop, watch } from "./native-server.js";

export interface PgBouncer {
  /** The same database and login, through the pooler. */
  through(url: string): string;
  stop(): Promise<void>;
}

/** The program, from PATH or from where Debian puts it. */
export function findPgBouncer(): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"];
  return folders.map((folder) => join(folder, "pgbouncer")).find((program) => existsSync(program));
}

/**
 * Starts PgBouncer in transaction mode on a spare loopback port, as an unprivileged user, in front of one server.
 *
 * @param urls one for each login, with its password; all on the same host and port
 * @param poolSize server connections of each login, fewer than the clients so that they have to share
 * @param lifetimeSeconds age at which it closes connections to the server; its own default
 */
export async function startPgBouncer(
  urls: readonly string[],
  poolSize = 3,
  lifetimeSeconds = 3_600,
): Promise<PgBouncer> {
  const program = findPgBouncer();
  if (program === undefined) throw new Error("PgBouncer is not installed: apt-get install pgbouncer");
  const runAs = unprivilegedUser();
  const folder = mkdtempSync(join(tmpdir(), "langchain-pgvector-pgbouncer-"));
  const port = await sparePort();
  const { hostname, port: serverPort } = new URL(urls[0]!);
  const files = {
    "users.txt": urls.map((url) => `"${loginOf(url).user}" "${loginOf(url).password}"\n`).join(""),
    "pgbouncer.ini": [
      "[databases]",
      `* = host=${hostname} port=${serverPort || "5432"}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${port}`,
      "unix_socket_dir =",
      "auth_type = scram-sha-256",
      `auth_file = ${join(folder, "users.txt")}`,
      "pool_mode = transaction",
      `default_pool_size = ${poolSize}`,
      "max_client_conn = 200",
      `server_lifetime = ${lifetimeSeconds}`,
      // A server that a test has killed is replaced at once.
      "server_login_retry = 0",
      "ignore_startup_parameters = extra_float_digits",
      "log_connections = 0",
      "log_disconnections = 0",
      "",
    ].join("\n"),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  if (runAs) for (const name of ["", ...Object.keys(files)]) chownSync(join(folder, name), runAs.uid, runAs.gid);
  const shell = spawn("/bin/sh", ["-c", watch, "sh", folder, program, join(folder, "pgbouncer.ini")], {
    ...runAs,
    cwd: folder,
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
  });
  shell.unref();
  await firstLine(shell);
  const through = (url: string): string => {
    const changed = new URL(url);
    changed.hostname = "127.0.0.1";
    changed.port = String(port);
    return changed.href;
  };
  try {
    await answers(through(urls[0]!));
  } catch (error) {
    const log = join(folder, "server.log");
    const text = existsSync(log) ? readFileSync(log, "utf8") : "";
    await stop(shell);
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`PgBouncer did not start. Its log:\n${text}`, { cause: error });
  }
  return { through, stop: () => stop(shell) };
}

function loginOf(url: string): { user: string; password: string } {
  const { username, password } = new URL(url);
  return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
}

async function answers(url: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    try {
      await client.connect();
      return;
    } catch (error) {
      if (attempt === 50) throw error;
      await sleep(100);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

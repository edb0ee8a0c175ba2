import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export interface NativeBinaries {
  /** Folder of `initdb` and `postgres`. */
  readonly bin: string;
  /** Folder of the extensions' control files. */
  readonly extensions: string;
}

/** The user that the server runs as: `undefined` for the present one, as initdb and postgres refuse root. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

const repository = fileURLToPath(new URL("../../", import.meta.url));

/** The first PostgreSQL on this machine that has pgvector and that `runAs` may execute. */
export function findNativeBinaries(runAs: RunAs | undefined): NativeBinaries | undefined {
  for (const bin of candidateFolders()) {
    if (!existsSync(join(bin, "initdb")) || !existsSync(join(bin, "postgres"))) continue;
    const extensions = extensionFolders(bin).find((folder) => existsSync(join(folder, "vector.control")));
    if (extensions !== undefined && isExecutable(join(bin, "postgres"), runAs)) return { bin, extensions };
  }
  return undefined;
}

export function unprivilegedUser(): RunAs | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const account = accounts.find(([name]) => name === "postgres") ?? accounts.find(([name]) => name === "nobody");
  if (!account) throw new Error("PostgreSQL refuses to run as root, and this machine has no user postgres or nobody.");
  return { uid: Number(account[2]), gid: Number(account[3]) };
}

function candidateFolders(): string[] {
  const chosen = process.env["POSTGRES_BIN"];
  // A folder named on purpose is the only one looked at, so that a wrong one is noticed.
  if (chosen) return [resolve(chosen)];
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [
    ...versionFolders(join(repository, ".cache/postgres/root/usr/lib/postgresql"), "bin"),
    ...path,
    ...versionFolders("/usr/lib/postgresql", "bin"),
    ...versionFolders("/usr", "bin", "pgsql-"),
    ...versionFolders("/opt/homebrew/opt", "bin", "postgresql@"),
    ...versionFolders("/usr/local/opt", "bin", "postgresql@"),
  ];
}

/** `<parent>/<prefix><major>/<leaf>`, newest major first. */
function versionFolders(parent: string, leaf: string, prefix = ""): string[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .toSorted((a, b) => Number(b.slice(prefix.length)) - Number(a.slice(prefix.length)))
    .map((name) => join(parent, name, leaf));
}

function extensionFolders(bin: string): string[] {
  const major = /(\d+)\/bin$/.exec(bin)?.[1] ?? "";
  // A Debian prefix that was moved elsewhere: the programs look relatively, and so do we. pg_config may be a wrapper that
  // still prints the place it was built for.
  const relative = join(dirname(dirname(dirname(dirname(bin)))), "share/postgresql", major, "extension");
  const printed = spawnSync(join(bin, "pg_config"), ["--sharedir"], { encoding: "utf8", timeout: 5_000 });
  return printed.status === 0 ? [relative, join(printed.stdout.trim(), "extension")] : [relative];
}

function isExecutable(program: string, runAs: RunAs | undefined): boolean {
  return spawnSync(program, ["--version"], { ...runAs, cwd: "/", timeout: 5_000 }).status === 0;
}

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { findNativeBinaries, unprivilegedUser } from "./native-binaries.js";

/** Folder of `pg_dump` and its like that fit the server of this run; `undefined` when there is none on this machine. */
export function clientTools(): string | undefined {
  const native = findNativeBinaries(unprivilegedUser())?.bin;
  const folders = [...(native === undefined ? [] : [native]), ...(process.env["PATH"] ?? "").split(delimiter)];
  return folders.find((folder) => ["pg_dump", "pg_restore", "psql"].every((name) => existsSync(join(folder, name))));
}

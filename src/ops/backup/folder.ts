import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ConfigurationError } from "../../errors.js";
import { MANIFEST_FILE, type BackupManifest } from "./manifest.js";

/**
 * Makes the folder of a backup, readable by its owner only. It has its name when it is whole; whatever ends `work` before
 * leaves nothing.
 *
 * @throws ConfigurationError when there is something of that name.
 */
export async function writeFolder<M extends BackupManifest>(
  folder: string,
  work: (partial: string) => Promise<M>,
): Promise<M> {
  const path = resolve(folder);
  if (existsSync(path)) throw new ConfigurationError(`${path} is there already; name a new folder for the backup.`);
  const partial = `${path}.partial`;
  await mkdir(partial, { mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    const reason =
      cause.code === "EEXIST"
        ? "is there already: another backup is at work, or one was killed. Remove it if none is"
        : `cannot be made: ${cause.message}`;
    throw new ConfigurationError(`${partial} ${reason}.`, { cause });
  });
  try {
    const manifest = await work(partial);
    await writeFile(join(partial, MANIFEST_FILE), `${JSON.stringify(manifest, undefined, 1)}\n`, { mode: 0o600 });
    await rename(partial, path);
    return manifest;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

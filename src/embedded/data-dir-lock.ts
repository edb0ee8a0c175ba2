import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { hostname, uptime } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import lockfile from "proper-lockfile";
import { ConfigurationError } from "../errors.js";

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

const heartbeatMs = 5_000;
/** A holder names itself in its first moments; a younger lock without a name is not yet a dead one. */
const namingMs = 2_000;
/** Only for a holder that cannot be looked up: one on another machine, or one that never named itself. */
const unknownHolderMs = 10 * 60_000;
// Statements block the event loop, index builds for minutes, so a missing heartbeat alone must never end a lock.
const neverStaleMs = 2 ** 40;

const heldHere = new Set<string>();

/**
 * Takes the folder for this process. The lock of a process that is gone, killed or lost in a restart of the machine, is
 * taken over.
 *
 * @param onLost called when somebody removes the lock while it is held
 * @returns gives the folder free again
 * @throws ConfigurationError when another process, or this one, has the folder open
 */
export async function lockDataDir(folder: string, onLost: (error: Error) => void): Promise<() => Promise<void>> {
  const lockPath = join(folder, "lock");
  const ownerPath = join(folder, "owner.json");
  if (heldHere.has(folder)) throw inUse(folder, lockPath, "this process");
  heldHere.add(folder);
  try {
    const lost = (cause: Error): void =>
      onLost(
        new ConfigurationError(`The lock of ${folder} was removed while the database was open; open it again.`, {
          cause,
        }),
      );
    const release = await acquire(folder, lockPath, ownerPath, lost);
    return async () => {
      heldHere.delete(folder);
      await rm(ownerPath, { force: true });
      // Already gone means already free.
      await release().catch(() => undefined);
    };
  } catch (error) {
    heldHere.delete(folder);
    throw error;
  }
}

async function acquire(
  folder: string,
  lockPath: string,
  ownerPath: string,
  onCompromised: (error: Error) => void,
): Promise<() => Promise<void>> {
  const take = async (): Promise<() => Promise<void>> => {
    const release = await lockfile.lock(folder, {
      lockfilePath: lockPath,
      stale: neverStaleMs,
      update: heartbeatMs,
      onCompromised,
    });
    const owner: Owner = { pid: process.pid, host: hostname(), since: Date.now() };
    writeFileSync(ownerPath, JSON.stringify(owner));
    return release;
  };
  try {
    return await take();
  } catch (error) {
    if (!isHeld(error)) throw error;
  }
  // One process at a time may judge and remove a lock, or two could each remove the other's new one.
  // (The package keeps its locks by the name of what is locked, so this one must have a name of its own.)
  const judging = await lockfile.lock(join(folder, "takeover"), {
    realpath: false,
    stale: 10_000,
    retries: { retries: 20, minTimeout: 250, maxTimeout: 250 },
  });
  try {
    await removeIfDead(folder, lockPath, ownerPath);
    return await take();
  } catch (error) {
    throw isHeld(error) ? inUse(folder, lockPath, "another process") : error;
  } finally {
    await judging();
  }
}

async function removeIfDead(folder: string, lockPath: string, ownerPath: string): Promise<void> {
  let age = await ageMs(lockPath);
  if (age === undefined) return;
  if (age < namingMs) {
    await sleep(namingMs - age);
    age = await ageMs(lockPath);
    if (age === undefined) return;
  }
  const owner = readOwner(ownerPath);
  const known = owner !== undefined && owner.host === hostname();
  if (known ? isRunning(owner) : age < unknownHolderMs) {
    throw inUse(folder, lockPath, owner ? `process ${owner.pid} on ${owner.host}` : "a process that is starting");
  }
  rmSync(ownerPath, { force: true });
  rmSync(lockPath, { recursive: true, force: true });
}

function isRunning(owner: Owner): boolean {
  // Our own pid under somebody else's lock is a number used again, as it is for the first process of a container.
  if (owner.pid === process.pid || owner.since < Date.now() - uptime() * 1000) return false;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    const owner = JSON.parse(readFileSync(path, "utf8")) as Partial<Owner>;
    const { pid, host, since } = owner;
    return typeof pid === "number" && typeof host === "string" && typeof since === "number"
      ? { pid, host, since }
      : undefined;
  } catch {
    return undefined;
  }
}

async function ageMs(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => Date.now() - found.mtimeMs,
    () => undefined,
  );
}

function isHeld(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === "ELOCKED";
}

function inUse(folder: string, lockPath: string, holder: string): ConfigurationError {
  return new ConfigurationError(
    `The embedded database in ${folder} is in use by ${holder}, and only one process can have it open. ` +
      `Close it there, give another dataDir, or use a PostgreSQL server. If that process is certainly gone, ` +
      `delete ${lockPath}.`,
  );
}

import { setTimeout as sleep } from "node:timers/promises";

/** Waits, at least for other work to get its turn. @throws the signal's reason as soon as it fires. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/**
 * Begins work and waits for it, or for `signal`: calls that cannot be cancelled, such as those of embedding servers and
 * their retries, go on in the background, and what comes of them is dropped.
 *
 * @throws the signal's reason as soon as it fires.
 */
export async function abortable<T>(signal: AbortSignal, begin: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const work = begin();
  const stopWatching = new AbortController();
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), {
      once: true,
      signal: stopWatching.signal,
    });
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    stopWatching.abort();
    // Nobody waits for it any more, so nobody would see it fail.
    work.catch(() => undefined);
  }
}

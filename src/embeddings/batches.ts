/**
 * Maps a list in batches of at most `size`, up to `concurrency` at a time, and joins the results in the list's order.
 * After a failure no further batch starts; the first error is thrown once the running ones have ended.
 *
 * @param run gets a batch and the position of its first item in the list
 */
export async function mapBatches<T, R>(
  items: readonly T[],
  size: number,
  concurrency: number,
  run: (batch: T[], from: number) => Promise<R[]>,
): Promise<R[]> {
  const count = items.length === 0 ? 0 : Math.ceil(items.length / size);
  const results = Array.from<R[]>({ length: count });
  const failures: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count && failures.length === 0) {
      const batch = next++;
      try {
        results[batch] = await run(items.slice(batch * size, (batch + 1) * size), batch * size);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
  if (failures.length > 0) throw failures[0];
  return results.flat();
}

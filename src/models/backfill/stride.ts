/** A row that waits for its vector, and the page that it lies on. */
export interface WaitingRow {
  readonly page: number;
  readonly collection: string;
  readonly id: string;
}

/**
 * Puts rows into batches of at most `size` no two rows of which lie on one page: first one row of every page, then the
 * next of every page. An update then finds the room that the last one on its page has left, since that is dead by now,
 * and stays on the page without touching an index.
 */
export function strideBatches<T extends WaitingRow>(rows: readonly T[], size: number): T[][] {
  const pages = new Map<number, T[]>();
  for (const row of rows) {
    const page = pages.get(row.page);
    if (page === undefined) pages.set(row.page, [row]);
    else page.push(row);
  }
  const batches: T[][] = [];
  for (let round = 0; ; round += 1) {
    const found = [...pages.values()].flatMap((page) => (round < page.length ? [page[round]!] : []));
    if (found.length === 0) return batches;
    for (let start = 0; start < found.length; start += size) batches.push(found.slice(start, start + size));
  }
}

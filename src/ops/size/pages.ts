/** A page of PostgreSQL as it is compiled by everyone. */
export const PAGE_BYTES = 8_192;
const PAGE_HEADER = 24;
const LINE_POINTER = 4;

/** Rounds up to the alignment of tuples. */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/**
 * Pages that groups of tuples take when they are appended one after the other. A tuple goes to the last page or to a new
 * one; the tuples of a group that `together` stay on one page when one can hold them.
 *
 * @param special bytes at the end of each page that belong to the index, and those that a fillfactor leaves free.
 */
export function packedPages(
  groups: Iterable<readonly number[]>,
  { special = 0, reserved = 0, together = false }: { special?: number; reserved?: number; together?: boolean },
): number {
  const room = PAGE_BYTES - PAGE_HEADER - special;
  let pages = 0;
  let free = 0;
  const place = (bytes: number): void => {
    // An empty page takes any tuple, whatever the fillfactor wants.
    if (bytes > free) {
      pages += 1;
      free = room - reserved;
    }
    free -= bytes;
  };
  for (const group of groups) {
    const sizes = group.map((bytes) => aligned(bytes) + LINE_POINTER);
    const all = sizes.reduce((sum, bytes) => sum + bytes, 0);
    if (together && all <= room && all > free) free = 0;
    for (const bytes of sizes) place(bytes);
  }
  return pages;
}

/** Bytes of a btree of `entries` tuples, its inner pages among them. */
export function btreeBytes(entries: number, tupleBytes: number, fill: number): number {
  const perLeaf = Math.floor(((PAGE_BYTES - PAGE_HEADER - 16) * fill) / (aligned(tupleBytes) + LINE_POINTER));
  const leaves = Math.ceil(entries / perLeaf);
  return PAGE_BYTES * (1 + leaves + Math.ceil(leaves / perLeaf));
}

/** Dead rows that may gather before autovacuum comes, at most: a graph holds them until then. */
const MOST_DEAD = 20_000;
/** Repairing a graph takes about as long for a dead row as inserting one, measured at 290 a second. */
const REPAIR_MS = 3.4;
/** From this share on building the graph anew costs less than repairing it. */
const REBUILD_SHARE = 1 / 3;

/** When autovacuum is to come to a table of this size, as storage parameters. */
export function vacuumSettings(rows: number): { readonly threshold: number; readonly scaleFactor: number } {
  const threshold = 1_000;
  const scaleFactor = Math.min(0.05, (MOST_DEAD - threshold) / Math.max(1, rows));
  return { threshold, scaleFactor: Number(scaleFactor.toPrecision(2)) };
}

/** Whether with these settings more dead rows gather than is good, and the table is large enough to matter. */
export function isVacuumedLate(rows: number, threshold: number, scaleFactor: number): boolean {
  const dead = threshold + scaleFactor * rows;
  return dead > MOST_DEAD && dead > 0.05 * rows;
}

/** What dead rows cost a table with HNSW indexes, in words, and the statements that remove them. */
export function vacuumAdvice(
  table: string,
  dead: number,
  live: number,
  graphs: readonly string[],
): { readonly cost: string; readonly cure: string } {
  const vacuum = `vacuum (analyze, index_cleanup on, truncate off) ${table};`;
  if (graphs.length === 0) return { cost: "", cure: vacuum };
  const seconds = Math.ceil((dead * graphs.length * REPAIR_MS) / 1_000);
  const rebuild = dead > REBUILD_SHARE * (dead + live);
  const each = `Each stays in ${graphs.join(", ")} too, where searches visit it, and a vacuum repairs the graph around it at the price of an insert, some milliseconds each`;
  return rebuild
    ? {
        cost: ` ${each} (about ${seconds} s here). With so many it is quicker to build the graph anew first, without them.`,
        cure: [...graphs.map((graph) => `reindex index concurrently ${graph};`), vacuum].join("\n"),
      }
    : { cost: ` ${each} (about ${seconds} s here).`, cure: vacuum };
}

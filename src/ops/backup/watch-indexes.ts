import { raw } from "sql-template-tag";
import type { Database } from "../../db/database.js";

const POLL_MS = 2_000;

/** Reports which indexes of this database are being built and how far, until the returned function is called. */
export function watchIndexes(
  database: Database,
  onProgress: ((message: string) => void) | undefined,
): () => Promise<void> {
  if (onProgress === undefined) return () => Promise.resolve();
  let looking = Promise.resolve();
  const look = async (): Promise<void> => {
    const { rows } = await database.execute({
      name: "restore-index-progress",
      sql: raw(
        "select coalesce(c.relname::text, i.relname::text, '') as name, p.phase, p.blocks_done::float8 as done, p.blocks_total::float8 as total, " +
          "p.tuples_done::float8 as tuples from pg_stat_progress_create_index p left join pg_class c on c.oid = p.index_relid " +
          "left join pg_class i on i.oid = p.relid where p.datname = current_database()",
      ),
    });
    for (const row of rows as { name: string; phase: string; done: number; total: number; tuples: number }[]) {
      const share = row.total > 0 ? `, ${Math.floor((100 * row.done) / row.total)} %` : "";
      onProgress(`building on ${row.name}: ${row.phase}${share}`);
    }
  };
  const timer = setInterval(() => {
    // What cannot be told is left out; the build itself goes on.
    looking = look().catch(() => undefined);
  }, POLL_MS);
  return async () => {
    clearInterval(timer);
    await looking;
  };
}

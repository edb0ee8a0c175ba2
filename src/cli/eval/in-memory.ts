import type { Target } from "../target.js";

/** Does `work` on an embedded database that is gone afterwards. */
export async function inMemory<T>(work: (target: Target) => Promise<T>): Promise<T> {
  const { openEmbeddedPostgres } = await import("../../embedded/index.js");
  const pool = await openEmbeddedPostgres();
  const target: Target = { label: "embedded, in memory", pool, close: () => pool.end() };
  try {
    return await work(target);
  } finally {
    await target.close();
  }
}

import {
  atLeast,
  atMost,
  describeMachine,
  openBenchDatabase,
  progress,
  table,
  type Bar,
  type BenchOptions,
  type BenchResult,
} from "./harness.js";
import { compareBuilds } from "./indexes/builds.js";
import { measureTraffic } from "./indexes/traffic.js";
import { tuneRealVectors } from "./indexes/tuned.js";

/**
 * Builds an HNSW index as Postgres does by default and as `store.indexes` does; lets clients read and write while indexes
 * come and go; and tunes an index of real vectors, where those are at hand.
 */
export async function run({ quick, rows, dimensions }: BenchOptions): Promise<BenchResult> {
  // Postgres's own default, which the builds are about.
  const database = await openBenchDatabase({ maintenance_work_mem: "64MB", shared_buffers: "1GB" });
  try {
    const size = { rows: rows ?? (quick ? 12_000 : 20_000), dimensions: dimensions ?? 1_536 };
    const builds = await compareBuilds(database, size);
    table(
      `HNSW, m 16, ef_construction 128, of ${size.rows.toLocaleString("en")} rows at ${size.dimensions} dimensions`,
      builds.rows,
    );
    const bars: Bar[] = [atMost("time of a memory-aware build, of a default one", builds.ratio, 0.75, " x")];

    progress("traffic while indexes come and go");
    const traffic = await measureTraffic(database, quick ? 2_000 : 20_000);
    table("4 writers and 4 readers while an index is built, rebuilt and dropped", traffic.rows);
    bars.push(
      atMost("failed statements", traffic.failures, 0),
      atMost("reads of a table without its index", traffic.withoutIndex, 0),
    );

    const tuned = quick ? undefined : await tuneRealVectors(database);
    if (tuned === undefined) {
      progress(
        quick ? "tuning is left out of a quick run" : "tuning is left out: there is no ../shared/data/pooled-lsa192",
      );
    } else {
      table(`Settings on 35,200 real vectors of 192 dimensions, target ${tuned.target}`, tuned.rows);
      table("Indexes of a sample of 10,000 of them, one process", tuned.compared);
      bars.push(
        atLeast(
          `recall@10 of ${tuned.heldBack} held-back queries, target ${tuned.target}`,
          tuned.recall,
          tuned.target - 0.005,
        ),
        atMost("faster settings that reach the target too", tuned.faster, 0),
      );
    }
    return { machine: await describeMachine(database), figures: { ...size, builds, traffic, tuned }, bars };
  } finally {
    await database.close();
  }
}

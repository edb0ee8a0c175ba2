import {
  openBenchDatabase,
  atMost,
  describeMachine,
  progress,
  table,
  type BenchOptions,
  type BenchResult,
} from "./harness.js";
import { measureSize } from "./operations/sizes.js";

const SHAPES = [
  { dimensions: 384, storageType: "vector" },
  { dimensions: 1_536, storageType: "vector" },
  { dimensions: 3_072, storageType: "halfvec" },
] as const;

/** What `size` predicts beside what PostgreSQL then takes: table, index, dump, and memory of an index build. */
export async function run({ quick, rows, dimensions }: BenchOptions): Promise<BenchResult> {
  const counts = rows === undefined ? (quick ? [1_000, 3_000] : [10_000, 40_000]) : [rows];
  const lines: Record<string, string | number>[] = [];
  const bars = [];
  let machine: Record<string, string | number> = {};
  for (const shape of SHAPES.filter((one) => dimensions === undefined || one.dimensions === dimensions)) {
    for (const vectors of counts) {
      progress(`${vectors} rows of ${shape.dimensions} dimensions`);
      const database = await openBenchDatabase();
      try {
        const { estimate, ...measured } = await measureSize(database, { ...shape, vectors });
        machine = await describeMachine(database);
        const { heapBytes, toastBytes, primaryKeyBytes } = estimate.table;
        const predicted = { ...estimate, tableBytes: heapBytes + toastBytes + primaryKeyBytes };
        const line: Record<string, string | number> = {
          dimensions: shape.dimensions,
          type: shape.storageType,
          rows: vectors,
        };
        for (const part of ["tableBytes", "indexBytes", "dumpBytes", "buildMemoryBytes"] as const) {
          const off = predicted[part] / measured[part] - 1;
          const name = part.replace("Bytes", "");
          line[`${name} MB`] = measured[part] / 1e6;
          line[`${name} off %`] = 100 * off;
          bars.push(atMost(`${name}, ${shape.dimensions} dimensions, ${vectors} rows`, Math.abs(100 * off), 15, " %"));
        }
        const off = bars.slice(-4).map(({ got }) => got);
        progress(`off by ${off.join(", ")}`);
        lines.push({ ...line, "build s": measured.buildSeconds, "build s predicted": estimate.buildSeconds });
      } finally {
        await database.close();
      }
    }
  }
  table("Measured, and how far the prediction was off", lines);
  return { machine, figures: { shapes: lines }, bars };
}

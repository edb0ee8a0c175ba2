import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  atLeast,
  type Bar,
  type BenchOptions,
  type BenchResult,
  describeMachine,
  interleave,
  median,
} from "./harness.js";
import { openBenchDatabase, progress, table } from "./harness.js";
import { grow, type GrowthRow } from "./ingest/growth.js";
import { measureIndexed } from "./ingest/indexed.js";
import { plot } from "./plot.js";
import { openPlaces } from "./ingest/places.js";
import { waysOf } from "./ingest/ways.js";

/** The classic ways are too slow to be given all rows; their time per row does not depend on the number. */
const FEW_ROWS = 2_000;

/** Rows at which the growth of cost is measured. */
const SIZES = [10_000, 50_000, 100_000, 200_000, 500_000];

type Cell = Readonly<Record<string, string | number>>;

/** Storing rows with ready vectors: ours, the base class, `psql`, and what tutorials do. */
export async function run({ quick, rows, dimensions }: BenchOptions): Promise<BenchResult> {
  const database = await openBenchDatabase();
  const folder = mkdtempSync(join(tmpdir(), "bench-ingest-"));
  try {
    const cases = quick
      ? [{ rows: 3_000, dimensions: 384 }]
      : (dimensions === undefined ? [384, 1_536] : [dimensions]).flatMap((d) =>
          (rows === undefined ? [10_000, 50_000] : [rows]).map((n) => ({ rows: n, dimensions: d })),
        );
    const bars: Bar[] = [];
    const figures: Record<string, unknown> = {};
    for (const size of cases) {
      const places = await openPlaces(database, size.dimensions, folder);
      await places.prepareFile(size.rows);
      const ways = waysOf(places, size.rows, FEW_ROWS);
      const samples = await interleave(ways, { turns: quick ? 2 : size.rows > 20_000 ? 3 : 5, warmUp: 1 });
      const rate = (name: string): number => {
        const way = ways.find((candidate) => candidate.name === name)!;
        return (way.rows / median(samples.get(name)!)) * 1_000;
      };
      const base = rate("base class addVectors");
      const copy = rate("psql \\copy binary");
      const cells: Cell[] = ways.map(({ name, rows: stored }) => ({
        way: name,
        rows: stored,
        "rows/s": rate(name),
        "of the base class": rate(name) / base,
        "of \\copy": rate(name) / copy,
      }));
      table(`${size.rows} rows, ${size.dimensions} dimensions, no vector index`, cells);
      const key = `${size.rows} x ${size.dimensions}`;
      figures[key] = cells;
      // The acceptance figures are for 1,536 dimensions.
      if (size.dimensions === 1_536) bars.push(...barsOf(key, rate, base, copy));
      await places.close();
      progress(`measured ${key}`);
    }
    const asked = (of: number): boolean => quick || dimensions === undefined || dimensions === of;
    if (asked(1_536)) {
      const indexed = await measureIndexed(database, quick ? 1_000 : 5_000, quick ? 384 : 1_536, folder);
      table("adding 500 rows to a table with an HNSW index", indexed.table);
      figures["with an HNSW index"] = indexed.table;
      bars.push(indexed.bar);
    }
    if (asked(384)) {
      const growth = await grow(database, { sizes: quick ? [2_000, 5_000] : SIZES, dimensions: 384 });
      table("how cost grows, 384 dimensions", growth.table);
      figures["growth"] = growth.table;
      bars.push(growth.memory);
      if (!quick) plotGrowth(growth.table);
    }
    return { machine: await describeMachine(database), figures, bars };
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await database.close();
  }
}

function barsOf(key: string, rate: (name: string) => number, base: number, copy: number): Bar[] {
  const again = rate("base class delete + add");
  return [
    atLeast(`bulkLoad append, of the base class, ${key}`, rate("bulkLoad, tenancy off") / base, 10),
    atLeast(`bulkLoad append under RLS, of the base class, ${key}`, rate("bulkLoad, RLS") / base, 10),
    atLeast(`bulkLoad upsert, of the base class's append, ${key}`, rate("bulkLoad upsert, tenancy off") / base, 7),
    atLeast(`bulkLoad upsert under RLS, of the base class's append, ${key}`, rate("bulkLoad upsert, RLS") / base, 7),
    atLeast(`bulkLoad upsert under RLS, of its delete + add, ${key}`, rate("bulkLoad upsert, RLS") / again, 7),
    atLeast(`bulkLoad with tenancy off, of \\copy, ${key}`, rate("bulkLoad, tenancy off") / copy, 0.75),
    atLeast(`bulkLoad under RLS, of \\copy, ${key}`, rate("bulkLoad, RLS") / copy, 0.55),
    atLeast(`addVectors of 500, ${key}`, rate("addVectors of 500") / rate("base class addVectors of 500"), 6),
  ];
}

function plotGrowth(rows: readonly GrowthRow[]): void {
  const names = ["load s", "rows/s", "process MiB above the start", "index build s", "index MiB", "search p50 ms"];
  const line = (title: string): { x: number; y: number }[] =>
    rows.map((row) => ({ x: row.rows, y: Number(row[title]) }));
  plot(
    "ingest",
    "rows",
    names.map((title) => ({ title, lines: { [title]: line(title) } })),
  );
}

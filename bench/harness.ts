import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { openStandaloneDatabase, type ServerTestDatabase } from "../test/helpers/open-database.js";

/** What the command line says about the size of a run. */
export interface BenchOptions {
  /** Within 90 s on two cores, on small data; bars are reported and never fail the run. */
  readonly quick: boolean;
  readonly rows: number | undefined;
  readonly dimensions: number | undefined;
  /** Whether `search`, `tenancy` and `chroma` keep our vectors in the row, as the option of that name says. */
  readonly inlineVectors: boolean;
}

/** One acceptance figure. */
export interface Bar {
  readonly name: string;
  readonly want: string;
  readonly got: string;
  readonly ok: boolean;
}

export interface BenchResult {
  readonly machine: Readonly<Record<string, string | number>>;
  readonly figures: Readonly<Record<string, unknown>>;
  readonly bars: readonly Bar[];
}

/** What each file of this folder that is a benchmark exports as `run`. Prints its own tables through {@link table}. */
export type Benchmark = (options: BenchOptions) => Promise<BenchResult>;

/** Sizes for a benchmark on a machine of 24 GB; a server that was there before keeps its own, and `machine` says them. */
const SERVER_SETTINGS = {
  shared_buffers: "4GB",
  effective_cache_size: "12GB",
  maintenance_work_mem: "2GB",
  // Where parallel builds keep their graph: in huge pages, when the server has them.
  min_dynamic_shared_memory: "1GB",
  max_wal_size: "8GB",
  // Timings repeat better when the server is not vacuuming the last load; benchmarks vacuum themselves.
  autovacuum: "off",
} as const;

/** Whether Linux shares the processors by session; see docs/benchmarks/reembed.md. */
const AUTOGROUP = "/proc/sys/kernel/sched_autogroup_enabled";

/** A fresh database on a server with sizes that suit a benchmark. @throws Error when there is no server. */
export async function openBenchDatabase(settings: Readonly<Record<string, string>> = {}): Promise<ServerTestDatabase> {
  const database = await openStandaloneDatabase({ ...SERVER_SETTINGS, ...settings });
  if (database.kind === "server") return database;
  await database.close();
  throw new Error("Benchmarks need a PostgreSQL server: set TEST_DATABASE_URL or POSTGRES_BIN, or start Docker.");
}

/** The facts without which a figure means little. */
export async function describeMachine(database: ServerTestDatabase): Promise<Record<string, string | number>> {
  const { rows } = await database.newPool({ max: 1 }).query<Record<string, string>>(
    `select current_setting('server_version') as postgres, current_setting('shared_buffers') as shared_buffers,
       (select extversion from pg_extension where extname = 'vector') as pgvector,
       current_setting('huge_pages_status', true) as huge_pages`,
  );
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    server: database.source,
    ...(existsSync(AUTOGROUP) && { autogroup: readFileSync(AUTOGROUP, "utf8").trim() }),
    ...rows[0],
  };
}

/** A bar that is met by `got <= limit`. */
export function atMost(name: string, got: number, limit: number, unit = ""): Bar {
  return { name, want: `<= ${round(limit)}${unit}`, got: `${round(got)}${unit}`, ok: got <= limit };
}

/** A bar that is met by `got >= limit`. */
export function atLeast(name: string, got: number, limit: number, unit = ""): Bar {
  return { name, want: `>= ${round(limit)}${unit}`, got: `${round(got)}${unit}`, ok: got >= limit };
}

/** The value below which a share `q` (0 to 1) of the samples lies. @throws Error without samples. */
export function quantile(samples: readonly number[], q: number): number {
  if (samples.length === 0) throw new Error("A quantile needs at least one sample.");
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** Milliseconds that `work` took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** One of several ways of doing the same thing, that take turns so that a noisy machine hits all of them alike. */
export interface Competitor {
  readonly name: string;
  /** What has to be done before each run and does not count. */
  readonly prepare?: (turn: number) => Promise<unknown>;
  /** Does it once; `turn` counts from 0 and is the same for all competitors of a turn. */
  readonly run: (turn: number) => Promise<unknown>;
}

/**
 * Runs all competitors in turns of `block` runs each, of which the first few do not count: nobody runs two of them at a
 * time, and one that does, finds the processor's caches full of the other's.
 *
 * @returns milliseconds of each competitor's `runs` that count, by name.
 */
export async function interleaveBlocks(
  competitors: readonly Competitor[],
  { runs, block, settle, warmUp }: { runs: number; block: number; settle: number; warmUp: number },
): Promise<Map<string, number[]>> {
  const samples = new Map(competitors.map(({ name }) => [name, [] as number[]]));
  let turn = 0;
  for (let lap = -warmUp; lap * (block - settle) < runs; lap += 1, turn += block) {
    for (let step = 0; step < competitors.length; step += 1) {
      const { name, run } = competitors[(lap + warmUp + step) % competitors.length]!;
      for (let i = 0; i < block; i += 1) {
        const milliseconds = await timed(() => run(turn + i));
        if (lap >= 0 && i >= settle) samples.get(name)!.push(milliseconds);
      }
    }
  }
  return samples;
}

/**
 * Runs all competitors in turns. Each turn starts with another, and every second one goes backwards: whoever comes right
 * after a competitor that read the same rows finds them in the processor's caches.
 *
 * @returns milliseconds of each competitor's `turns` runs, by name; the first `warmUp` turns are not among them.
 */
export async function interleave(
  competitors: readonly Competitor[],
  { turns, warmUp = 20 }: { turns: number; warmUp?: number },
): Promise<Map<string, number[]>> {
  const samples = new Map(competitors.map(({ name }) => [name, [] as number[]]));
  for (let turn = 0; turn < warmUp + turns; turn += 1) {
    for (let step = 0; step < competitors.length; step += 1) {
      const place = (turn + step) % competitors.length;
      const { name, prepare, run } = competitors[turn % 2 === 0 ? place : competitors.length - 1 - place]!;
      await prepare?.(turn);
      const milliseconds = await timed(() => run(turn));
      if (turn >= warmUp) samples.get(name)!.push(milliseconds);
    }
  }
  return samples;
}

/** Where results are kept. */
export const RESULTS = join(import.meta.dirname, "../docs/benchmarks");

const tables: string[] = [];

/** Keeps the tables of a whole run with its command and machine, beside the page that says what they mean. */
export function keepRun(name: string, machine: BenchResult["machine"]): void {
  const facts = Object.entries(machine).map(([fact, value]) => `${fact} ${value}`);
  const head = `# The last run of \`npm run bench -- ${name}\`\n\nWritten by the benchmark. Machine: ${facts.join(", ")}.\n`;
  writeFileSync(join(RESULTS, "runs", `${name}.md`), `${head}${tables.join("")}`);
}

/** Prints rows as an aligned Markdown table to stdout. */
export function table(title: string, rows: readonly Readonly<Record<string, string | number>>[]): void {
  const heads = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) =>
    heads.map((head) => {
      const value = row[head] ?? "";
      return typeof value === "number" ? round(value) : value;
    }),
  );
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.map((line) => line[i]!.length)));
  const line = (parts: readonly string[]): string => `| ${parts.map((p, i) => p.padEnd(widths[i]!)).join(" | ")} |`;
  const rule = line(widths.map((width) => "-".repeat(width)));
  const printed = `\n${title}\n\n${[line(heads), rule, ...cells.map(line)].join("\n")}\n`;
  tables.push(printed);
  process.stdout.write(printed);
}

/** Says on stderr what a long run is doing. */
export function progress(message: string): void {
  process.stderr.write(`[${(performance.now() / 1000).toFixed(0).padStart(4)} s] ${message}\n`);
}

/** Three significant digits, and no exponent. */
export function round(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

import type { Command } from "commander";
import { Option, InvalidArgumentError } from "commander";
import { Database } from "../db/database.js";
import { ConfigurationError } from "../errors.js";
import { estimateSize, projectSize, type SizeEstimate } from "../ops/size/estimate.js";
import { measureStore, type StoreSize } from "../ops/size/measure.js";
import { placementOf } from "../ops/size/placement.js";
import { machineGib, serverSettings } from "../ops/size/server-settings.js";
import type { SizeOptions } from "../ops/size/shape.js";
import type { StorageType } from "../schema/layout.js";
import { resolveOptions } from "../store/options.js";
import { STORAGE_TYPES } from "../store/storage.js";
import { announce } from "./announce.js";
import type { CliContext } from "./context.js";
import { addJsonFlag, addTargetFlags, atLeast } from "./flags.js";
import { storeArgs } from "./open-store.js";
import { withTarget, type TargetFlags } from "./target.js";

interface SizeFlags extends TargetFlags {
  readonly vectors?: number;
  readonly dimensions?: number;
  readonly type?: StorageType;
  readonly nonZeros?: number;
  readonly m?: number;
  readonly tenants?: number;
  readonly textBytes?: number;
  readonly inlineVectors?: boolean;
  readonly lexical?: boolean;
  readonly qps?: number;
  readonly days: number;
  readonly json?: boolean;
}

export function addSize(program: Command, context: CliContext): void {
  const command = program
    .command("size")
    .description("memory, disk, build time and settings for so many vectors, and where to keep them")
    .option("--vectors <number>", "chunks to plan for, such as 250000, 10M or 1B", count)
    .option("--dimensions <number>", "of a vector", atLeast(1))
    .addOption(new Option("--type <type>", "of the column (default: as a new store)").choices(STORAGE_TYPES))
    .option("--non-zeros <number>", "values of a sparse vector that are not zero (default: 128)", atLeast(1))
    .option("--m <number>", "neighbours of an element of the HNSW graph (default: 16)", atLeast(2))
    .option("--tenants <number>", "that share the table (default: 1)", atLeast(1))
    .option("--text-bytes <number>", "of a chunk (default: 1000)", atLeast(0))
    .option("--inline-vectors", "with vectors in the row")
    .option("--lexical", "with a lexical index")
    .option("--qps <number>", "searches in a second at the peak (default: 50)", atLeast(1))
    .option("--days <number>", "how far ahead to look for a store that is there", atLeast(1), 365);
  addJsonFlag(addTargetFlags(command))
    .addHelpText(
      "after",
      `
With --vectors and --dimensions no database is needed. Otherwise the store of --table is measured: its rows grow as they
are now, to --vectors or as fast as they came since the server's statistics began.

Examples:
  langchain-pgvector size --vectors 10M --dimensions 1536
  langchain-pgvector size --vectors 10M --dimensions 1536 --type halfvec --tenants 1000 --qps 200
  langchain-pgvector size --database-url postgres://owner@localhost/rag --table articles --days 180
  langchain-pgvector size --database-url postgres://owner@localhost/rag --vectors 5M --json`,
    )
    .action((flags: SizeFlags) => size(context, flags));
}

async function size(context: CliContext, flags: SizeFlags): Promise<void> {
  const { vectors, dimensions } = flags;
  if (dimensions !== undefined) {
    if (vectors === undefined)
      throw new ConfigurationError("--dimensions goes with --vectors: how many are there to be?");
    print(context, flags, { estimate: estimateSize({ ...shapeOf(flags), vectors, dimensions }) });
    return;
  }
  await withTarget(context, flags, "never", async (target) => {
    announce(context, target, undefined, undefined, "all");
    const { layout } = resolveOptions(storeArgs(target, flags, context));
    const measured = await new Database(target.pool).connection((session) => measureStore(session, layout));
    const shape = shapeOf(flags);
    const rows = Math.max(1, Math.round(measured.rows));
    const later = vectors ?? Math.round(rows + measured.addedRowsPerDay * flags.days);
    print(context, flags, {
      measured,
      now: projectSize(measured, { ...shape, vectors: rows }),
      estimate: projectSize(measured, { ...shape, vectors: later }),
    });
  });
}

interface Answer {
  readonly estimate: SizeEstimate;
  readonly measured?: StoreSize;
  readonly now?: SizeEstimate;
}

function print(context: CliContext, flags: SizeFlags, { estimate, measured, now }: Answer): void {
  const placement = placementOf(estimate.shape.vectors, estimate.memoryBytes);
  const settings = serverSettings(estimate);
  if (flags.json) context.out(JSON.stringify({ ...(measured && { measured, now }), estimate, placement, settings }));
  else context.out([...growth(flags, measured, estimate), ...report(estimate), ...advice(estimate)].join("\n"));
}

function growth(flags: SizeFlags, measured: StoreSize | undefined, { shape }: SizeEstimate): string[] {
  if (measured === undefined) return [];
  const { rows, addedRowsPerDay, observedDays, table, indexBytes, lexicalBytes } = measured;
  const total = table.heapBytes + table.toastBytes + table.primaryKeyBytes + indexBytes + lexicalBytes;
  return [
    `now: ${whole(rows)} vectors, ${bytes(total)} (${bytes(total / Math.max(1, rows))} each)`,
    flags.vectors === undefined
      ? `${whole(addedRowsPerDay)} rows a day over ${observedDays.toFixed(1)} days: ${whole(shape.vectors)} in ${flags.days} days`
      : `planned: ${whole(shape.vectors)}`,
    "",
  ];
}

function report(estimate: SizeEstimate): string[] {
  const { shape, table } = estimate;
  const rows: [string, string][] = [
    ["rows", bytes(table.heapBytes)],
    ["out of line (TOAST)", bytes(table.toastBytes)],
    ["primary key and others", bytes(table.primaryKeyBytes)],
    [`HNSW index, m ${shape.m}`, bytes(estimate.indexBytes)],
    ...(estimate.lexicalBytes > 0 ? [["lexical index", bytes(estimate.lexicalBytes)] as [string, string]] : []),
    ["together", bytes(estimate.databaseBytes)],
    ["disk to plan", bytes(estimate.diskBytes)],
    ["memory to plan", `${bytes(estimate.memoryBytes)}: a machine of ${machineGib(estimate.memoryBytes)} GB`],
    ["cores", `${estimate.cores} for ${shape.qps} searches a second`],
    [
      "index build",
      `about ${duration(estimate.buildSeconds)} on 2 cores, with ${bytes(estimate.buildMemoryBytes)} of memory`,
    ],
    ["log while loading (WAL)", bytes(estimate.walBytes)],
    ["dump, compressed", bytes(estimate.dumpBytes)],
  ];
  const sparse = shape.storageType === "sparsevec";
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    `${whole(shape.vectors)} vectors of ${shape.dimensions} dimensions (${shape.storageType}), ${whole(shape.textBytes)} bytes of text`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
    "",
    `rule of thumb for the index (vectors x ${sparse ? "non-zeros x 8" : "dimensions x 4"} bytes x 2.5): ${bytes(estimate.ruleOfThumbBytes)}, ` +
      `on a machine of ${machineGib(estimate.ruleOfThumbBytes / RULE_SHARE)} GB`,
    `  ${whyNotTheRule(estimate)}`,
  ];
}

/** Share of a machine that the rule of thumb leaves to the index. */
const RULE_SHARE = 0.65;

/** The rule pays for table pages and a second copy; the graph alone takes what its pages take. */
function whyNotTheRule({ indexBytes, ruleOfThumbBytes, shape }: SizeEstimate): string {
  const ratio = (indexBytes / ruleOfThumbBytes).toFixed(2);
  const half = shape.storageType === "halfvec" ? " halfvec stores 2 bytes a dimension where the rule says 4." : "";
  return (
    `The graph itself takes ${ratio} of it: one vector and its links in whole pages of 8 kB.${half} The rest of the rule is ` +
    "for the pages of the table and a second copy of the index during a rebuild."
  );
}

function advice(estimate: SizeEstimate): string[] {
  const { where, why } = placementOf(estimate.shape.vectors, estimate.memoryBytes);
  const settings = Object.entries(serverSettings(estimate)).map(([name, value]) => `  ${name} = ${value}`);
  return ["", `where: ${where}`, `  ${why}`, "", "postgresql.conf:", ...settings];
}

/** `250000`, `1.5M`, `10M`, `1B`. */
function count(text: string): number {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)([kMB]?)$/i.exec(text.replaceAll(/[_,]/g, "")) ?? [];
  const value = Math.round(Number(digits) * { "": 1, k: 1e3, m: 1e6, b: 1e9 }[unit.toLowerCase()]!);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError("Give a number of at least 1, such as 250000, 10M or 1B.");
}

function shapeOf({
  type,
  nonZeros,
  m,
  tenants,
  textBytes,
  inlineVectors,
  lexical,
  qps,
}: SizeFlags): Partial<Omit<SizeOptions, "vectors" | "dimensions">> {
  return {
    ...(type !== undefined && { storageType: type }),
    ...(nonZeros !== undefined && { nonZeros }),
    ...(m !== undefined && { m }),
    ...(tenants !== undefined && { tenants }),
    ...(textBytes !== undefined && { textBytes }),
    ...(inlineVectors !== undefined && { inlineVectors }),
    ...(lexical !== undefined && { lexical }),
    ...(qps !== undefined && { qps }),
  };
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function bytes(value: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1_000 && unit < units.length - 1) {
    scaled /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(scaled) : scaled.toPrecision(3)} ${units[unit]!}`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} minutes`;
  return `${(seconds / 3_600).toFixed(1)} hours`;
}

import { parseArgs } from "node:util";
import { keepRun, table, type Benchmark } from "./harness.js";

/** By the name that `npm run bench -- <name>` takes. */
const BENCHMARKS: Readonly<Record<string, () => Promise<{ readonly run: Benchmark }>>> = {
  chunking: () => import("./chunking.js"),
  hybrid: () => import("./hybrid.js"),
  retrieval: () => import("./retrieval.js"),
  "lexical-layouts": () => import("./lexical-layouts.js"),
  ingest: () => import("./ingest.js"),
  indexes: () => import("./indexes.js"),
  search: () => import("./search.js"),
  tenancy: () => import("./tenancy.js"),
  answers: () => import("./answers.js"),
  chroma: () => import("./chroma.js"),
  "tenant-delete": () => import("./tenant-delete.js"),
  "promoted-keys": () => import("./promoted-keys.js"),
  "tenant-move": () => import("./tenant-move.js"),
  "model-strategies": () => import("./model-strategies.js"),
  reembed: () => import("./reembed.js"),
  operations: () => import("./operations.js"),
  churn: () => import("./churn.js"),
  telemetry: () => import("./telemetry.js"),
};

const USAGE = `npm run bench -- <${Object.keys(BENCHMARKS).join("|")}> [--quick] [--rows n] [--dimensions d] [--out-of-line]\n`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean" },
    rows: { type: "string" },
    dimensions: { type: "string" },
    "out-of-line": { type: "boolean" },
  },
});
const name = positionals[0] ?? "";
const load = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
if (load === undefined || positionals.length !== 1) {
  process.stderr.write(USAGE);
  process.exit(2);
}

const { quick = false, "out-of-line": outOfLine = false } = values;
const { run } = await load();
const { machine, figures, bars } = await run({
  quick,
  rows: count("rows", values.rows),
  dimensions: count("dimensions", values.dimensions),
  inlineVectors: !outOfLine,
});
if (bars.length > 0) {
  const rows = bars.map(({ ok, ...bar }) => ({ ...bar, ok: ok ? "yes" : "NO" }));
  table("Bars", rows);
}
if (!quick && !outOfLine && values.rows === undefined && values.dimensions === undefined) keepRun(name, machine);
process.stdout.write(`\n${JSON.stringify({ bench: name, machine, figures, bars })}\n`);
process.exit(!quick && bars.some(({ ok }) => !ok) ? 1 : 0);

function count(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  process.stderr.write(`--${option} must be a whole number above 0, got ${JSON.stringify(text)}.\n${USAGE}`);
  process.exit(2);
}

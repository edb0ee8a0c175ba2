import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigurationError } from "../errors.js";
import type { Filter } from "../store/filter/index.js";
import { formatSetting } from "../store/index-note.js";
import type { VariantReport } from "../ops/tune/compare.js";
import { drawCurve } from "../ops/tune/curve.js";
import { plotHtml, plotSvg } from "../ops/tune/plot.js";
import type { RecallRecord } from "../ops/tune/probe.js";
import type { TuneReport } from "../ops/tune/tune.js";
import type { StoreIndexes } from "../ops/indexes/store-indexes.js";
import type { CliContext } from "./context.js";
import { addEmbeddingFlags, atLeast, jsonObject, repeated, share } from "./flags.js";
import { addIndexCommand, tenancyOf, withIndexes, type IndexFlags } from "./indexes/open.js";
import type { ModelFlags } from "./model-options.js";
import { openCliStore } from "./open-store.js";
import { withTarget } from "./target.js";

interface TuneFlags extends IndexFlags, ModelFlags {
  readonly plan?: boolean;
  readonly queries?: string;
  readonly maxQueries?: number;
  readonly k?: number;
  readonly targetRecall?: number;
  readonly filter?: readonly string[];
  readonly tenant?: string;
  readonly svg?: string;
  readonly html?: string;
  readonly compare?: boolean;
  readonly rows?: number;
  readonly probe?: boolean;
  readonly minRecall?: number;
  readonly history?: boolean;
}

export function addTune(program: Command, context: CliContext): void {
  const command = addIndexCommand(
    program,
    "tune",
    "measure recall and time of searches, and set what reaches a recall",
  );
  addEmbeddingFlags(command)
    .option("--plan", "measure and recommend, and store nothing")
    .option("--queries <file>", "a question on each line (default: questions made of rows)")
    .option("--max-queries <number>", "questions at most (default: 1,000)", atLeast(30))
    .option("--k <number>", "hits of a search (default: 10)", atLeast(1))
    .option("--target-recall <share>", "recall@k to reach (default: 0.99)", share)
    .option("--filter <json>", "measure searches with this filter too; may be repeated", repeated)
    .option("--tenant <id>", "ask within this tenant alone")
    .option("--svg <file>", "write the curve as a plot")
    .option("--html <file>", "write the plot and the figures as a page")
    .option("--compare", "compare m, ef_construction, halfvec and binary on a sample instead")
    .option("--rows <number>", "--compare: rows of the sample (default: 10000)", atLeast(1_000))
    .option("--probe", "measure the present recall with a few questions and record it instead, for a cron job")
    .option("--min-recall <share>", "--probe: exit 1 below it", share)
    .option("--history", "print what probes have recorded instead")
    .addHelpText(
      "after",
      `
Examples:
  langchain-pgvector tune --database-url postgres://owner@localhost/rag --plan
  langchain-pgvector tune --target-recall 0.98 --queries questions.txt --html tune.html
  langchain-pgvector tune --filter '{"lang": "de"}' --tenant acme
  langchain-pgvector tune --compare --rows 20000
  langchain-pgvector tune --probe --min-recall 0.97
  langchain-pgvector tune --history`,
    )
    .action((flags: TuneFlags) => {
      const modes = (["compare", "probe", "history"] as const).filter((mode) => flags[mode]);
      if (modes.length > 1) throw new ConfigurationError(`--${modes.join(" and --")} are two things; choose one.`);
      if (flags.compare) return withIndexes(context, flags, (indexes) => compare(context, flags, indexes));
      if (flags.probe) return withIndexes(context, flags, (indexes) => probe(context, flags, indexes));
      if (flags.history) return withIndexes(context, flags, (indexes) => history(context, flags, indexes));
      const queries = flags.queries === undefined ? undefined : readQueries(resolve(context.cwd, flags.queries));
      if (queries === undefined) return withIndexes(context, flags, (indexes) => run(context, flags, indexes));
      // Texts have to be embedded as those of the store were.
      return withTarget(context, flags, "never", async (target) => {
        const tenancy = await tenancyOf(context, target, flags);
        const store = await openCliStore(context, target, { ...flags, tenancy }, { create: false });
        return run(context, flags, store.indexes, queries);
      });
    });
}

function readQueries(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigurationError(`--queries: ${error instanceof Error ? error.message : String(error)}`);
  }
  return text.split(/\r?\n/).filter((line) => line.trim() !== "");
}

async function run(
  context: CliContext,
  flags: TuneFlags,
  indexes: StoreIndexes,
  queries?: readonly string[],
): Promise<void> {
  const { maxQueries, k, targetRecall, tenant, plan, filter = [] } = flags;
  const report = await indexes.tune({
    queries,
    maxQueries,
    k,
    targetRecall,
    tenantId: tenant,
    filters: filter.map((text) => jsonObject(text) as Filter),
    apply: plan !== true,
    signal: context.signal,
    onProgress: (message) => context.err(message),
  });
  if (flags.svg !== undefined) writeFileSync(resolve(context.cwd, flags.svg), plotSvg(report));
  if (flags.html !== undefined) writeFileSync(resolve(context.cwd, flags.html), plotHtml(report));
  context.out(flags.json ? JSON.stringify(report) : reportText(report));
}

function reportText(report: TuneReport): string {
  const { index, recommended, reached, exact, applied, filters, tenants, targetRecall, k } = report;
  const setting = formatSetting(recommended.setting);
  return [
    drawCurve(report),
    `exact: p50 ${exact.p50Ms.toFixed(2)} ms, p95 ${exact.p95Ms.toFixed(2)} ms`,
    ...filters.flatMap(({ filter, ways, fastest }) => [
      `filter ${JSON.stringify(filter)}${fastest === undefined ? "" : `, fastest: ${fastest}`}`,
      ...ways.map(
        ({ way, recall, p50Ms }) => `  ${way.padEnd(18)} recall ${recall.toFixed(4)}  p50 ${p50Ms.toFixed(2)} ms`,
      ),
    ]),
    ...tenants.map(
      ({ tenantId, rows, way, recall, p50Ms }) =>
        `tenant ${JSON.stringify(tenantId)}, ${rows.toLocaleString("en")} rows: ${way}, recall ${recall.toFixed(4)}, p50 ${p50Ms.toFixed(2)} ms`,
    ),
    reached
      ? `recommended: ${setting}; ${report.heldBack} questions kept back reach ${recommended.heldBackRecall.toFixed(4)}`
      : `No setting reaches recall@${k} ${targetRecall}; ${setting} comes nearest. Rebuild the index with a larger m or ` +
        "ef_construction: indexes rebuild --m 24 --ef-construction 200",
    applied
      ? `stored with ${index}: searches use it from now on, in other processes within a minute`
      : "nothing was stored",
  ].join("\n");
}

async function compare(context: CliContext, flags: TuneFlags, indexes: StoreIndexes): Promise<void> {
  const { rows, k, targetRecall, tenant } = flags;
  const reports = await indexes.compare({
    rows,
    k,
    targetRecall,
    tenantId: tenant,
    signal: context.signal,
    onProgress: (message) => context.err(message),
  });
  context.out(flags.json ? JSON.stringify(reports) : variantsText(reports));
}

function variantsText(reports: readonly VariantReport[]): string {
  const lines = reports.map(({ storage, m, efConstruction, buildSeconds, bytes, efSearch, recall, p50Ms }) =>
    [
      storage,
      m,
      efConstruction,
      buildSeconds.toFixed(1),
      (bytes / 2 ** 20).toFixed(1),
      efSearch,
      recall.toFixed(4),
      p50Ms.toFixed(2),
    ]
      .map((cell) => String(cell).padEnd(15))
      .join("")
      .trimEnd(),
  );
  const heads = ["storage", "m", "ef_construction", "build s", "MiB", "ef_search", "recall", "p50 ms"];
  return [
    heads
      .map((head) => head.padEnd(15))
      .join("")
      .trimEnd(),
    ...lines,
  ].join("\n");
}

async function probe(context: CliContext, flags: TuneFlags, indexes: StoreIndexes): Promise<void> {
  const { k, maxQueries: queries, tenant, minRecall } = flags;
  const record = await indexes.probe({ queries, k, tenantId: tenant, signal: context.signal });
  if (record === undefined) return context.out(flags.json ? "null" : "no search uses an index; nothing was measured");
  context.out(flags.json ? JSON.stringify(record) : recordText(record));
  if (minRecall !== undefined && record.recall < minRecall) {
    throw new Error(`The recall of ${record.index} is ${record.recall.toFixed(4)}, below ${minRecall}. Run: tune`);
  }
}

async function history(context: CliContext, flags: TuneFlags, indexes: StoreIndexes): Promise<void> {
  const records = await indexes.history();
  context.out(
    flags.json ? JSON.stringify(records) : records.map(recordText).join("\n") || "no probe has been recorded",
  );
}

function recordText({ index, measuredAt, setting, k, queries, recall, milliseconds }: RecallRecord): string {
  return (
    `${measuredAt.toISOString()}  ${index}  ${setting}  recall@${k} ${recall.toFixed(4)} of ${queries}  ` +
    `p50 ${milliseconds.toFixed(2)} ms`
  );
}

import { METRICS, type EvalReport, type MetricName } from "./evaluate.js";
import type { FittedWeights } from "./fit-weights.js";
import type { Interval } from "./significance.js";

/** All that one run has found, as the JSON file has it. */
export interface EvalRun {
  readonly set: string;
  /** What was searched, and how: facts for whoever reads the figures later. */
  readonly facts: Readonly<Record<string, string | number>>;
  readonly report: EvalReport;
  readonly fitted?: FittedWeights;
}

/** A table of texts, the first row its head. */
export type Table = readonly (readonly string[])[];

export function metricLabel(metric: MetricName, k: number): string {
  return { ndcg: `nDCG@${k}`, recall: `recall@${k}`, mrr: `MRR@${k}`, map: `MAP@${k}` }[metric];
}

/** A row for each mode. */
export function modesTable({ modes, k }: EvalReport): Table {
  const head = ["mode", ...METRICS.map((metric) => metricLabel(metric, k)), "p50 ms", "p95 ms", "empty", "fallback"];
  const rows = modes.map(({ name, metrics, latency, empty, fallback }) => [
    name,
    ...METRICS.map((metric) => range(metrics[metric])),
    latency.p50.toFixed(1),
    latency.p95.toFixed(1),
    String(empty),
    String(fallback),
  ]);
  return [head, ...rows];
}

/** A row for each pair of modes. */
export function comparisonsTable({ comparisons, k }: EvalReport): Table {
  const rows = comparisons.map(({ better, worse, difference, p, adjusted }) => [
    better,
    worse,
    range(difference),
    p.toFixed(4),
    adjusted.toFixed(4),
    adjusted < 0.05 ? "yes" : "no",
  ]);
  return [["better", "worse", `nDCG@${k} more by`, "p", "p, Holm", "significant at 5 %"], ...rows];
}

/** What fitted weights are worth on questions that they were not fitted to. */
export function fittedTable({ test, weights, train }: FittedWeights): Table {
  return [
    ["weights", "nDCG, test half", "p against fitted"],
    [
      `fitted on ${train.questions} questions: dense ${weights.dense}, lexical ${weights.lexical}`,
      figure(test.fitted),
      "",
    ],
    ["default", figure(test.byDefault), test.pDefault.toFixed(4)],
    ["dense alone", figure(test.dense), test.dense > test.lexical ? test.pLeg.toFixed(4) : ""],
    ["lexical alone", figure(test.lexical), test.dense > test.lexical ? "" : test.pLeg.toFixed(4)],
  ];
}

/** The run for people, with what the figures mean. */
export function toMarkdown(run: EvalRun): string {
  const { set, facts, report, fitted } = run;
  const parts = [
    `# Retrieval on ${set}`,
    [`${report.questions} questions, ${report.k} results each.`, ...factLines(facts)].join("\n"),
    markdownTable(modesTable(report)),
    METHOD(report),
  ];
  if (report.comparisons.length > 0) parts.push("## Differences", markdownTable(comparisonsTable(report)));
  if (fitted !== undefined) parts.push("## Weights of a hybrid search", markdownTable(fittedTable(fitted)));
  return `${parts.join("\n\n")}\n`;
}

export const METHOD = ({ resamples, seed }: EvalReport): string =>
  `In brackets: 95 % intervals by the percentile bootstrap over questions (Sakai 2006). Differences: paired randomisation ` +
  `test, two-sided (Smucker, Allan and Carterette 2007), adjusted for the number of pairs (Holm 1979). ` +
  `${resamples} draws, seed ${seed}. Latency is that of a whole call, embedding the question included.`;

export function factLines(facts: EvalRun["facts"]): string[] {
  return Object.entries(facts).map(([name, value]) => `- ${name}: ${value}`);
}

function markdownTable([head, ...rows]: Table): string {
  return [markdownRow(head!), markdownRow(head!.map(() => "---")), ...rows.map(markdownRow)].join("\n");
}

function markdownRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function range({ mean, low, high }: Interval): string {
  return `${figure(mean)} [${figure(low)}, ${figure(high)}]`;
}

function figure(value: number): string {
  return value.toFixed(4);
}

import { escapeHtml, latencyChart, metricChart, weightsChart } from "./charts.js";
import { METRICS } from "./evaluate.js";
import {
  comparisonsTable,
  factLines,
  fittedTable,
  METHOD,
  metricLabel,
  modesTable,
  type EvalRun,
  type Table,
} from "./report.js";

const STYLE =
  "body{font:15px/1.5 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#111}" +
  "table{border-collapse:collapse;font-size:13px;display:block;overflow-x:auto}" +
  "td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}th{background:#f3f4f6}svg{display:block;margin:1em 0}";

/** The run as one page that needs nothing from elsewhere. */
export function toHtml({ set, facts, report, fitted }: EvalRun): string {
  const title = `Retrieval on ${set}`;
  const charts = METRICS.map((metric) => metricChart(metricLabel(metric, report.k), report.modes, metric));
  const parts = [
    `<h1>${escapeHtml(title)}</h1>`,
    `<p>${report.questions} questions, ${report.k} results each.</p>`,
    `<ul>${factLines(facts)
      .map((line) => `<li>${escapeHtml(line.slice(2))}</li>`)
      .join("")}</ul>`,
    htmlTable(modesTable(report)),
    `<p>${escapeHtml(METHOD(report))}</p>`,
    ...charts,
    latencyChart(report.modes),
  ];
  if (report.comparisons.length > 0) parts.push("<h2>Differences</h2>", htmlTable(comparisonsTable(report)));
  if (fitted !== undefined) {
    parts.push("<h2>Weights of a hybrid search</h2>", htmlTable(fittedTable(fitted)), weightsChart(fitted));
  }
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title>` +
    `<style>${STYLE}</style></head><body>\n${parts.join("\n")}\n</body></html>\n`
  );
}

function htmlTable([head, ...rows]: Table): string {
  return `<table>${htmlRow(head!, "th")}${rows.map((row) => htmlRow(row, "td")).join("")}</table>`;
}

function htmlRow(cells: readonly string[], tag: "td" | "th"): string {
  return `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
}

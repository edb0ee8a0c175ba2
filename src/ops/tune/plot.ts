import { formatSetting } from "../../store/index-note.js";
import { sameSetting } from "./curve.js";
import type { TuneReport } from "./tune.js";

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = { left: 64, right: 24, top: 40, bottom: 48 };

/** Recall over the time of a search, one point for each setting, as an SVG document. */
export function plotSvg(report: TuneReport): string {
  const { points, targetRecall, k, index } = report;
  const maxX = Math.max(...points.map(({ p50Ms }) => p50Ms)) * 1.15;
  const least = Math.min(targetRecall, ...points.map(({ recall }) => recall));
  const minY = Math.max(0, least - 0.15 * (1 - least) - 0.002);
  const x = (value: number): number => MARGIN.left + (value / maxX) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (value: number): number =>
    HEIGHT - MARGIN.bottom - ((value - minY) / (1 - minY)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const [right, bottom] = [WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
  const dots = points.map((point) => {
    const chosen = sameSetting(point, report.recommended);
    const [px, py] = [x(point.p50Ms), y(point.recall)];
    return (
      `<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="${chosen ? 6 : 4}" fill="${chosen ? "#dc2626" : "#2563eb"}"/>` +
      `<text x="${(px + 8).toFixed(1)}" y="${(py + 14).toFixed(1)}">${escapeXml(formatSetting(point.setting))}</text>`
    );
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const [time, recall] = [part * maxX, minY + part * (1 - minY)];
    return (
      `<text x="${x(time).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${time.toFixed(1)}</text>` +
      `<text x="${MARGIN.left - 6}" y="${(y(recall) + 4).toFixed(1)}" text-anchor="end">${recall.toFixed(3)}</text>`
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11">`,
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="${MARGIN.left}" y="22" font-size="14">${escapeXml(`recall@${k} of ${index}`)}</text>`,
    `<path d="M${MARGIN.left},${MARGIN.top}V${bottom}H${right}" fill="none" stroke="#888"/>`,
    `<path d="M${at(MARGIN.left, y(targetRecall))}H${right}" stroke="#16a34a" stroke-dasharray="5 4"/>`,
    `<text x="${right}" y="${(y(targetRecall) - 5).toFixed(1)}" text-anchor="end" fill="#16a34a">target ${targetRecall}</text>`,
    `<polyline points="${points.map((point) => at(x(point.p50Ms), y(point.recall))).join(" ")}" fill="none" stroke="#93c5fd"/>`,
    ...dots,
    ...ticks,
    `<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 10}" text-anchor="middle">median of a search, ms</text>`,
    "</svg>",
    "",
  ].join("\n");
}

/** The plot with the figures as tables, as one HTML document. */
export function plotHtml(report: TuneReport): string {
  const { points, recommended, filters, tenants, exact, k } = report;
  const cells = (values: readonly (string | number)[], tag = "td"): string =>
    `<tr>${values.map((value) => `<${tag}>${escapeXml(String(value))}</${tag}>`).join("")}</tr>`;
  const heads = [`recall@${k}`, "p50 ms", "p95 ms"];
  const table = (title: string, first: readonly string[], rows: readonly (readonly string[])[]): string =>
    rows.length === 0
      ? ""
      : `<h2>${title}</h2>\n<table>\n${cells([...first, ...heads], "th")}\n${rows.map((row) => cells(row)).join("\n")}\n</table>\n`;
  return (
    `<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>${escapeXml(report.index)}</title>\n` +
    "<style>body{font:15px sans-serif;max-width:760px;margin:2em auto}td,th{padding:2px 12px;text-align:left}</style>\n" +
    `<h1>${escapeXml(report.index)}</h1>\n${plotSvg(report)}` +
    `<p>Recommended: ${escapeXml(formatSetting(recommended.setting))}; recall of ${report.heldBack} questions that had no part ` +
    `in choosing it: ${recommended.heldBackRecall.toFixed(4)}.</p>\n` +
    table(
      "Settings",
      ["setting"],
      [["exact", ...figures(exact)], ...points.map((point) => [formatSetting(point.setting), ...figures(point)])],
    ) +
    table(
      "Filters",
      ["filter", "way"],
      filters.flatMap(({ filter, ways }) => ways.map((way) => [JSON.stringify(filter), way.way, ...figures(way)])),
    ) +
    table(
      "Tenants",
      ["tenant", "rows", "way"],
      tenants.map((tenant) => [tenant.tenantId, String(tenant.rows), tenant.way, ...figures(tenant)]),
    ) +
    "</html>\n"
  );
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function at(x: number, y: number): string {
  return `${x.toFixed(1)},${y.toFixed(1)}`;
}

function figures({ recall, p50Ms, p95Ms }: { recall: number; p50Ms: number; p95Ms: number }): string[] {
  return [recall.toFixed(4), p50Ms.toFixed(2), p95Ms.toFixed(2)];
}

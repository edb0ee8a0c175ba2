import type { FittedWeights } from "./fit-weights.js";
import type { ModeReport } from "./evaluate.js";

const WIDTH = 640;
const LABELS = 150;
const ROW = 26;
const PLOT = WIDTH - LABELS - 60;
const COLOUR = "#2563eb";

/** Means with their intervals, a row for each mode, from 0 to 1. */
export function metricChart(title: string, modes: readonly ModeReport[], metric: keyof ModeReport["metrics"]): string {
  const rows = modes.map(({ name, metrics }, index) => {
    const { mean, low, high } = metrics[metric];
    const y = 40 + index * ROW;
    return (
      label(name, y) +
      `<line x1="${fixed(shareX(low))}" x2="${fixed(shareX(high))}" y1="${y}" y2="${y}" stroke="${COLOUR}" stroke-width="2"/>` +
      `<circle cx="${fixed(shareX(mean))}" cy="${y}" r="4" fill="${COLOUR}"/>` +
      `<text x="${WIDTH - 50}" y="${y + 4}">${mean.toFixed(3)}</text>`
    );
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((value) => tick(shareX(value), String(value), modes.length));
  return svg(title, modes.length, ticks.join("") + rows.join(""));
}

/** Median and 95th percentile of the time of a call, a row for each mode. */
export function latencyChart(modes: readonly ModeReport[]): string {
  const most = Math.max(...modes.map(({ latency }) => latency.p95), 1e-3);
  const x = (value: number): number => LABELS + (value / most) * PLOT;
  const rows = modes.map(({ name, latency }, index) => {
    const y = 40 + index * ROW;
    return (
      label(name, y) +
      `<rect x="${LABELS}" y="${y - 7}" width="${fixed(x(latency.p95) - LABELS)}" height="14" fill="#bfdbfe"/>` +
      `<rect x="${LABELS}" y="${y - 7}" width="${fixed(x(latency.p50) - LABELS)}" height="14" fill="${COLOUR}"/>` +
      `<text x="${WIDTH - 50}" y="${y + 4}">${latency.p50.toFixed(1)}</text>`
    );
  });
  const ticks = [0, most].map((value) => tick(x(value), value.toFixed(1), modes.length));
  return svg("Milliseconds of a call: median (dark) and 95th percentile", modes.length, ticks.join("") + rows.join(""));
}

/** nDCG of the train half by the weight of the dense leg. */
export function weightsChart({ curve, weights, train }: FittedWeights): string {
  const rows = 6;
  const most = Math.max(...curve.map(({ ndcg }) => ndcg), 1e-9);
  const bottom = 27 + rows * ROW;
  const at = ({ dense, ndcg }: { dense: number; ndcg: number }): string =>
    `${fixed(shareX(dense))},${fixed(bottom - (ndcg / most) * (rows * ROW - 20))}`;
  const [cx, cy] = at({ dense: weights.dense, ndcg: train.ndcg }).split(",");
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((value) => tick(shareX(value), String(value), rows));
  return svg(
    "nDCG of the train half by the weight of the dense leg",
    rows,
    ticks.join("") +
      `<polyline points="${curve.map(at).join(" ")}" fill="none" stroke="${COLOUR}" stroke-width="2"/>` +
      `<circle cx="${cx}" cy="${cy}" r="5" fill="${COLOUR}"/>` +
      `<text x="${WIDTH - 50}" y="${cy}">${train.ndcg.toFixed(3)}</text>`,
  );
}

/** Text as it may stand in HTML and SVG. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function svg(title: string, rows: number, content: string): string {
  const height = 50 + rows * ROW;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" role="img" ` +
    `font-family="sans-serif" font-size="12"><title>${escapeHtml(title)}</title>` +
    `<text x="0" y="14" font-weight="bold">${escapeHtml(title)}</text>${content}</svg>`
  );
}

/** Where a value from 0 to 1 stands. */
function shareX(value: number): number {
  return LABELS + value * PLOT;
}

function label(name: string, y: number): string {
  return `<text x="${LABELS - 10}" y="${y + 4}" text-anchor="end">${escapeHtml(name)}</text>`;
}

function tick(x: number, text: string, rows: number): string {
  const bottom = 27 + rows * ROW;
  return (
    `<line x1="${fixed(x)}" x2="${fixed(x)}" y1="27" y2="${bottom}" stroke="#ddd"/>` +
    `<text x="${fixed(x)}" y="${bottom + 14}" text-anchor="middle" fill="#666">${text}</text>`
  );
}

function fixed(value: number): string {
  return value.toFixed(1);
}

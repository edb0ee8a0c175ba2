import { writeFileSync } from "node:fs";
import { round } from "./harness.js";

export interface Panel {
  readonly title: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

const WIDTH = 300;
const HEIGHT = 200;
const MARGIN = { left: 56, right: 16, top: 34, bottom: 34 };

/** Writes small line charts side by side, each with an axis of its own from 0, as one SVG file. */
export function plot(path: string, xLabel: string, panels: readonly Panel[]): void {
  const columns = 3;
  const rows = Math.ceil(panels.length / columns);
  const charts = panels.map((panel, i) => {
    const [x, y] = [(i % columns) * WIDTH, Math.floor(i / columns) * HEIGHT];
    return `<g transform="translate(${x} ${y})">${chart(panel, xLabel)}</g>`;
  });
  writeFileSync(
    path,
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns * WIDTH} ${rows * HEIGHT}" font-family="sans-serif" font-size="10">\n` +
      `<rect width="100%" height="100%" fill="white"/>\n${charts.join("\n")}\n</svg>\n`,
  );
}

function chart({ title, points }: Panel, xLabel: string): string {
  const [maxX, maxY] = [Math.max(...points.map(({ x }) => x)), Math.max(...points.map(({ y }) => y)) * 1.1];
  const right = WIDTH - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const at = ({ x, y }: Panel["points"][number]): string =>
    `${(MARGIN.left + (x / maxX) * (right - MARGIN.left)).toFixed(1)},${(bottom - (y / maxY) * (bottom - MARGIN.top)).toFixed(1)}`;
  const dots = points.map((point) => {
    const [cx, cy] = at(point).split(",");
    return `<circle cx="${cx}" cy="${cy}" r="2.5" fill="#2563eb"/>`;
  });
  return [
    `<text x="${MARGIN.left}" y="18" font-size="12">${title}</text>`,
    `<path d="M${MARGIN.left},${MARGIN.top}V${bottom}H${right}" fill="none" stroke="#888"/>`,
    `<text x="${MARGIN.left - 4}" y="${MARGIN.top + 4}" text-anchor="end">${round(maxY)}</text>`,
    `<text x="${MARGIN.left - 4}" y="${bottom}" text-anchor="end">0</text>`,
    `<text x="${right}" y="${bottom + 14}" text-anchor="end">${maxX.toLocaleString("en")} ${xLabel}</text>`,
    `<polyline points="${points.map(at).join(" ")}" fill="none" stroke="#2563eb" stroke-width="1.5"/>`,
    ...dots,
  ].join("");
}

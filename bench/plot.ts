import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { RESULTS, round } from "./harness.js";

interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Panel {
  readonly title: string;
  /** Lines by what they are named after, when there is more than one. */
  readonly lines: Readonly<Record<string, readonly Point[]>>;
}

const COLOURS = ["#2563eb", "#dc2626", "#16a34a", "#9333ea"];
const WIDTH = 340;
const HEIGHT = 200;
const MARGIN = { left: 56, right: 16, top: 34, bottom: 34 };

/** Writes small line charts side by side, each with an axis of its own from 0, as `docs/benchmarks/<name>.svg`. */
export function plot(name: string, xLabel: string, panels: readonly Panel[]): void {
  const columns = 3;
  const rows = Math.ceil(panels.length / columns);
  const charts = panels.map((panel, i) => {
    const [x, y] = [(i % columns) * WIDTH, Math.floor(i / columns) * HEIGHT];
    return `<g transform="translate(${x} ${y})">${chart(panel, xLabel)}</g>`;
  });
  writeFileSync(
    join(RESULTS, `${name}.svg`),
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns * WIDTH} ${rows * HEIGHT}" font-family="sans-serif" font-size="10">\n` +
      `<rect width="100%" height="100%" fill="white"/>\n${charts.join("\n")}\n</svg>\n`,
  );
}

function chart({ title, lines }: Panel, xLabel: string): string {
  const named = Object.entries(lines);
  const points = named.flatMap(([, line]) => line);
  const [maxX, maxY] = [Math.max(...points.map(({ x }) => x)), Math.max(...points.map(({ y }) => y)) * 1.1];
  const right = WIDTH - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const at = ({ x, y }: Point): string =>
    `${(MARGIN.left + (x / maxX) * (right - MARGIN.left)).toFixed(1)},${(bottom - (y / maxY) * (bottom - MARGIN.top)).toFixed(1)}`;
  const drawn = named.flatMap(([, line], i) => {
    const colour = COLOURS[i % COLOURS.length]!;
    const dots = line.map((point) => {
      const [cx, cy] = at(point).split(",");
      return `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colour}"/>`;
    });
    return [
      `<polyline points="${line.map(at).join(" ")}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
      ...dots,
    ];
  });
  const names = named.map(([name], i) => `<tspan dx="8" fill="${COLOURS[i % COLOURS.length]!}">${name}</tspan>`);
  const legend = named.length > 1 ? `<text x="${MARGIN.left - 8}" y="29">${names.join("")}</text>` : "";
  return [
    `<text x="${MARGIN.left}" y="16" font-size="12">${title}</text>`,
    legend,
    `<path d="M${MARGIN.left},${MARGIN.top}V${bottom}H${right}" fill="none" stroke="#888"/>`,
    `<text x="${MARGIN.left - 4}" y="${MARGIN.top + 4}" text-anchor="end">${round(maxY)}</text>`,
    `<text x="${MARGIN.left - 4}" y="${bottom}" text-anchor="end">0</text>`,
    `<text x="${right}" y="${bottom + 14}" text-anchor="end">${maxX.toLocaleString("en")} ${xLabel}</text>`,
    ...drawn,
  ].join("");
}

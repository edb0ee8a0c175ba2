import { describe, expect, it } from "vitest";
import { drawCurve } from "../../src/ops/tune/curve.js";
import { plotHtml, plotSvg } from "../../src/ops/tune/plot.js";
import { between, candidates, isHopeless, qualifies, type TunePoint } from "../../src/ops/tune/recommend.js";
import type { TuneReport } from "../../src/ops/tune/tune.js";

const point = (efSearch: number, recall: number, p50Ms: number, error = 0.001): TunePoint => ({
  setting: { efSearch },
  recall,
  error,
  p50Ms,
  p95Ms: 2 * p50Ms,
  queries: 100,
});

describe("what tune recommends", () => {
  const points = [point(40, 0.95, 1), point(100, 0.985, 1.5), point(200, 0.992, 2.5), point(400, 0.997, 2.4)];

  it("is the fastest that reaches the target, however much it looks at", () => {
    expect(candidates(points, 0.99).map(({ setting }) => setting.efSearch)).toEqual([400, 200]);
    expect(candidates(points, 0.999)).toEqual([]);
  });

  it("has to come close with the questions that were kept back, too", () => {
    expect(qualifies(point(1, 0.99, 1), 0.99)).toBe(true);
    expect(qualifies(point(1, 0.9899, 1), 0.99)).toBe(false);
    expect(qualifies({ ...point(1, 0.99, 1), heldBackRecall: 0.991 }, 0.99)).toBe(true);
    // Two thirds of the questions reached it, and all of them together do not.
    expect(qualifies({ ...point(1, 0.99, 1), heldBackRecall: 0.985 }, 0.99)).toBe(false);
    expect(qualifies({ ...point(1, 0.993, 1), heldBackRecall: 0.985 }, 0.99)).toBe(true);
    expect(qualifies({ ...point(1, 0.999, 1), heldBackRecall: 0.984 }, 0.99)).toBe(false);
  });

  it("is not sought where a part of the questions tells enough", () => {
    expect(isHopeless(point(40, 0.95, 1, 0.01), 0.99)).toBe(true);
    expect(isHopeless(point(40, 0.95, 1, 0.012), 0.99)).toBe(false);
  });

  it("is looked for between the last that fails and the first that does not", () => {
    expect(between(points, 0.99)).toEqual({ efSearch: 150 });
    expect(between([point(90, 0.98, 1), point(100, 0.99, 1)], 0.99)).toBeUndefined();
    expect(between([point(40, 0.99, 1)], 0.99)).toBeUndefined();
    expect(between(points, 1)).toBeUndefined();
    const probes = [1, 4].map((value) => ({ ...point(0, value === 1 ? 0.9 : 1, 1), setting: { probes: value } }));
    expect(between(probes, 0.99)).toEqual({ probes: 3 });
  });

  const report: TuneReport = {
    index: 'a "<b>" index',
    type: "hnsw",
    k: 10,
    targetRecall: 0.99,
    questions: "rows",
    queries: 100,
    heldBack: 50,
    exact: point(0, 1, 20),
    points,
    recommended: { ...points[3]!, heldBackRecall: 0.995 },
    reached: true,
    applied: true,
    filters: [],
    tenants: [{ tenantId: "<script>", rows: 5, way: "exact", ...point(0, 1, 1) }],
  };

  it("is marked in the curve", () => {
    const lines = drawCurve(report).split("\n");
    expect(lines).toHaveLength(5);
    expect(lines.filter((line) => line.includes("recommended"))).toEqual([expect.stringMatching(/^efSearch 400 +#+/)]);
    const bars = lines.slice(1).map((line) => line.replaceAll(/[^#]/g, "").length);
    expect(bars).toEqual(bars.toSorted((a, b) => a - b));
  });

  it("is plotted, with every name escaped", () => {
    const svg = plotSvg(report);
    expect(svg.match(/<circle/g)).toHaveLength(4);
    expect(svg).toContain("a &quot;&lt;b&gt;&quot; index");
    const html = plotHtml(report);
    expect(html).toContain(svg);
    expect(html).toContain("&lt;script&gt;");
    expect(html).not.toContain("<script>");
  });
});

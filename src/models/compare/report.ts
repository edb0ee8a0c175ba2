import type { Comparison, VersionFigures } from "./compare.js";

/** A comparison as lines for a terminal. */
export function comparisonText(comparison: Comparison): string {
  return rowsOf(comparison)
    .map(([name, before, after]) => `${name.padEnd(30)} ${before.padStart(24)} ${after.padStart(24)}`)
    .concat(
      `overlap@${comparison.k} ${comparison.overlap.toFixed(3)}, rank-biased overlap ${comparison.rankBiasedOverlap.toFixed(3)}, ` +
        `over ${comparison.queries} queries`,
      comparison.passed
        ? "nothing speaks against a cut-over"
        : `a cut-over is blocked: ${comparison.failures.join("; ")}`,
    )
    .join("\n");
}

/** A comparison as one HTML document without anything from elsewhere. */
export function comparisonHtml(comparison: Comparison): string {
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join("")}</tr>`;
  const [head, ...body] = rowsOf(comparison);
  const worst = comparison.worst.map(({ query, overlap }) => cells("td", [query, overlap.toFixed(2)])).join("\n");
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Comparison of two model versions</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #bbb;padding:.3rem .7rem;text-align:left}</style>
<h1>Comparison of two model versions</h1>
<p>${comparison.passed ? "Nothing speaks against a cut-over." : `A cut-over is blocked: ${escape(comparison.failures.join("; "))}.`}</p>
<p>Over ${comparison.queries} queries, ${comparison.labelled} of them labelled: overlap@${comparison.k}
${comparison.overlap.toFixed(3)}, rank-biased overlap ${comparison.rankBiasedOverlap.toFixed(3)}.</p>
<table>${cells("th", head!)}
${body.map((row) => cells("td", row)).join("\n")}</table>
<h2>Where they differ most</h2>
<table>${cells("th", ["query", `overlap@${comparison.k}`])}
${worst}</table>
</html>
`;
}

function rowsOf({ before, after, k }: Comparison): [string, string, string][] {
  const row = (name: string, of: (figures: VersionFigures) => string): [string, string, string] => [
    name,
    of(before),
    of(after),
  ];
  return [
    row("", ({ version }) => `version ${version}`),
    row("model", ({ fingerprint }) => fingerprint),
    row(`nDCG@${k}`, ({ ndcg }) => share(ndcg)),
    row(`recall@${k}, labelled`, ({ recall }) => share(recall)),
    row(`recall@${k} against exact`, ({ indexRecall }) => share(indexRecall)),
    row("searched by", ({ indexed }) => (indexed ? "index" : "exact")),
    row("p50", ({ p50Ms }) => `${p50Ms.toFixed(2)} ms`),
    row("p95", ({ p95Ms }) => `${p95Ms.toFixed(2)} ms`),
  ];
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function share(value: number | undefined): string {
  return value === undefined ? "-" : value.toFixed(3);
}

import { citationOf, formatCitation } from "../chains/citation.js";
import type { SearchHit } from "../store/search-hit.js";

const SNIPPET_CHARACTERS = 200;
/** In place of a figure that a hit does not have: it was not among the candidates of that ranking. */
const NONE = "-";

/** A hit for people: number, place, figures, and its beginning. */
export function hitText(hit: SearchHit, index: number): string {
  const { document } = hit;
  const text = document.pageContent.replace(/\s+/g, " ");
  const snippet = text.length <= SNIPPET_CHARACTERS ? text : `${text.slice(0, SNIPPET_CHARACTERS).toWellFormed()}…`;
  return `${index + 1}. ${placeOf(hit, index)}\n   ${scoreText(hit)}\n   ${snippet}`;
}

function placeOf({ document }: SearchHit, index: number): string {
  return formatCitation(citationOf(document, index + 1, { start: 0, end: document.pageContent.length }));
}

function scoreText({ score, similarity, distance, lexical }: SearchHit): string {
  if (lexical === undefined && score === similarity)
    return `similarity ${score.toFixed(3)}, distance ${distance!.toFixed(3)}`;
  const bm25 = lexical === undefined ? "" : `, BM25 ${lexical.bm25.toFixed(3)}`;
  return `score ${score.toFixed(3)}${bm25}${distance === undefined ? "" : `, distance ${distance.toFixed(3)}`}`;
}

/** A row for each hit: what either ranking made of it, and the words that matched, as they are stored. */
export function explainTable(hits: readonly SearchHit[]): string {
  const rows = hits.map((hit, index) => [
    String(index + 1),
    hit.score.toFixed(3),
    hit.dense === undefined ? NONE : String(hit.dense.rank),
    hit.distance?.toFixed(3) ?? NONE,
    hit.lexical === undefined ? NONE : String(hit.lexical.rank),
    hit.lexical?.bm25.toFixed(3) ?? NONE,
    hit.lexical?.terms.join(" ") ?? NONE,
    placeOf(hit, index),
  ]);
  const table = [["", "score", "by vector", "distance", "by words", "BM25", "words that matched", "where"], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

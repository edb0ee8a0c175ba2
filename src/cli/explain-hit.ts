import { citationOf, formatCitation } from "../chains/citation.js";
import type { SearchHit } from "../store/search-hit.js";

const SNIPPET_CHARACTERS = 200;

/** A hit for people: number, place, figures, with `explain` its places in both rankings, and its beginning. */
export function hitText(hit: SearchHit, index: number, explain: boolean): string {
  const { document } = hit;
  const place = formatCitation(citationOf(document, index + 1, { start: 0, end: document.pageContent.length }));
  const text = document.pageContent.replace(/\s+/g, " ");
  const snippet = text.length <= SNIPPET_CHARACTERS ? text : `${text.slice(0, SNIPPET_CHARACTERS).toWellFormed()}…`;
  return `${index + 1}. ${place}\n   ${scoreText(hit)}${explain ? explainText(hit) : ""}\n   ${snippet}`;
}

function scoreText({ score, similarity, distance, lexical }: SearchHit): string {
  if (lexical === undefined && score === similarity)
    return `similarity ${score.toFixed(3)}, distance ${distance!.toFixed(3)}`;
  const bm25 = lexical === undefined ? "" : `, BM25 ${lexical.bm25.toFixed(3)}`;
  return `score ${score.toFixed(3)}${bm25}${distance === undefined ? "" : `, distance ${distance.toFixed(3)}`}`;
}

/** Places in both rankings and the words that matched, each as it is stored. */
function explainText({ dense, lexical }: SearchHit): string {
  const byVector = dense === undefined ? "not among the candidates by vector" : `by vector no. ${dense.rank}`;
  const byWords =
    lexical === undefined ? "not among those by words" : `by words no. ${lexical.rank}: ${lexical.terms.join(", ")}`;
  return `\n   ${byVector}; ${byWords}`;
}

import type { DocumentInterface } from "@langchain/core/documents";

const RRF_K = 60;

/**
 * One ranking of the documents of several, each document once: by the sum of `1 / (60 + rank)` over the rankings that hold
 * it; ties keep the order of appearance. Documents are told apart by their ids, without one by their text and source.
 */
export function fuseRankings(rankings: readonly (readonly DocumentInterface[])[]): DocumentInterface[] {
  const scored = new Map<string, { document: DocumentInterface; score: number }>();
  for (const ranking of rankings) {
    ranking.forEach((document, index) => {
      const key = keyOf(document);
      const entry = scored.get(key) ?? { document, score: 0 };
      entry.score += 1 / (RRF_K + index + 1);
      scored.set(key, entry);
    });
  }
  return [...scored.values()].toSorted((a, b) => b.score - a.score).map(({ document }) => document);
}

function keyOf({ id, pageContent, metadata }: DocumentInterface): string {
  return id === undefined ? `text:${JSON.stringify([pageContent, metadata["source"]])}` : `id:${id}`;
}

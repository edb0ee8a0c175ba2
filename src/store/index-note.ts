/** What was measured when an index was built. Kept as the index's comment, so that it is dropped and restored with it. */
export interface IndexNote {
  /** The fewest candidates that reach the target recall. */
  readonly efSearch: number;
  /** recall@10 with them, 0 to 1, against exact searches. */
  readonly recall: number;
  /** Searches it was measured with. */
  readonly queries: number;
}

const NOTE = /^langchain-pgvector: efSearch (\d+), recall@10 ([\d.]+) in (\d+) searches$/;

export function formatIndexNote({ efSearch, recall, queries }: IndexNote): string {
  return `langchain-pgvector: efSearch ${efSearch}, recall@10 ${recall.toFixed(3)} in ${queries} searches`;
}

/** `undefined` for a comment of somebody else, or none. */
export function parseIndexNote(comment: string | null): IndexNote | undefined {
  const [, efSearch, recall, queries] = NOTE.exec(comment ?? "") ?? [];
  if (efSearch === undefined) return undefined;
  return { efSearch: Number(efSearch), recall: Number(recall), queries: Number(queries) };
}

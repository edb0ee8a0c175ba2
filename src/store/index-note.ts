/** What was measured of an index. Kept as the index's comment, so that it is dropped and restored with it. */
export interface IndexNote {
  /** The setting that reaches the target recall at the least cost: of an HNSW index its candidates, of IVFFlat its lists. */
  readonly setting: SearchSetting;
  /** Hits that were asked for. */
  readonly k: number;
  /** recall@k with it, 0 to 1, against exact searches. */
  readonly recall: number;
  /** Searches it was measured with. */
  readonly queries: number;
}

/** How much of an index one search looks at. */
export type SearchSetting =
  | { readonly efSearch: number; readonly probes?: undefined }
  | { readonly probes: number; readonly efSearch?: undefined };

const NOTE = /^langchain-pgvector: (efSearch|probes) (\d+), recall@(\d+) ([\d.]+) in (\d+) searches$/;

export function formatIndexNote({ setting, k, recall, queries }: IndexNote): string {
  return `langchain-pgvector: ${formatSetting(setting)}, recall@${k} ${recall.toFixed(3)} in ${queries} searches`;
}

/** Such as `efSearch 100`. */
export function formatSetting({ efSearch, probes }: SearchSetting): string {
  return efSearch === undefined ? `probes ${probes}` : `efSearch ${efSearch}`;
}

/** `undefined` for a comment of somebody else, or none. */
export function parseIndexNote(comment: string | null): IndexNote | undefined {
  const [, name, value, k, recall, queries] = NOTE.exec(comment ?? "") ?? [];
  if (name === undefined) return undefined;
  const setting = name === "probes" ? { probes: Number(value) } : { efSearch: Number(value) };
  return { setting, k: Number(k), recall: Number(recall), queries: Number(queries) };
}

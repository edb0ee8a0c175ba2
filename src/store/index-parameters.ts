import { graphBytesPerRow, type BuiltVectors } from "./build-memory.js";

export interface HnswParameters {
  readonly m: number;
  readonly efConstruction: number;
}

/** Where nothing speaks for others; see docs/decisions/0020-index-parameters.md for what was measured. */
const DEFAULT: HnswParameters = { m: 16, efConstruction: 128 };
/** A leaner graph, whose build is worth more than its recall costs when only it fits the memory. */
const LEAN_M = 12;
/** From here on a denser graph is needed for the same recall with as many candidates. */
const MANY_ROWS = 1_000_000;
const DENSE: HnswParameters = { m: 24, efConstruction: 192 };

/**
 * Build parameters of an HNSW index.
 *
 * @param memory bytes that the build may take at most.
 */
export function chooseHnswParameters(
  vectors: BuiltVectors & { readonly rows: number },
  memory: number,
): HnswParameters {
  const fits = (m: number): boolean => vectors.rows * graphBytesPerRow(vectors, m) <= memory;
  if (vectors.rows >= MANY_ROWS && fits(DENSE.m)) return DENSE;
  if (!fits(DEFAULT.m) && fits(LEAN_M)) return { ...DEFAULT, m: LEAN_M };
  return DEFAULT;
}

const MAX_LISTS = 32_768;

/** Lists of an IVFFlat index, as pgvector recommends: a list for 1,000 rows up to a million, then the square root. */
export function chooseLists(rows: number): number {
  const lists = rows <= 1_000_000 ? rows / 1_000 : Math.sqrt(rows);
  return Math.min(MAX_LISTS, Math.max(1, Math.round(lists)));
}

/** Lists that are off by more than this factor cost time or recall, and a new build is worth while. */
const STALE_FACTOR = 2;

/** Whether an IVFFlat index has far more or fewer lists than its rows call for now. */
export function areListsStale(lists: number, rows: number): boolean {
  const wanted = chooseLists(rows);
  // Below this an index of any number of lists is fast.
  if (rows < 10_000) return false;
  return wanted > STALE_FACTOR * lists || lists > STALE_FACTOR * wanted;
}

/** Probes where nothing was measured, as pgvector recommends. */
export function defaultProbes(lists: number): number {
  return Math.max(1, Math.round(Math.sqrt(lists)));
}

/** Samples of k-means for each list, and at least. */
const SAMPLES_PER_LIST = 50;
const MIN_SAMPLES = 10_000;

/** Bytes without which an IVFFlat build fails: its samples, and the bounds of their distances to all centres. */
export function ivfflatBuildBytes({ dimensions }: BuiltVectors, lists: number): number {
  const vector = 4 * dimensions + 8;
  const samples = Math.max(MIN_SAMPLES, SAMPLES_PER_LIST * lists);
  return Math.ceil(1.2 * (samples * vector + 4 * samples * lists + 4 * lists * lists + 4 * lists * vector)) + 2 ** 20;
}

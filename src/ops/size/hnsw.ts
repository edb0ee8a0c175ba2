import { packedPages, PAGE_BYTES } from "./pages.js";
import { vectorBytes, type SizeShape } from "./shape.js";

const ELEMENT_HEADER = 72;
const NEIGHBOUR_HEADER = 4;
const ITEM_POINTER = 6;
const PAGE_SPECIAL = 8;
const SAMPLE = 4_000;

/**
 * Bytes of an HNSW index. Each vector is one tuple that never spans pages, followed by one with its neighbours, so the size
 * moves in steps: 2.05 kB a vector at 384 dimensions, 8.2 kB at 1,024 and at 1,536.
 *
 * @see https://github.com/pgvector/pgvector/blob/master/src/hnsw.h for the tuples
 */
export function hnswIndexBytes(shape: SizeShape): number {
  const element = ELEMENT_HEADER + vectorBytes(shape);
  const groups = Array.from({ length: SAMPLE }, (_, index) => {
    const neighbours = (levelOf(index, shape.m) + 2) * shape.m;
    return [element, NEIGHBOUR_HEADER + neighbours * ITEM_POINTER];
  });
  const pages = packedPages(groups, { special: PAGE_SPECIAL, together: true });
  return (1 + Math.ceil((pages * shape.vectors) / SAMPLE)) * PAGE_BYTES;
}

/** Every `m`-th element of a level stands in the next one too, spread evenly over the sample. */
function levelOf(index: number, m: number): number {
  let level = 0;
  for (let rest = index + 1; rest % m === 0; rest /= m) level += 1;
  return level;
}

/** Bytes that one element takes beside its vector and its lists of neighbours, and each neighbour of a list. */
const ELEMENT_MEMORY = 400;
const NEIGHBOUR_MEMORY = 35;

/**
 * Bytes of `maintenance_work_mem` that hold the whole graph while it is built. With less, the build goes on through pages
 * on disk and takes several times as long.
 */
export function hnswBuildBytes(shape: SizeShape): number {
  return shape.vectors * (vectorBytes(shape) + ELEMENT_MEMORY + NEIGHBOUR_MEMORY * shape.m);
}

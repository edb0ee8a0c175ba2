import { isDeepStrictEqual } from "node:util";
import type { Pool } from "../../src/db/pool.js";
import { ChromaClient } from "../../src/chroma/client.js";
import { chromaDistance, type Space } from "../../src/chroma/collection.js";
import { chromaSource } from "../../src/chroma/import/chroma-source.js";
import { Chroma, importChroma, type ImportReport } from "../../src/chroma/index.js";
import { fillCollection, sampleRecords } from "./chroma-records.js";
import { sampleFilters, type ChromaFilter } from "./chroma-filters.js";
import { HashedEmbeddings, seededRandom } from "./vectors.js";

export interface ComparisonSize {
  /** Records of each collection, by its distance. */
  readonly records: Readonly<Record<string, number>>;
  readonly dimensions: number;
  readonly queries: number;
  readonly filters: number;
}

export interface Comparison {
  readonly report: ImportReport;
  /** Whole import and what of it was waiting for Chroma to be read, twice with the verification, in seconds. */
  readonly importSeconds: number;
  readonly chromaReadSeconds: number;
  readonly records: number;
  /** Records that differ in id, document, metadata or any bit of the vector. */
  readonly differentRecords: number;
  readonly filterSets: number;
  /** Filters whose matching ids differ. */
  readonly differentSets: readonly ChromaFilter[];
  readonly queries: number;
  /** Searches whose results differ by more than ties. */
  readonly differentResults: readonly { query: number; filter: ChromaFilter; chroma: string[]; ours: string[] }[];
  /** Largest difference of two distances of one result. */
  readonly distanceError: number;
}

const K = 10;
const TIE = 1e-5;

/** Fills a Chroma server, imports from it, and asks both the same. */
export async function compareWithChroma(url: string, pool: Pool, size: ComparisonSize): Promise<Comparison> {
  const client = new ChromaClient({ url });
  // With as many candidates as records Chroma's index is an exact search.
  const exact = (count: number) => ({ "hnsw:search_ef": 2 * count, "hnsw:construction_ef": 200, "hnsw:M": 32 });
  for (const [index, [space, count]] of Object.entries(size.records).entries()) {
    await fillCollection(client, `sample-${space}`, space, sampleRecords(count, size.dimensions, index), exact(count));
  }
  const collections = Object.keys(size.records).map((space) => `sample-${space}`);
  const { report, importSeconds, chromaReadSeconds } = await timeImport(url, pool, collections, "compared");

  let records = 0;
  let differentRecords = 0;
  let queries = 0;
  let distanceError = 0;
  const differentSets: ChromaFilter[] = [];
  const differentResults: Comparison["differentResults"][number][] = [];
  const filters = sampleFilters(size.filters, 7);
  for (const [index, name] of collections.entries()) {
    const { id, space } = await client.getCollection(name);
    const embeddings = new HashedEmbeddings(size.dimensions);
    const store = new Chroma(embeddings, { pool, collectionName: name, tableName: "compared" });
    const pages = await compareRecords(client, id, store);
    records += pages.records;
    differentRecords += pages.different;
    for (const filter of filters) if (!(await sameSet(client, id, store, filter))) differentSets.push(filter);
    const random = seededRandom(100 + index);
    const share = Math.ceil(size.queries / collections.length);
    for (let query = 0; query < share && queries < size.queries; query += 1, queries += 1) {
      const filter = filters[queries % filters.length]!;
      const vector = unit(Array.from({ length: size.dimensions }, () => random() - 0.5));
      const outcome = await compareSearch(client, id, store, vector, filter, space);
      distanceError = Math.max(distanceError, outcome.distanceError);
      if (!outcome.same) {
        differentResults.push({ query: queries, filter, chroma: outcome.chroma, ours: outcome.ours });
      }
    }
  }
  return {
    report,
    importSeconds,
    chromaReadSeconds,
    records,
    differentRecords,
    filterSets: filters.length * collections.length,
    differentSets,
    queries,
    differentResults,
    distanceError,
  };
}

export interface TimedImport {
  readonly report: ImportReport;
  readonly importSeconds: number;
  /** Reading alone, twice as the import reads, right before it. */
  readonly chromaReadSeconds: number;
}

export async function timeImport(
  url: string,
  pool: Pool,
  collections: readonly string[],
  tableName: string,
): Promise<TimedImport> {
  const chromaReadSeconds = 2 * (await readSeconds(new ChromaClient({ url }), collections));
  const started = performance.now();
  const report = await importChroma({ chroma: { url }, pool, collections, tableName });
  return { report, importSeconds: (performance.now() - started) / 1_000, chromaReadSeconds };
}

/** Reading alone, as the import reads. */
async function readSeconds(client: ChromaClient, names: readonly string[]): Promise<number> {
  const started = performance.now();
  for (const collection of await chromaSource(client).collections(names)) {
    for await (const page of collection.pages(500)) if (page.length === 0) break;
  }
  return (performance.now() - started) / 1_000;
}

async function compareRecords(
  client: ChromaClient,
  collection: string,
  store: Chroma,
): Promise<{ records: number; different: number }> {
  let records = 0;
  let different = 0;
  for (;;) {
    const include = ["documents", "metadatas", "embeddings", "uris"] as const;
    const page = await client.get(collection, { limit: 1_000, offset: records, include });
    if (page.ids.length === 0) break;
    const chunks = await store.get({ ids: page.ids, include: ["documents", "metadatas", "embeddings"] });
    for (const [index, id] of page.ids.entries()) {
      const uri = page.uris![index] ?? null;
      const wanted = {
        id,
        content: page.documents![index],
        metadata: { ...page.metadatas![index], ...(uri !== null && { uri }) },
        embedding: page.embeddings![index]!.map(Math.fround),
      };
      if (!isDeepStrictEqual(chunks[index], wanted)) different += 1;
    }
    records += page.ids.length;
  }
  // A row too many is a difference too.
  return { records, different: different + Math.abs((await store.get({ include: [] })).length - records) };
}

async function sameSet(
  client: ChromaClient,
  collection: string,
  store: Chroma,
  filter: ChromaFilter,
): Promise<boolean> {
  const { where, whereDocument } = filter;
  const theirs = await client.get(collection, {
    include: [],
    ...(where && { where }),
    ...(whereDocument && { where_document: whereDocument }),
  });
  const ours = await store.get({
    include: [],
    ...(where && { where: where as never }),
    ...(whereDocument && { whereDocument: whereDocument }),
  });
  return isDeepStrictEqual(theirs.ids.toSorted(), ours.map(({ id }) => id).toSorted());
}

async function compareSearch(
  client: ChromaClient,
  collection: string,
  store: Chroma,
  vector: number[],
  { where, whereDocument }: ChromaFilter,
  space: Space,
): Promise<{ same: boolean; distanceError: number; chroma: string[]; ours: string[] }> {
  const { ids, distances } = await client.query(collection, { vectors: [vector], k: K, where, whereDocument });
  const hits = await store.search(vector, {
    k: K,
    filter: where as never,
    whereDocument: whereDocument as never,
  });
  const chroma = ids[0]!;
  const ours = hits.map(({ document }) => document.id!);
  const theirDistances = distances![0]!.map(Number);
  const distanceError = Math.max(
    0,
    ...hits.map(({ distance }, index) =>
      Math.abs(chromaDistance(distance!, space) - (theirDistances[index] ?? Infinity)),
    ),
  );
  // Within a tie the order is anyone's, and so is who comes last.
  const last = theirDistances.at(-1) ?? 0;
  const certain = chroma.filter((_, index) => theirDistances[index]! < last - TIE);
  const same = chroma.length === ours.length && distanceError <= TIE && certain.every((id) => ours.includes(id));
  return { same, distanceError, chroma, ours };
}

function unit(vector: number[]): number[] {
  const length = Math.hypot(...vector);
  return vector.map((value) => Math.fround(value / length));
}

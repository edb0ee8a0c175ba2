import type { ChromaClient } from "../../src/chroma/client.js";
import type { ChromaCollection } from "../../src/chroma/collection.js";
import { seededRandom } from "./vectors.js";

export interface SampleRecord {
  readonly id: string;
  readonly vector: readonly number[];
  readonly document: string;
  readonly metadata: Readonly<Record<string, string | number | boolean>> | null;
  readonly uri: string | null;
}

export const WORDS = "index vacuum tenant café query Plan 100% under_score back\\slash naïve vector".split(" ");
const TOPICS = ["indexes", "tuning", "backup", "日本", "it's", 'quo"te'];

/** Of length 1, in float32, as embedding models give them. */
function unit(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return vector.map((value) => Math.fround(value / length));
}

/** Records with mixed metadata: some keys missing, none at all, integers, fractions, booleans, text; the same each time. */
export function sampleRecords(count: number, dimensions: number, seed: number): SampleRecord[] {
  const random = seededRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const centres = Array.from({ length: 20 }, () => Array.from({ length: dimensions }, () => random() - 0.5));
  return Array.from({ length: count }, (_, number) => {
    const centre = pick(centres);
    const metadata: Record<string, string | number | boolean> = { number };
    if (random() < 0.9) metadata["topic"] = pick(TOPICS);
    if (random() < 0.7) metadata["year"] = 1990 + Math.floor(random() * 40);
    // Always a fraction: Chroma compares a fraction with a stored integer by its whole part.
    if (random() < 0.6) metadata["share"] = Math.floor(random() * 64) + 0.5;
    if (random() < 0.5) metadata["draft"] = random() < 0.5;
    if (random() < 0.2) metadata["a.b"] = pick(["x", "y"]);
    const words = Array.from({ length: 3 + Math.floor(random() * 9) }, () => pick(WORDS));
    return {
      id: `record ${number} ${pick(["é", "#", "/"])}`,
      vector: unit(centre.map((value) => value + (random() - 0.5) * 0.5)),
      document: words.join(random() < 0.1 ? "\n" : " "),
      metadata: random() < 0.05 ? null : metadata,
      uri: random() < 0.1 ? `https://example.org/${number}` : null,
    };
  });
}

/** A new collection with these records. */
export async function fillCollection(
  client: ChromaClient,
  name: string,
  space: string,
  records: readonly SampleRecord[],
  settings: Readonly<Record<string, unknown>> = {},
): Promise<ChromaCollection> {
  const collection = await client.createCollection(name, { "hnsw:space": space, owner: "tests", ...settings });
  for (let start = 0; start < records.length; start += 1_000) {
    const part = records.slice(start, start + 1_000);
    await client.upsert(collection.id, {
      ids: part.map(({ id }) => id),
      embeddings: part.map(({ vector }) => [...vector]),
      documents: part.map(({ document }) => document),
      metadatas: part.map(({ metadata }) => metadata),
      uris: part.map(({ uri }) => uri),
    });
  }
  return client.getCollection(name);
}

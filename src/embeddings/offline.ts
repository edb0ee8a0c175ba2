import { Embeddings, type EmbeddingsParams } from "@langchain/core/embeddings";
import { ConfigurationError } from "../errors.js";
import { featureHash } from "./feature-hash.js";
import { wordsOf, type Word } from "./words.js";

/** Options of {@link OfflineEmbeddings}. */
export interface OfflineEmbeddingsParams extends EmbeddingsParams {
  /**
   * Length of the vectors, 16 to 16,000. More dimensions mean fewer collisions between words, thus better ranking.
   *
   * @defaultValue 384
   */
  dimensions?: number;
}

// Feature spaces keep a word, a pair of words and a run of characters that are spelt alike apart.
const WORD = 1;
const PAIR = 2;
const GRAM = 3;
const NOTHING = 4;

const STOP_WEIGHT = 0.03;
const PAIR_WEIGHT = 0.1;
const GRAM_WEIGHT = 0.9;
const GRAM_SIZES = [3, 4];
const LONGEST_GRAMMED_WORD = 40;

/**
 * Embeds text on this machine with no model, no download and no state, so that everything runs offline.
 *
 * It matches **words, not meaning**: a hashed bag of stems, pairs of neighbouring stems and character runs (which
 * forgive typos and inflections), with English function words nearly ignored. "car" and "automobile" are strangers to
 * it. The same text has the same vector on every platform and in every process; vectors are float32 values of unit
 * length (`length === dimensions`), never zero, so cosine distance is always defined. Use a real embedding model in
 * production, and this one for demos, tests and air-gapped machines.
 *
 * @see docs/decisions/0003-offline-embedder.md for what it was measured against
 * @example
 * ```ts
 * const embeddings = new OfflineEmbeddings({ dimensions: 768 });
 * const vector = await embeddings.embedQuery("How large may hnsw.ef_search be?");
 * ```
 */
export class OfflineEmbeddings extends Embeddings {
  /** Length of every vector. */
  readonly dimensions: number;

  /** Identity that a store records; it changes whenever the vectors would. */
  readonly model: string;

  /** @throws {@link ConfigurationError} when `dimensions` is not a whole number from 16 to 16,000 */
  constructor(params?: OfflineEmbeddingsParams) {
    const { dimensions = 384, ...rest } = params ?? {};
    super(rest);
    if (!Number.isInteger(dimensions) || dimensions < 16 || dimensions > 16_000) {
      throw new ConfigurationError(
        `dimensions is ${String(dimensions)}; OfflineEmbeddings needs a whole number from 16 to 16000, such as 384.`,
      );
    }
    this.dimensions = dimensions;
    this.model = `offline-hash-${dimensions}-v1`;
  }

  /** Embeds texts to be found; as many vectors as texts, in their order. */
  async embedDocuments(documents: string[]): Promise<number[][]> {
    return documents.map((document) => embed(document, this.dimensions));
  }

  /** Embeds a text to search with; the same function as for documents. */
  async embedQuery(document: string): Promise<number[]> {
    return embed(document, this.dimensions);
  }
}

function embed(text: string, dimensions: number): number[] {
  const vector = new Float64Array(dimensions);
  const add = (hash: number, weight: number): void => {
    const index = (hash >>> 1) % dimensions;
    vector[index] = vector[index]! + (hash & 1 ? weight : -weight);
  };

  const words = wordsOf(text);
  for (const [word, count] of counted(words)) {
    const weight = (word.stop ? STOP_WEIGHT : 1) * damped(count);
    add(featureHash(WORD, word.stem), weight);
    if (!word.stop && !word.compound) addGrams(word.stem, weight, add);
  }
  for (const [pair, count] of countedPairs(words)) add(featureHash(PAIR, pair), PAIR_WEIGHT * damped(count));
  return normalised(vector);
}

function counted(words: readonly Word[]): Iterable<[Word, number]> {
  const counts = new Map<string, [Word, number]>();
  for (const word of words) {
    const entry = counts.get(word.stem);
    if (entry) entry[1]++;
    else counts.set(word.stem, [word, 1]);
  }
  return counts.values();
}

/** Neighbouring content words; function words between them are skipped. */
function countedPairs(words: readonly Word[]): Map<string, number> {
  const counts = new Map<string, number>();
  let previous: string | undefined;
  for (const word of words) {
    if (word.stop || word.compound) continue;
    if (previous !== undefined) {
      const pair = `${previous} ${word.stem}`;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
    previous = word.stem;
  }
  return counts;
}

function addGrams(stem: string, weight: number, add: (hash: number, weight: number) => void): void {
  if (stem.length > LONGEST_GRAMMED_WORD) return;
  const bounded = `^${stem}$`;
  const starts = GRAM_SIZES.map((size) => Math.max(0, bounded.length - size + 1));
  const share = (GRAM_WEIGHT * weight) / Math.sqrt(starts.reduce((sum, count) => sum + count, 0));
  GRAM_SIZES.forEach((size, which) => {
    for (let from = 0; from < starts[which]!; from++) add(featureHash(GRAM, bounded, from, from + size), share);
  });
}

/** count to the power of 3/4, by square roots alone: `Math.pow` may differ in the last bit between engines. */
function damped(count: number): number {
  return Math.sqrt(count * Math.sqrt(count));
}

function normalised(vector: Float64Array): number[] {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  // Text without words, or whose features cancel out, still needs a direction: the same one always.
  if (length === 0) {
    const only = featureHash(NOTHING, "") % vector.length;
    return Array.from(vector, (_, index) => (index === only ? 1 : 0));
  }
  return Array.from(vector, (value) => Math.fround(value / length));
}

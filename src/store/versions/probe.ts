import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { CheckedEmbeddings } from "../../embeddings/checked.js";

/** Asked of every model, so that two can be told apart by what they answer. */
const PROBE_TEXT = "How many dimensions does this model have?";
/** Cosine of two answers of one model: servers and precisions differ in the third digit, models from the first on. */
const SAME_MODEL = 0.98;

/** What embedders have answered, so that each is asked once in its life. */
const ANSWERS = new WeakMap<EmbeddingsInterface, Promise<number[]>>();

/** Asks once, and refuses an answer that cannot be a vector, since a column would keep its number of dimensions. */
export async function probeModel(embeddings: EmbeddingsInterface): Promise<number[]> {
  let answer = ANSWERS.get(embeddings);
  if (answer === undefined) {
    answer = new CheckedEmbeddings(embeddings).embedQuery(PROBE_TEXT);
    ANSWERS.set(embeddings, answer);
    answer.catch(() => ANSWERS.delete(embeddings));
  }
  return answer;
}

/** An answer as the registry keeps it: float32, little-endian. */
export function encodeProbe(vector: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * vector.length);
  const view = new DataView(bytes.buffer);
  vector.forEach((value, index) => view.setFloat32(4 * index, value, true));
  return bytes;
}

function decodeProbe(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 4 }, (_, index) => view.getFloat32(4 * index, true));
}

export function probeLength(probe: Uint8Array): number {
  return probe.byteLength / 4;
}

/** Whether an answer comes from the model that once gave `probe`. */
export function isSameModel(vector: readonly number[], probe: Uint8Array): boolean {
  const known = decodeProbe(probe);
  if (known.length !== vector.length) return false;
  let dot = 0;
  let ours = 0;
  let theirs = 0;
  for (let i = 0; i < known.length; i += 1) {
    dot += known[i]! * vector[i]!;
    ours += vector[i]! ** 2;
    theirs += known[i]! ** 2;
  }
  return dot >= SAME_MODEL * Math.sqrt(ours * theirs);
}

/** Whether a vector is of unit length. */
export function isNormalized(vector: readonly number[]): boolean {
  const squares = vector.reduce((sum, value) => sum + value * value, 0);
  return Math.abs(squares - 1) < 1e-3;
}

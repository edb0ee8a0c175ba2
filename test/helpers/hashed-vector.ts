import { createHash } from "node:crypto";

/**
 * A unit vector made of the words of a text: equal texts give equal vectors, texts that share words similar ones.
 * Deterministic on every machine, so that tests may compare the numbers.
 */
export function hashedVector(text: string, dimensions: number): number[] {
  const vector = Array.from({ length: dimensions }, () => 0);
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  for (const word of words) {
    const digest = createHash("sha256").update(word).digest();
    const at = digest.readUInt32LE(0) % dimensions;
    vector[at] = (vector[at] ?? 0) + (digest.readUInt8(4) % 2 === 0 ? 1 : -1);
  }
  const length = Math.hypot(...vector);
  // Without a word, or when all of them cancel out, a vector still has to point somewhere.
  if (length === 0) return vector.map((_, at) => (at === 0 ? 1 : 0));
  return vector.map((value) => Math.fround(value / length));
}

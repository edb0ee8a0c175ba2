import { createHash } from "node:crypto";
import type { Document } from "@langchain/core/documents";

export interface ChurnDocument extends Pick<Document, "pageContent" | "metadata"> {
  readonly id: string;
}

/** Of no language, so that texts do not compress to nothing. */
const WORDS = Array.from({ length: 2_000 }, (_, number) => {
  const letters = createHash("sha256").update(String(number)).digest("hex").replace(/\d/g, "");
  return `w${letters.slice(0, 3 + (number % 5))}${number.toString(36)}`;
});
const WORDS_OF_TEXT = 60;

export function wordOf(number: number): string {
  return WORDS[number]!;
}

/** A few words that some documents have, the first ones far more often than the last. */
export function question(random: () => number): string {
  return Array.from({ length: 4 }, () => anyWord(random)).join(" ");
}

/** A text long enough that the vector of its row goes out of line. */
export function documentOf(id: string, random: () => number, metadata: object = {}): ChurnDocument {
  return {
    id,
    pageContent: Array.from({ length: WORDS_OF_TEXT }, () => anyWord(random)).join(" "),
    metadata: { year: 2000 + Math.floor(random() * 25), kind: anyWord(random), ...metadata },
  };
}

function anyWord(random: () => number): string {
  return WORDS[Math.floor(random() ** 2 * WORDS.length)]!;
}

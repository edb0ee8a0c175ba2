import { seededRandom } from "../../test/helpers/vectors.js";
import type { LabelledSet } from "../hybrid/sets.js";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** A set's questions, each with one letter of its rarest word left out, put in, replaced or swapped with the next. */
export function misspell(set: LabelledSet): LabelledSet {
  const random = seededRandom(11);
  const below = (count: number): number => Math.floor(random() * count);
  const documents = new Map<string, number>();
  for (const { text } of set.documents) {
    for (const word of new Set(wordsOf(text))) documents.set(word, (documents.get(word) ?? 0) + 1);
  }
  const mistype = (word: string): string => {
    const at = 1 + below(word.length - 2);
    const letter = LETTERS[below(LETTERS.length)]!;
    const [before, here, after] = [word.slice(0, at), word[at]!, word.slice(at + 1)];
    return [
      before + after,
      before + letter + here + after,
      before + letter + after,
      before + after[0]! + here + after.slice(1),
    ][below(4)]!;
  };
  const questions = set.questions.map((question) => {
    const words = wordsOf(question.text).filter((word) => word.length >= 4 && documents.has(word));
    if (words.length === 0) return question;
    const rarest = words.reduce((a, b) => (documents.get(b)! < documents.get(a)! ? b : a));
    const text = question.text.replace(new RegExp(`\\b${rarest}\\b`, "i"), mistype(rarest));
    return { ...question, text };
  });
  return { ...set, questions };
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/\b[a-z]+\b/g) ?? [];
}

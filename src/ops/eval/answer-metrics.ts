/**
 * A text as answers are compared: lower case, without punctuation and articles, words separated by one space.
 *
 * @see https://rajpurkar.github.io/SQuAD-explorer/ the evaluation script of SQuAD
 */
export function normalizedAnswer(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\[\d+(?:[,;\s]+\d+)*\]/g, " ")
    .replace(/[\p{P}\p{S}]/gu, "")
    .replace(/\b(?:a|an|the)\b/g, " ")
    .trim()
    .split(/\s+/)
    .join(" ");
}

/** Whether an answer is one of the gold answers, but for what {@link normalizedAnswer} takes away. */
export function isExactMatch(answer: string, golds: readonly string[]): boolean {
  return golds.some((gold) => normalizedAnswer(gold) === normalizedAnswer(answer));
}

/** Whether an answer has the words of a gold answer in it, next to each other. */
export function holdsAnswer(answer: string, golds: readonly string[]): boolean {
  return golds.some((gold) => ` ${normalizedAnswer(answer)} `.includes(` ${normalizedAnswer(gold)} `));
}

/** Harmonic mean of the precision and the recall of an answer's words, against the gold answer that fits best; 0 to 1. */
export function answerF1(answer: string, golds: readonly string[]): number {
  return Math.max(0, ...golds.map((gold) => f1(wordsOf(answer), wordsOf(gold))));
}

function wordsOf(text: string): string[] {
  return normalizedAnswer(text)
    .split(" ")
    .filter((word) => word !== "");
}

function f1(answer: readonly string[], gold: readonly string[]): number {
  if (answer.length === 0 || gold.length === 0) return answer.length === gold.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of gold) left.set(word, (left.get(word) ?? 0) + 1);
  const common = answer.filter((word) => {
    const count = left.get(word) ?? 0;
    left.set(word, count - 1);
    return count > 0;
  }).length;
  const [precision, recall] = [common / answer.length, common / gold.length];
  return common === 0 ? 0 : (2 * precision * recall) / (precision + recall);
}

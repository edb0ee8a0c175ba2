import type { DocumentInterface } from "@langchain/core/documents";
import { ConfigurationError } from "../errors.js";
import { excerptOf } from "./excerpt.js";
import { formatPassages } from "./prompt.js";

/** How the passages found become the context of a model. */
export interface ContextOptions {
  /**
   * Most tokens that passages may take. The best that fit are kept; when not even the first fits, its beginning is.
   *
   * @defaultValue all passages
   */
  maxTokens?: number;
  /**
   * `"rank"`: best first. `"edges"`: the best at both ends and the weakest in the middle, which models read least.
   *
   * @defaultValue `"edges"` with a model, else `"rank"`
   */
  order?: "rank" | "edges";
  /**
   * Tokens of a text for the model at hand.
   *
   * @defaultValue a third of its bytes, more than most models take for most languages
   */
  countTokens?: (text: string) => number | Promise<number>;
}

/** @throws {@link ConfigurationError} for a budget that is no positive whole number, or an order there is not */
export function checkContextOptions({ maxTokens, order }: ContextOptions): void {
  if (maxTokens !== undefined && (!Number.isInteger(maxTokens) || maxTokens < 1)) {
    throw new ConfigurationError(`context.maxTokens is ${String(maxTokens)}; give a whole number of at least 1.`);
  }
  if (order !== undefined && order !== "rank" && order !== "edges") {
    throw new ConfigurationError(`context.order is ${JSON.stringify(order)}; use "rank" or "edges".`);
  }
}

/** The passages that fit the budget, in the order in which they are shown. */
export async function fitContext(
  ranked: readonly DocumentInterface[],
  { maxTokens, order = "rank", countTokens = estimateTokens }: ContextOptions,
): Promise<DocumentInterface[]> {
  const fitting = maxTokens === undefined ? [...ranked] : await withinBudget(ranked, maxTokens, countTokens);
  return order === "edges" ? bestAtTheEdges(fitting) : fitting;
}

/** A third of the bytes in UTF-8, rounded up. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 3);
}

async function withinBudget(
  ranked: readonly DocumentInterface[],
  maxTokens: number,
  countTokens: (text: string) => number | Promise<number>,
): Promise<DocumentInterface[]> {
  const kept: DocumentInterface[] = [];
  let left = maxTokens;
  for (const document of ranked) {
    const tokens = await countTokens(formatPassages([document]));
    if (tokens > left) continue;
    left -= tokens;
    kept.push(document);
  }
  const [first] = ranked;
  if (kept.length > 0 || first === undefined) return kept;
  const shortened = await beginningOf(first, maxTokens, countTokens);
  return shortened === undefined ? [] : [shortened];
}

/** The longest beginning, up to a space, that fits; `undefined` when not even a word does. */
async function beginningOf(
  document: DocumentInterface,
  maxTokens: number,
  countTokens: (text: string) => number | Promise<number>,
): Promise<DocumentInterface | undefined> {
  const text = document.pageContent;
  let fits = 0;
  let tooLong = text.length;
  while (tooLong - fits > 1) {
    const middle = (fits + tooLong) >> 1;
    const tokens = await countTokens(formatPassages([excerptOf(document, { start: 0, end: middle })]));
    if (tokens <= maxTokens) fits = middle;
    else tooLong = middle;
  }
  const end = text.slice(0, fits + 1).search(/\s\S*$/);
  return end > 0 ? excerptOf(document, { start: 0, end }) : undefined;
}

/** 1, 3, 5, ... 6, 4, 2. */
function bestAtTheEdges(ranked: readonly DocumentInterface[]): DocumentInterface[] {
  const front = ranked.filter((_, index) => index % 2 === 0);
  const back = ranked.filter((_, index) => index % 2 === 1);
  return [...front, ...back.toReversed()];
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresVectorStore } from "../../src/index.js";
import { seededRandom } from "./vectors.js";

export interface ChurnText {
  readonly id: string;
  readonly text: string;
}

/** Texts by id, of a folder in BEIR's layout. */
export function readTexts(folder: string, part: "corpus" | "queries"): ChurnText[] {
  return readFileSync(join(folder, `${part}.jsonl`), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const { _id, title, text } = JSON.parse(line) as { _id: string; title?: string; text: string };
      return { id: _id, text: title ? `${title}\n${text}` : text };
    });
}

/**
 * Random calls on a store, each of one to five chunks: adds, changes and deletions, with what is there unknown. A call that
 * fails is made again until it succeeds: servers come back.
 */
export async function churn(
  store: PostgresVectorStore,
  texts: readonly ChurnText[],
  { seed, calls, onCall }: { seed: number; calls: number; onCall?: () => void },
): Promise<void> {
  const random = seededRandom(seed);
  const below = (count: number): number => Math.floor(random() * count);
  for (let call = 0; call < calls; call += 1) {
    const chosen = [...new Set(Array.from({ length: 1 + below(5) }, () => below(texts.length)))].map(
      (index) => texts[index]!,
    );
    const documents = chosen.map(({ id, text }) => {
      const other = texts[below(texts.length)]!.text.slice(0, 200);
      return { id, pageContent: random() < 0.5 ? text : `${text} ${other}`, metadata: {} };
    });
    const remove = random() < 0.3;
    await throughOutages(async () => {
      if (remove) await store.delete({ ids: chosen.map(({ id }) => id) });
      else await store.addDocuments(documents);
    });
    onCall?.();
  }
}

/** Does it again while the server is away. */
export async function throughOutages<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isOutage(error)) throw error;
      await sleep(50);
    }
  }
}

/** Whether the server went away under a call, or had not come back. */
function isOutage(error: unknown): boolean {
  const { retryable, cause } = error as { retryable?: boolean; cause?: unknown };
  return retryable === true || (cause !== undefined && isOutage(cause)) || /terminat|ECONN/.test(String(error));
}

/** Ids and BM25 of everything that a query matches. */
export async function scoresOf(store: PostgresVectorStore, query: string, k: number): Promise<Map<string, number>> {
  const hits = await store.search(query, { searchType: "lexical", k });
  return new Map(hits.flatMap((hit) => (hit.lexical === undefined ? [] : [[hit.document.id!, hit.lexical.bm25]])));
}

/** The largest difference between two stores' scores of anything, infinite where one of them finds what the other does not. */
export async function largestDifference(
  a: PostgresVectorStore,
  b: PostgresVectorStore,
  queries: readonly string[],
): Promise<number> {
  let largest = 0;
  for (const query of queries) {
    const [left, right] = [await scoresOf(a, query, 5_000), await scoresOf(b, query, 5_000)];
    if (left.size !== right.size) return Infinity;
    for (const [id, score] of left) largest = Math.max(largest, Math.abs(score - (right.get(id) ?? Infinity)));
  }
  return largest;
}

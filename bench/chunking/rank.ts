import { OfflineEmbeddings } from "../../src/embeddings/offline.js";
import { wordsOf } from "../../src/embeddings/words.js";

/** Indices of texts from the best to the worst for a question. */
export type Ranker = (question: string) => Promise<number[]>;

const [K1, B] = [1.2, 0.75];

/** BM25 in Lucene's formula over Porter stems without stop words. */
export function bm25(texts: readonly string[]): Ranker {
  const documents = texts.map((text) => {
    const counts = new Map<string, number>();
    const stems = stemsOf(text);
    for (const stem of stems) counts.set(stem, (counts.get(stem) ?? 0) + 1);
    return { counts, length: stems.length };
  });
  const average = documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
  const frequency = new Map<string, number>();
  for (const { counts } of documents)
    for (const stem of counts.keys()) frequency.set(stem, (frequency.get(stem) ?? 0) + 1);
  return (question) => {
    const query = new Set(stemsOf(question));
    const scores = documents.map(({ counts, length }) => {
      let score = 0;
      for (const stem of query) {
        const tf = counts.get(stem) ?? 0;
        const df = frequency.get(stem) ?? 0;
        const idf = Math.log(1 + (documents.length - df + 0.5) / (df + 0.5));
        score += (idf * tf) / (tf + K1 * (1 - B + (B * length) / average));
      }
      return score;
    });
    return Promise.resolve(order(scores));
  };
}

/** Cosine similarity of the offline embedder's vectors, which have length 1. */
export async function dense(texts: readonly string[]): Promise<Ranker> {
  const embeddings = new OfflineEmbeddings({ dimensions: 768 });
  const vectors = await embeddings.embedDocuments([...texts]);
  return async (question) => {
    const query = await embeddings.embedQuery(question);
    return order(vectors.map((vector) => vector.reduce((sum, value, i) => sum + value * query[i]!, 0)));
  };
}

function stemsOf(text: string): string[] {
  return wordsOf(text)
    .filter(({ stop, compound }) => !stop && !compound)
    .map(({ stem }) => stem);
}

function order(scores: readonly number[]): number[] {
  return scores.map((_, index) => index).sort((a, b) => scores[b]! - scores[a]! || a - b);
}

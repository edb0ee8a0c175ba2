import { readFile } from "node:fs/promises";
import { Embeddings } from "@langchain/core/embeddings";
import { ConfigurationError, LoadError } from "../../errors.js";
import type { LabelledSet } from "../../ops/eval/labelled-set.js";

/** Vectors that were made before, for the documents and the questions of a set. */
export interface ReadyVectors {
  readonly embeddings: Embeddings;
  readonly dimensions: number;
  /** In the order of the documents. */
  readonly documents: readonly number[][];
}

/**
 * Reads the vectors of a set: float32 numbers, little-endian and without a header, a vector for each line of
 * `corpus.jsonl` and of `queries.jsonl`. A vector without a direction, which cosine distance cannot place, becomes one
 * along the last axis.
 *
 * @throws LoadError when a file is no whole number of vectors for the lines that there are.
 */
export async function readReadyVectors(
  set: LabelledSet,
  files: { readonly documents: string; readonly queries: string },
): Promise<ReadyVectors> {
  if (set.documents === undefined) throw new ConfigurationError("--vectors goes with a folder that has corpus.jsonl.");
  const documents = await readVectors(files.documents, set.documents.length);
  const dimensions = documents[0]?.length ?? 0;
  const queries = await readVectors(files.queries, undefined, dimensions);
  const byText = new Map(set.questions.map(({ text, position }) => [text, queries[position]]));
  return { embeddings: new ReadyEmbeddings(byText, files.queries), dimensions, documents };
}

class ReadyEmbeddings extends Embeddings {
  readonly #byText: ReadonlyMap<string, number[] | undefined>;
  readonly #path: string;

  constructor(byText: ReadonlyMap<string, number[] | undefined>, path: string) {
    super({});
    this.#byText = byText;
    this.#path = path;
  }

  override embedQuery(text: string): Promise<number[]> {
    const vector = this.#byText.get(text);
    if (vector !== undefined) return Promise.resolve(vector);
    const message = `${this.#path} has no vector for the question ${JSON.stringify(text.slice(0, 80))}.`;
    return Promise.reject(new LoadError(message, this.#path));
  }

  override embedDocuments(texts: string[]): Promise<number[][]> {
    return Promise.all(texts.map((text) => this.embedQuery(text)));
  }
}

/** @param count vectors, unless the dimensions are known. */
async function readVectors(path: string, count: number | undefined, dimensions?: number): Promise<number[][]> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new LoadError(`${path} cannot be read: ${(cause as Error).message}`, path, { cause });
  });
  const numbers = bytes.length / 4;
  const length = dimensions ?? numbers / count!;
  const rows = numbers / length;
  if (!Number.isInteger(length) || !Number.isInteger(rows) || length === 0) {
    throw new LoadError(
      `${path} has ${bytes.length} bytes, which are no vectors of ${dimensions ?? "one length"} for ` +
        `${count ?? "the"} lines; it must hold float32 numbers and nothing else.`,
      path,
    );
  }
  return Array.from({ length: rows }, (_, row) => {
    const vector = Array.from({ length }, (__, column) => bytes.readFloatLE(4 * (row * length + column)));
    return vector.every((value) => Math.abs(value) < 1e-9) ? vector.map((__, i) => (i === length - 1 ? 1 : 0)) : vector;
  });
}

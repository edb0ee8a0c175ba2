import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Relevance } from "../../src/ops/eval/metrics.js";

/** Where the collections to measure with lie, one folder each in BEIR's layout; they are no part of the repository. */
const DATA = join(import.meta.dirname, "../../../shared/data");

export const VECTOR_DIMENSIONS = 256;

export interface LabelledText {
  readonly id: string;
  readonly text: string;
  readonly vector: readonly number[];
}

export interface LabelledSet {
  readonly name: string;
  readonly documents: readonly LabelledText[];
  /** Those that have relevant documents. */
  readonly questions: readonly (LabelledText & { readonly relevance: Relevance })[];
  /** Whether it came with vectors; otherwise all are the same. */
  readonly dense: boolean;
}

/** Where a collection lies. */
export function setFolder(name: string): string {
  return join(DATA, name);
}

/** A collection with its questions, its judgements and its vectors; `undefined` when it is not there. */
export function readSet(name: string): LabelledSet | undefined {
  const folder = join(DATA, name);
  if (!existsSync(folder)) return undefined;
  const dense = existsSync(join(folder, "lsa256.docs.f32"));
  const relevance = new Map<string, Map<string, number>>();
  for (const file of readdirSync(join(folder, "qrels"))) {
    for (const line of readFileSync(join(folder, "qrels", file), "utf8")
      .split("\n")
      .slice(1)) {
      const [question, document, grade] = line.split("\t");
      if (document === undefined) continue;
      relevance.set(question!, (relevance.get(question!) ?? new Map<string, number>()).set(document, Number(grade)));
    }
  }
  const read = (part: "corpus" | "queries", vectors: string): LabelledText[] => {
    const vector = dense ? vectorsOf(join(folder, vectors)) : () => unit(0);
    return readFileSync(join(folder, `${part}.jsonl`), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line, index) => {
        const { _id, title, text } = JSON.parse(line) as { _id: string; title?: string; text: string };
        return { id: _id, text: title ? `${title}\n${text}` : text, vector: vector(index) };
      });
  };
  return {
    name,
    dense,
    documents: read("corpus", "lsa256.docs.f32"),
    questions: read("queries", "lsa256.queries.f32")
      .filter(({ id }) => relevance.has(id))
      .map((question) => ({ ...question, relevance: relevance.get(question.id)! })),
  };
}

function vectorsOf(path: string): (index: number) => number[] {
  const bytes = readFileSync(path);
  const numbers = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  return (index) => {
    const vector = Array.from(numbers.subarray(index * VECTOR_DIMENSIONS, (index + 1) * VECTOR_DIMENSIONS));
    // An empty text has no direction; any will do.
    return vector.every((value) => Math.abs(value) < 1e-9) ? unit(VECTOR_DIMENSIONS - 1) : vector;
  };
}

function unit(position: number): number[] {
  return Array.from({ length: VECTOR_DIMENSIONS }, (_, index) => (index === position ? 1 : 0));
}

/** Pieces of about 100 words of the texts that are there, `count` of them, shuffled and with repeated words in a row. */
export function readPieces(count: number): string[] {
  const pieces: string[] = [];
  for (let offset = 0; offset < 100 && pieces.length < count; offset += 37) {
    for (const name of ["scifact", "pgdocs15", "cranfield", "cisi", "pubmedqa"]) {
      for (const { text } of readSet(name)?.documents ?? []) {
        const words = text.split(/\s+/);
        for (let at = offset; at + 40 < words.length; at += 100) pieces.push(words.slice(at, at + 100).join(" "));
      }
    }
    if (pieces.length === 0) throw new Error(`The collections are not there: ${DATA}`);
  }
  let state = 7;
  for (let i = pieces.length - 1; i > 0; i -= 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const j = state % (i + 1);
    [pieces[i], pieces[j]] = [pieces[j]!, pieces[i]!];
  }
  return pieces.slice(0, count);
}

import { randomBytes } from "node:crypto";
import { Document } from "@langchain/core/documents";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { raw } from "sql-template-tag";
import { Database } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import { splitDocuments } from "../../loaders/split-documents.js";
import type { LabelledDocument } from "../../ops/eval/labelled-set.js";
import type { Target } from "../target.js";
import { PostgresVectorStore } from "../../store/postgres-vector-store.js";

export interface TemporaryStoreOptions {
  readonly embeddings: EmbeddingsInterface;
  readonly dimensions: number | undefined;
  readonly language: string | undefined;
  /** Most characters of a chunk; `undefined` keeps documents whole. */
  readonly chunkSize: number | undefined;
  /** In the order of the documents, which then stay whole. */
  readonly vectors: readonly number[][] | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (rows: number) => void;
}

/**
 * Does `work` on a store of the documents in a schema of its own, which is dropped afterwards. Each chunk has the id of its
 * document in `metadata.source`.
 */
export async function withTemporaryStore<T>(
  target: Target,
  documents: readonly LabelledDocument[],
  options: TemporaryStoreOptions,
  work: (store: PostgresVectorStore, chunks: number) => Promise<T>,
): Promise<T> {
  const schema = `langchain_eval_${randomBytes(5).toString("hex")}`;
  const database = new Database(target.pool);
  const run = (sql: string): Promise<unknown> => database.execute({ name: "eval-schema", sql: raw(sql) });
  await run(`create schema ${quoteIdentifier(schema)}`);
  try {
    const { embeddings, dimensions, language } = options;
    const store = await PostgresVectorStore.initialize(embeddings, {
      pool: target.pool,
      schemaName: schema,
      lexical: language === undefined ? true : { language },
      promotedKeys: { source: "text" },
      ...(dimensions !== undefined && { dimensions }),
    });
    const { rows } = await store.bulkLoad(itemsOf(documents, options), {
      embed: { concurrency: 1 },
      signal: options.signal,
      onProgress: ({ phase, rows: done }) => phase === "loading" && options.onProgress(done),
    });
    await store.lexical.compact({ signal: options.signal });
    return await work(store, rows);
  } finally {
    await run(`drop schema if exists ${quoteIdentifier(schema)} cascade`);
  }
}

async function* itemsOf(
  documents: readonly LabelledDocument[],
  { vectors, chunkSize }: TemporaryStoreOptions,
): AsyncGenerator<Document | { document: Document; embedding: number[] }> {
  for (const [index, { id, text }] of documents.entries()) {
    const whole = new Document({ id, pageContent: text, metadata: { source: id } });
    if (vectors !== undefined) yield { document: whole, embedding: vectors[index]! };
    else if (chunkSize === undefined) yield whole;
    else yield* splitDocuments([whole], { chunkSize });
  }
}

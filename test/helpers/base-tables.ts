import { PGVectorStore, type PGVectorStoreArgs } from "@langchain/community/vectorstores/pgvector";
import { Document } from "@langchain/core/documents";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { createHash, randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { HashedEmbeddings, seededRandom } from "./vectors.js";

/** A table really made by LangChain's PGVectorStore, without the client that its `initialize()` never gives back. */
export async function baseStore(
  embeddings: EmbeddingsInterface,
  config: PGVectorStoreArgs,
  dimensions?: number,
): Promise<PGVectorStore> {
  const store = new PGVectorStore(embeddings, config);
  await store.ensureTableInDatabase(dimensions);
  if (config.collectionTableName !== undefined) await store.ensureCollectionTableInDatabase();
  return store;
}

/** Like `HashedEmbeddings`, but no two texts are equally far from a third, so that every ranking has one right order. */
export class DistinctEmbeddings extends HashedEmbeddings {
  override async embedDocuments(texts: string[]): Promise<number[][]> {
    const vectors = await super.embedDocuments(texts);
    return vectors.map((vector, index) => {
      const random = seededRandom(createHash("sha256").update(texts[index]!).digest().readUInt32LE());
      return vector.map((value) => Math.fround(value + (random() - 0.5) / 10));
    });
  }

  override async embedQuery(text: string): Promise<number[]> {
    return (await this.embedDocuments([text]))[0]!;
  }
}

const SUBJECTS = ["index", "vacuum", "replica", "backup", "tenant", "filter", "recall", "memory"];
const VERBS = ["rebuilds", "shrinks", "slows", "protects", "copies", "finds"];

/** Documents of a few words each, all different, and ids for them. */
export function sampleDocuments(count: number, label = ""): { documents: Document[]; ids: string[] } {
  const documents = Array.from({ length: count }, (_, index) => {
    const subject = SUBJECTS[index % SUBJECTS.length]!;
    const pageContent = `${label} the ${subject} ${VERBS[index % VERBS.length]!} number ${index}`.trim();
    return new Document({ pageContent, metadata: { subject, index, nested: { even: index % 2 === 0 } } });
  });
  return { documents, ids: documents.map(() => randomUUID()) };
}

/** Everything about a table that adopting could touch: columns, rows, indexes, constraints, comments. */
export async function tableState(pool: Pool, table: string): Promise<unknown> {
  const { rows } = await pool.query<Record<string, unknown>>(
    `select
      (select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from ${table} t) as rows,
      (select string_agg(format('%s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum)), ', ' order by attnum)
        from pg_attribute where attrelid = $1::regclass and attnum > 0) as columns,
      (select string_agg(pg_get_indexdef(indexrelid), '; ' order by indexrelid) from pg_index where indrelid = $1::regclass) as indexes,
      (select string_agg(conname || ' ' || pg_get_constraintdef(oid), '; ' order by conname) from pg_constraint where conrelid = $1::regclass) as constraints,
      obj_description($1::regclass, 'pg_class') as comment,
      (select string_agg(relname::text, ', ' order by relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where relkind in ('r', 'v', 'm', 'p') and nspname not in ('pg_catalog', 'information_schema', 'pg_toast')) as relations`,
    [table],
  );
  return rows[0];
}

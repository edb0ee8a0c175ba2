import sql, { empty } from "sql-template-tag";
import { isSparse } from "../db/sparse-vector.js";
import { ConfigurationError } from "../errors.js";
import { decryptContents } from "../store/content-cipher.js";
import { embeddingAsText, readEmbedding } from "../store/embedding-column.js";
import { scope, type ScopedStore } from "../store/open.js";

/** A row as it leaves the store. */
export interface StoredRow {
  readonly id: string;
  readonly content: string;
  readonly metadata: Record<string, unknown>;
  /** `undefined` while the row waits for its vector. */
  readonly vector: number[] | undefined;
}

/**
 * The rows of a store's tenant and collection in the order of their ids, at most `pageRows` at a time.
 *
 * @throws ConfigurationError for a store of sparse vectors.
 */
export async function* readRows(
  store: ScopedStore,
  pageRows: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredRow[], void> {
  const { id, content, metadata } = store.columns;
  for (let last: string | undefined; ;) {
    const behind = last === undefined ? empty : sql`and ${id} > ${last}::text`;
    const { rows } = await store.database.execute(
      {
        name: "read-rows",
        sql: sql`
          select ${id} as id, ${content} as content, ${metadata} as metadata, ${embeddingAsText(store)} as embedding
          from ${store.table} where ${scope(store)} ${behind} order by ${id} limit ${pageRows}::int8`,
      },
      { settings: store.settings, signal },
    );
    const page = rows as unknown as {
      id: string;
      content: string;
      metadata: Record<string, unknown>;
      embedding: string | null;
    }[];
    if (page.length === 0) return;
    const contents = await decryptContents(store.options.contentCipher, store.tenant, page);
    yield page.map((row, index) => ({
      id: row.id,
      content: contents[index]!,
      metadata: row.metadata,
      vector: row.embedding === null ? undefined : denseVector(row.embedding, store),
    }));
    last = page.at(-1)!.id;
    if (page.length < pageRows) return;
  }
}

function denseVector(base64: string, { model, options }: ScopedStore): number[] {
  const vector = readEmbedding(base64, model);
  if (!isSparse(vector)) return vector;
  throw new ConfigurationError(
    `The table ${JSON.stringify(options.layout.table)} holds sparse vectors, which a Chroma collection of dense ones cannot take.`,
  );
}

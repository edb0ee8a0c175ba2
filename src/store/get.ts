import { Document } from "@langchain/core/documents";
import sql, { empty, join, type Sql } from "sql-template-tag";
import { TextArrayParameter } from "../db/codec.js";
import { ConfigurationError } from "../errors.js";
import { decryptContents, refuseContentFilter, type ContentCipher } from "./content-cipher.js";
import { embeddingAsText, toEmbedded, type Embedded } from "./embedding-column.js";
import {
  combineFilters,
  compileFilter,
  parseDocumentFilter,
  parseFilter,
  regexFilterError,
  type DocumentFilter,
  type Filter,
} from "./filter/index.js";
import { scope, type ScopedStore } from "./open.js";
import { integer, readRoute } from "./options.js";
import { checkId } from "./rows.js";

const INCLUDABLE = ["documents", "metadatas", "embeddings"] as const;
type Part = (typeof INCLUDABLE)[number];

export interface GetParams {
  /** Exact ids; the result follows their order, and those that are not there are left out. */
  ids?: string[];
  /** Metadata filter, combined with the store's own. */
  where?: Filter;
  /** Filter on the text of the documents. */
  whereDocument?: DocumentFilter;
  /** At most this many rows. */
  limit?: number;
  /** Rows to pass over, in the order of the ids. */
  offset?: number;
  /** @defaultValue `["documents", "metadatas"]` */
  include?: Part[];
  /** Whether it sees what this store has written before, with replicas. @defaultValue the store's */
  readYourWrites?: boolean;
}

/** A stored row; each part is there when `include` asked for it, and no vector while the row waits for its own. */
export interface StoredChunk extends Embedded {
  id: string;
  content?: string;
  metadata?: Record<string, unknown>;
}

/**
 * Checks a request for stored rows before any I/O. Rows come in the order of `ids` when they are given, else in the
 * order of their ids.
 *
 * @throws ConfigurationError for `whereDocument` on a store whose content is encrypted.
 */
export function planGet(params: GetParams, cipher?: ContentCipher): (store: ScopedStore) => Promise<StoredChunk[]> {
  const ids = params.ids?.map((id) => checkId(id));
  const filter = combineFilters(
    params.where === undefined ? undefined : parseFilter(params.where),
    params.whereDocument === undefined ? undefined : parseDocumentFilter(params.whereDocument),
  );
  if (params.whereDocument !== undefined) refuseContentFilter(cipher);
  const limit = integer("limit", params.limit, 0, Number.MAX_SAFE_INTEGER);
  const offset = integer("offset", params.offset, 0, Number.MAX_SAFE_INTEGER);
  const include: ReadonlySet<Part> = new Set(params.include ?? ["documents", "metadatas"]);
  for (const part of include) {
    if (!INCLUDABLE.includes(part)) {
      throw new ConfigurationError(
        `include ${JSON.stringify(part)} is unknown; use ${INCLUDABLE.map((name) => `"${name}"`).join(", ")}.`,
      );
    }
  }
  return async (store) => {
    if (ids?.length === 0) return [];
    const { id, content, metadata } = store.columns;
    const conditions = [scope(store)];
    const narrowed = combineFilters(ids === undefined ? store.options.filter : undefined, filter);
    if (narrowed !== undefined) conditions.push(compileFilter(narrowed, store.columns));
    const columns: Sql[] = [sql`${id} as id`];
    if (include.has("documents")) columns.push(sql`${content} as content`);
    if (include.has("metadatas")) columns.push(sql`${metadata} as metadata`);
    if (include.has("embeddings")) columns.push(sql`${embeddingAsText(store)} as embedding`);
    const { from, order } = source(store, ids);
    const statement = {
      name: "get",
      sql: sql`
        select ${join(columns)} from ${from} where ${join(conditions, " and ")} order by ${order}
        ${limit === undefined ? empty : sql`limit ${limit}::int8`}
        ${offset === undefined ? empty : sql`offset ${offset}::int8`}`,
    };
    const { settings } = store;
    const replica = readRoute(store.options, params.readYourWrites);
    const { rows } = await store.database.execute(statement, { settings, replica }).catch((error: unknown) => {
      throw regexFilterError(error, narrowed) ?? error;
    });
    const chunks = rows.map((row) => toStoredChunk(row as unknown as GetRow, store));
    return include.has("documents") ? withContents(store, chunks) : chunks;
  };
}

async function withContents(store: ScopedStore, chunks: StoredChunk[]): Promise<StoredChunk[]> {
  const encrypted = chunks.map(({ id, content }) => ({ id, content: content! }));
  const contents = await decryptContents(store.options.contentCipher, store.tenant, encrypted);
  return chunks.map((chunk, index) => ({ ...chunk, content: contents[index]! }));
}

/** The table alone, or joined to the wanted ids so that the rows come in their order. */
function source(store: ScopedStore, ids: readonly string[] | undefined): { from: Sql; order: Sql } {
  if (ids === undefined) return { from: store.table, order: sql`${store.table}.${store.columns.id}` };
  const unique = new TextArrayParameter([...new Set(ids)]);
  return {
    from: sql`
      unnest(${unique}::text[]) with ordinality as wanted ("langchain_pgvector id", "langchain_pgvector position")
      join ${store.table} on ${store.columns.id} = wanted."langchain_pgvector id"`,
    order: sql`wanted."langchain_pgvector position"`,
  };
}

/** Documents by id, in the order asked; those that are not there are left out. */
export async function getByIds(store: ScopedStore, ids: string[]): Promise<Document[]> {
  const chunks = await planGet({ ids })(store);
  return chunks.map(({ id, content, metadata }) => new Document({ id, pageContent: content!, metadata: metadata! }));
}

interface GetRow {
  id: string;
  content?: string;
  metadata?: Record<string, unknown>;
  embedding?: string | null;
}

function toStoredChunk({ embedding, ...row }: GetRow, { model }: ScopedStore): StoredChunk {
  return { ...row, ...toEmbedded(embedding, model) };
}

import { Document, type DocumentInterface } from "@langchain/core/documents";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { MaxMarginalRelevanceSearchOptions } from "@langchain/core/vectorstores";
import { dimensionsOf, type VectorInput } from "../db/sparse-vector.js";
import { ConfigurationError } from "../errors.js";
import type { DeleteParams } from "../store/delete.js";
import type { GetParams, StoredChunk } from "../store/get.js";
import { PostgresVectorStore } from "../store/postgres-vector-store.js";
import type { SearchHit, SearchOptions } from "../store/search-hit.js";
import { toStoreArgs, type ChromaLibArgs } from "./chroma-args.js";
import { chromaDistance, spaceOf } from "./collection.js";
import { flattenLoc, restoreLoc } from "./loc.js";
import { checkWhere, fromWhereDocument } from "./where.js";

/** What `ensureCollection` gives of a collection. */
export interface ChromaCollectionInfo {
  /** A UUID. */
  readonly id: string;
  readonly name: string;
}

/**
 * LangChain's `Chroma` on Postgres: change the import and keep the code. Collections, filters, distances and what an
 * upsert does to metadata are Chroma's; see `docs/chroma.md` for each call and option.
 *
 * @example
 * ```ts
 * await setDefaultConnection({ connectionString: process.env.DATABASE_URL });
 * const store = await Chroma.fromExistingCollection(embeddings, { collectionName: "notes" });
 * const found = await store.similaritySearchWithScore("which index is a graph?", 3, { topic: "indexes" });
 * ```
 */
export class Chroma extends PostgresVectorStore {
  readonly #score: NonNullable<ChromaLibArgs["score"]>;
  #numDimensions: number | undefined;

  /** Checks the arguments; the first call that needs the database opens it and ensures the schema. */
  constructor(embeddings: EmbeddingsInterface, args: ChromaLibArgs) {
    super(embeddings, toStoreArgs(args));
    this.#score = args.score ?? "chroma";
    this.#numDimensions = args.numDimensions ?? args.dimensions;
  }

  static override async initialize(embeddings: EmbeddingsInterface, config: ChromaLibArgs): Promise<Chroma> {
    return (await super.initialize(embeddings, config)) as Chroma;
  }

  static override async fromTexts(
    texts: string[],
    metadatas: object[] | object,
    embeddings: EmbeddingsInterface,
    dbConfig: ChromaLibArgs,
  ): Promise<Chroma> {
    return (await super.fromTexts(texts, metadatas, embeddings, dbConfig)) as Chroma;
  }

  static override async fromDocuments(
    documents: Document[],
    embeddings: EmbeddingsInterface,
    dbConfig: ChromaLibArgs,
  ): Promise<Chroma> {
    return (await super.fromDocuments(documents, embeddings, dbConfig)) as Chroma;
  }

  static override async fromExistingIndex(embeddings: EmbeddingsInterface, config: ChromaLibArgs): Promise<Chroma> {
    return (await super.fromExistingIndex(embeddings, config)) as Chroma;
  }

  /** Opens a collection, and makes it when it is not there, as LangChain's `Chroma` does. */
  static async fromExistingCollection(embeddings: EmbeddingsInterface, dbConfig: ChromaLibArgs): Promise<Chroma> {
    const store = await this.initialize(embeddings, dbConfig);
    try {
      await store.ensureCollection();
      return store;
    } catch (error) {
      await store.end();
      throw error;
    }
  }

  /** Makes the collection when it is not there. */
  async ensureCollection(): Promise<ChromaCollectionInfo> {
    return { id: await this.getOrCreateCollection(), name: this.collectionName };
  }

  override async addDocuments(documents: DocumentInterface[], options?: { ids?: string[] }): Promise<void & string[]> {
    return super.addDocuments(flattened(documents), options);
  }

  override async addVectors(
    vectors: VectorInput[],
    documents: DocumentInterface[],
    options?: { ids?: string[] },
  ): Promise<void & string[]> {
    if (this.#numDimensions === undefined && vectors[0] !== undefined) {
      const dimensions = dimensionsOf(vectors[0]);
      await this.ensureTableInDatabase(dimensions);
      this.#numDimensions = dimensions;
    }
    return super.addVectors(vectors, flattened(documents), options);
  }

  /**
   * Deletes by ids, or by a `where` together with the store's own filter.
   *
   * @throws ConfigurationError when neither is given; FilterError where Chroma refuses the filter.
   */
  override async delete(params: DeleteParams): Promise<void> {
    if (Array.isArray(params.ids)) return super.delete({ ids: params.ids });
    if (!params.filter) throw new ConfigurationError('You must provide one of "ids" or "filter".');
    return super.delete({ filter: checkWhere(params.filter) });
  }

  /** As that of the base class, with Chroma's `where` and `whereDocument`; `distance` is pgvector's. */
  override async search(query: string | VectorInput, options: SearchOptions = {}): Promise<SearchHit[]> {
    const { filter, whereDocument } = options;
    const hits = await super.search(query, {
      ...options,
      filter: filter && checkWhere(filter),
      whereDocument: whereDocument && fromWhereDocument(whereDocument),
    });
    return hits.map((hit) => ({ ...hit, document: restored(hit.document) }));
  }

  override async maxMarginalRelevanceSearch(
    query: string,
    options: MaxMarginalRelevanceSearchOptions<this["FilterType"]>,
  ): Promise<Document[]> {
    if (options.filter) checkWhere(options.filter);
    return (await super.maxMarginalRelevanceSearch(query, options)).map(restored);
  }

  override async get(params: GetParams = {}): Promise<StoredChunk[]> {
    const { where, whereDocument } = params;
    const chunks = await super.get({
      ...params,
      ...(where && { where: checkWhere(where) }),
      ...(whereDocument && { whereDocument: fromWhereDocument(whereDocument) }),
    });
    return chunks.map((chunk) => (chunk.metadata ? { ...chunk, metadata: restoreLoc(chunk.metadata) } : chunk));
  }

  override async getByIds(ids: string[]): Promise<Document[]> {
    return (await super.getByIds(ids)).map(restored);
  }

  /** With the number that the option `score` chooses: Chroma's distance by default, lower is better. */
  protected override async scored(hits: readonly SearchHit[]): Promise<[Document, number][]> {
    if (hits.length === 0) return [];
    const space = spaceOf(await this.searchMetric());
    return hits.map(({ document, distance, similarity }) => {
      const chosen = { chroma: chromaDistance(distance!, space), distance: distance!, similarity: similarity! };
      return [document, chosen[this.#score]];
    });
  }
}

function flattened(documents: readonly DocumentInterface[]): DocumentInterface[] {
  return documents.map(({ id, pageContent, metadata }) => ({
    ...(id !== undefined && { id }),
    pageContent,
    // What is no object is refused further on, by name.
    metadata: typeof metadata === "object" && metadata !== null ? flattenLoc(metadata) : metadata,
  }));
}

function restored(document: Document): Document {
  const metadata = restoreLoc(document.metadata);
  if (metadata === document.metadata) return document;
  const { id, pageContent } = document;
  return new Document({ ...(id !== undefined && { id }), pageContent, metadata });
}

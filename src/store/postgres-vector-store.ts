import type { Callbacks } from "@langchain/core/callbacks/manager";
import { Document, type DocumentInterface } from "@langchain/core/documents";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type {
  MaxMarginalRelevanceSearchOptions,
  VectorStoreInterface,
  VectorStoreRetrieverInput,
} from "@langchain/core/vectorstores";
import { orAbort } from "../db/abort.js";
import type { Database } from "../db/database.js";
import { quoteQualified } from "../db/identifiers.js";
import type { VectorInput } from "../db/sparse-vector.js";
import { ConfigurationError, IngestError } from "../errors.js";
import { ModelAdmin } from "../models/model-admin.js";
import { StoreIndexes } from "../ops/indexes/store-indexes.js";
import { addRows } from "./add-rows.js";
import { baseArgs } from "./base-args.js";
import { bulkLoad } from "./bulk-load/bulk-load.js";
import { checkBulkLoad, type BulkLoadOptions, type BulkLoadResult, type BulkLoadSource } from "./bulk-load/options.js";
import { PostgresChatMessageHistory, type ChatHistoryOptions } from "./chat-history/chat-message-history.js";
import { getOrCreateCollection } from "./collections.js";
import { decryptHits } from "./content-cipher.js";
import { planDelete, type DeleteParams } from "./delete.js";
import { LexicalIndex } from "./lexical/lexical-index.js";
import { checkWords, searchByWords } from "./lexical/search-by-words.js";
import { explain } from "./explain/explain.js";
import type { Explanation } from "./explain/explanation.js";
import type { RawQuery } from "./explain/select-only.js";
import { checkExpiry, expireStore, type ExpireOptions } from "./expire.js";
import { getByIds, planGet, type GetParams, type StoredChunk } from "./get.js";
import type { Metric } from "../schema/layout.js";
import type { HnswConfig } from "./hnsw.js";
import { checkDimensions, openStore, type OpenStore, type ScopedStore } from "./open.js";
import { planNeighbours, type NeighbourOptions, type PlacedChunk } from "./neighbours.js";
import { integer, resolveOptions, resolvePool, type PostgresVectorStoreArgs, type ResolvedOptions } from "./options.js";
import { LangChainSearches } from "./langchain-searches.js";
import { checkMmr, mostDiverse } from "./mmr.js";
import { resolveReplicas, withoutConnections } from "./resolve-replicas.js";
import { PostgresRetriever, retrieverFields, type PostgresRetrieverOptions } from "./retriever.js";
import { searchInSteps } from "./post-process/post-process.js";
import { toChunkRows } from "./rows.js";
import { toSearchHit, type SearchHit, type SearchOptions } from "./search-hit.js";
import { searchRequest } from "./search-request.js";
import { denseSearch, type DenseHit } from "./search.js";
import { Sources } from "./sources/sources.js";
import { maxStoredDimensions } from "./storage.js";
import { StoreHandle, type CallScope } from "./store-handle.js";
import { StorePool } from "./store-pool.js";
import { toTenantId } from "./tenant.js";
import { observeCall, observed, observeMethods, setCaller } from "../telemetry/observe.js";
import { callerFor, databaseFor } from "./caller.js";
import { OBSERVED_CALLS } from "./observed-calls.js";
import { readProcess, type ProcessStats } from "../ops/stats/process.js";
import { readStats, type StoreStats } from "../ops/stats/read.js";
import { TenantAdmin } from "./tenants/admin.js";
import { embedOnce } from "./versions/reader.js";
import { checkVectorCount } from "./versions/vectors-for.js";

const MAX_VIEWS = 1_000;

/**
 * LangChain's `PGVectorStore` for production: swap the import and keep the code. Any text can be an id, adds are atomic
 * upserts, filters are checked and parameters only, vectors travel in binary form, and searches come back with `k`
 * rows when there are `k`.
 *
 * @example
 * ```ts
 * const store = await PostgresVectorStore.initialize(embeddings, { connectionString: process.env.DATABASE_URL });
 * await store.addDocuments([{ id: "1", pageContent: "HNSW is a graph index.", metadata: { topic: "indexes" } }]);
 * const [hit] = await store.search("which index is a graph?", { k: 1, filter: { topic: "indexes" } });
 * await store.end();
 * ```
 */
export class PostgresVectorStore extends LangChainSearches {
  readonly #args: PostgresVectorStoreArgs;
  #options: ResolvedOptions;
  #database: Database;
  readonly #ownsPool: boolean;
  #handle = new StoreHandle(() => this.#start(this.#options));
  #mustExist = false;
  /** By tenant: making one takes as long as the client's whole work for a search. */
  readonly #views = new Map<string, PostgresVectorStore>();
  /** Whether it is a view of another store, made by {@link forTenant}. */
  #isView = false;
  #ending: Promise<void> | undefined;

  /** Checks the options; the first call that needs the database opens it and ensures the schema. */
  constructor(embeddings: EmbeddingsInterface, args: PostgresVectorStoreArgs) {
    const options = resolveOptions(args);
    const { pool, owned } = resolvePool(args);
    const database = databaseFor(pool, resolveReplicas(args, pool, options.logger), options);
    const storePool = new StorePool(database, async () => (await this.#scoped()).settings);
    super(embeddings, baseArgs(args, options, storePool));
    this.filter = args.filter as typeof this.filter;
    // The base class keeps everything it was given here, the password included.
    this.lc_kwargs = { tableName: options.layout.table };
    this.#args = args;
    this.#options = options;
    this.#database = database;
    this.#ownsPool = owned;
    setCaller(this, () => callerFor(this.#database.activity, this.#options));
    this.pool = observed(this, "pool", storePool) as unknown as typeof this.pool;
  }

  /** Opens a store and ensures its schema. @throws as {@link openStore}. */
  static override async initialize(
    embeddings: EmbeddingsInterface,
    config: PostgresVectorStoreArgs,
  ): Promise<PostgresVectorStore> {
    return new this(embeddings, config).#ready();
  }

  /** Opens a store whose table must be there already; runs no DDL. */
  static async fromExistingIndex(
    embeddings: EmbeddingsInterface,
    config: PostgresVectorStoreArgs,
  ): Promise<PostgresVectorStore> {
    const store = new this(embeddings, config);
    store.#mustExist = true;
    return store.#ready();
  }

  static override async fromTexts(
    texts: string[],
    metadatas: object[] | object,
    embeddings: EmbeddingsInterface,
    config: PostgresVectorStoreArgs,
  ): Promise<PostgresVectorStore> {
    if (Array.isArray(metadatas) && metadatas.length !== texts.length) {
      throw new IngestError(`${metadatas.length} metadatas were given for ${texts.length} texts; give one for each.`);
    }
    const documents = texts.map((pageContent, index) => {
      const metadata = (Array.isArray(metadatas) ? metadatas[index] : metadatas) as Record<string, unknown>;
      return new Document({ pageContent, metadata });
    });
    return this.fromDocuments(documents, embeddings, config);
  }

  static override async fromDocuments(
    documents: Document[],
    embeddings: EmbeddingsInterface,
    config: PostgresVectorStoreArgs,
  ): Promise<PostgresVectorStore> {
    const store = await this.initialize(embeddings, config);
    try {
      await store.addDocuments(documents, config.ids === undefined ? undefined : { ids: config.ids });
    } catch (error) {
      await store.end();
      throw error;
    }
    return store;
  }

  /**
   * A view of this store bound to one tenant, the same one for a while when it is asked for again. It shares the pool and
   * what is known of the schema, so it costs no I/O; ending it does nothing.
   *
   * @throws ConfigurationError while tenancy is off, or when the id cannot be one.
   */
  forTenant(tenantId: string | number): PostgresVectorStore {
    const tenant = toTenantId(tenantId);
    const known = this.#views.get(tenant);
    if (known !== undefined) return known;
    const view = this.#viewFor(tenant);
    if (this.#views.size === MAX_VIEWS) this.#views.clear();
    this.#views.set(tenant, view);
    return view;
  }

  #viewFor(tenantId: string): PostgresVectorStore {
    const args = withoutConnections(this.#args);
    const Store = this.constructor as typeof PostgresVectorStore;
    const view = new Store(this.embeddings, { ...args, tenantId, pool: this.#database.pool });
    view.#isView = true;
    view.#handle = this.#handle;
    // It knows which statements are prepared, and the replicas.
    view.#database = this.#database;
    view.#options = { ...view.#options, replica: this.#options.replica };
    return view;
  }

  /**
   * The life cycle of this store's tenants, for the role that owns the tables.
   *
   * @throws ConfigurationError while tenancy is off.
   */
  get tenants(): TenantAdmin {
    if (this.#options.layout.tenancy === "off") {
      throw new ConfigurationError('Tenancy is off, so there are no tenants; set tenancy: "rls".');
    }
    return observed(this, "tenants", new TenantAdmin(() => this.#handle.refresh()), ["export"]);
  }

  /** The embedding models of this store, for the role that owns the tables. */
  get models(): ModelAdmin {
    return observed(this, "models", new ModelAdmin(this.#handle));
  }

  /** The indexes of this store's table: listing, building, rebuilding, dropping, measuring. */
  get indexes(): StoreIndexes {
    const indexes = new StoreIndexes(
      () => this.#handle.refresh(),
      async (text) => embedOnce(text)(await this.#open()),
    );
    return observed(this, "indexes", indexes);
  }

  /** The lexical index of this store: its state, its compaction, and its building for rows that were there before. */
  get lexical(): LexicalIndex {
    const lexical = new LexicalIndex(
      () => this.#open(),
      () => this.#scoped(),
    );
    return observed(this, "lexical", lexical);
  }

  /** What was ingested from where. */
  get sources(): Sources {
    return observed(this, "sources", new Sources((work) => this.#run(work)), ["list"]);
  }

  /** The messages of one conversation, kept under the same tenancy as the chunks. */
  chatHistory(sessionId: string, options?: ChatHistoryOptions): PostgresChatMessageHistory {
    return observed(this, "chatHistory", new PostgresChatMessageHistory(() => this.#scoped(), sessionId, options));
  }

  /**
   * Embeds documents and stores them in one transaction: all of them or none. A document whose id is there replaces it.
   *
   * @returns the ids, in the order of the documents.
   * @throws IngestError before any I/O for ids that repeat or cannot be stored.
   */
  override async addDocuments(documents: DocumentInterface[], options?: { ids?: string[] }): Promise<void & string[]> {
    const rows = toChunkRows(documents, options?.ids);
    if (rows.length === 0) return asAdded([]);
    return asAdded(await this.#run((store) => addRows(store, rows)));
  }

  /** Stores documents with their vectors, as {@link addDocuments} does. */
  override async addVectors(
    vectors: VectorInput[],
    documents: DocumentInterface[],
    options?: { ids?: string[] },
  ): Promise<void & string[]> {
    const rows = toChunkRows(documents, options?.ids);
    checkVectorCount(vectors.length, rows.length);
    if (rows.length === 0) return asAdded([]);
    return asAdded(await this.#run((store) => addRows(store, rows, vectors)));
  }

  /**
   * Stores any number of documents, with their vectors or to be embedded on the way, at the speed of COPY and in constant
   * memory. Each batch is one transaction; ids that are there are overwritten, and of one that comes twice the last wins.
   *
   * @throws ConfigurationError before any I/O for options that cannot work.
   * @throws IngestError with the number of the first row that cannot be stored, unless `onError` is `"skip"`.
   */
  async bulkLoad(source: BulkLoadSource, options: BulkLoadOptions = {}): Promise<BulkLoadResult> {
    const plan = checkBulkLoad(source, options);
    options.signal?.throwIfAborted();
    return bulkLoad(await this.#scoped(), source, plan, options);
  }

  /**
   * Deletes by exact ids, or by a filter that is combined with the store's own.
   *
   * @throws FilterError for an empty filter, which would delete everything.
   */
  override async delete(params: DeleteParams): Promise<void> {
    await this.#run(planDelete(params));
  }

  /**
   * Deletes chunks by age, by metadata filter or by both, in short transactions that leave searches alone, and vacuums at
   * the end where the role may. Within the tenant and the store's collection.
   *
   * @returns how many.
   * @throws ConfigurationError before any I/O when nothing says which chunks.
   */
  async expire(options: ExpireOptions): Promise<number> {
    const expiry = checkExpiry(options);
    return this.#run((store) => expireStore(store, expiry, options));
  }

  /** The `k` best chunks for a text or a vector, best first. */
  override async search(query: string | VectorInput, options: SearchOptions = {}): Promise<SearchHit[]> {
    return this.#search(query, options);
  }

  /**
   * Runs a search, or a query of your own within the store's scope, and says in words what the database did: which index
   * was used or why none, what filters removed, what came from disk, and what to change.
   *
   * @throws ConfigurationError for SQL that is no query.
   */
  async explain(query: string | VectorInput | RawQuery, options: SearchOptions = {}): Promise<Explanation> {
    return explain(query, options, {
      scoped: () => this.#scoped(),
      run: (asked, work) => this.#run(work, { query: asked, signal: options.signal }),
      search: (text, store) => this.#search(text, options, store),
    });
  }

  async #search(query: string | VectorInput, options: SearchOptions, open?: ScopedStore): Promise<SearchHit[]> {
    const inSteps = searchInSteps(this, query, options, (candidates) => this.#search(query, candidates, open));
    if (inSteps !== undefined) return inSteps;
    const request = searchRequest(options, this.#options);
    const words = checkWords(query, options, this.#options);
    const { signal } = options;
    signal?.throwIfAborted();
    const embed = embedOnce(query, signal);
    const find = async (store: ScopedStore): Promise<SearchHit[]> => {
      const byWords = words && (await searchByWords(store, request, words, () => embed(store)));
      if (byWords !== undefined) return byWords;
      const found = await denseSearch(store, { ...request, vector: await embed(store) });
      const { contentCipher } = this.#options;
      const plain = contentCipher && (await orAbort(decryptHits(contentCipher, store.tenant, found), signal));
      const hits = (plain ?? found).map(toSearchHit);
      return words === undefined ? hits : hits.map((hit) => ({ ...hit, fallback: "similarity" as const }));
    };
    return open === undefined ? this.#run(find, { query, signal }) : find(open);
  }

  /** Relevant documents that differ from each other: `k` of the `fetchK` nearest by maximal marginal relevance. */
  override async maxMarginalRelevanceSearch(
    query: string,
    options: MaxMarginalRelevanceSearchOptions<this["FilterType"]>,
  ): Promise<Document[]> {
    const { k, fetchK, lambda } = checkMmr(options);
    const request = searchRequest({ k: fetchK, filter: options.filter, includeEmbeddings: true }, this.#options);
    const words = checkWords(query, {}, this.#options);
    const embed = embedOnce(query);
    const { store, vector, hits } = await this.#run(
      async (current) => {
        const asked = await embed(current);
        const byWords = await searchByWords(current, request, words, () => Promise.resolve(asked));
        const found: readonly (SearchHit | DenseHit)[] =
          byWords ?? (await denseSearch(current, { ...request, vector: asked }));
        return { store: current, vector: asked, hits: found };
      },
      { query },
    );
    const best = mostDiverse(vector, hits, { k, lambda });
    return (await decryptHits(this.#options.contentCipher, store.tenant, best)).map((hit) => hit.document);
  }

  /** Stored rows by id and by filter, without a query. */
  async get(params: GetParams = {}): Promise<StoredChunk[]> {
    return this.#run(planGet(params, this.#options.contentCipher));
  }

  /** Documents by id, in the order asked; those that are not there are left out. */
  async getByIds(ids: string[]): Promise<Document[]> {
    return this.#run((store) => getByIds(store, ids));
  }

  /** The chunks of these documents with those around them in their sources, in order. See {@link planNeighbours}. */
  async getNeighbours(documents: readonly Document[], options: NeighbourOptions = {}): Promise<PlacedChunk[]> {
    return this.#run(planNeighbours(documents, options));
  }

  /** A LangChain retriever over this store. A filter is applied whichever way it is passed. */
  override asRetriever(options?: PostgresRetrieverOptions): PostgresRetriever<this>;
  override asRetriever(
    kOrFields?: number | Partial<VectorStoreRetrieverInput<VectorStoreInterface>>,
    filter?: this["FilterType"],
    callbacks?: Callbacks,
    tags?: string[],
    metadata?: Record<string, unknown>,
    verbose?: boolean,
  ): PostgresRetriever<this>;
  override asRetriever(
    kOrFields?: number | PostgresRetrieverOptions | Partial<VectorStoreRetrieverInput<VectorStoreInterface>>,
    filter?: this["FilterType"],
    callbacks?: Callbacks,
    tags?: string[],
    metadata?: Record<string, unknown>,
    verbose?: boolean,
  ): PostgresRetriever<this> {
    const fields = retrieverFields(kOrFields, filter, { callbacks, metadata, verbose });
    return new PostgresRetriever({
      ...fields,
      tags: [...(fields.tags ?? tags ?? []), this._vectorstoreType()],
      vectorStore: this,
    });
  }

  /** Builds an HNSW index without blocking reads or writes. @throws IndexBuildError when it fails. */
  override async createHnswIndex(config: HnswConfig = {}): Promise<void> {
    await this.indexes.create(config);
  }

  /** The uuid of the store's collection, made when it is not there. */
  override async getOrCreateCollection(): Promise<string> {
    return this.#run(getOrCreateCollection);
  }

  /** Ensures the schema, as {@link initialize} does. @throws DimensionMismatchError when the table has others. */
  override async ensureTableInDatabase(dimensions?: number): Promise<void> {
    const expected = integer("dimensions", dimensions, 1, maxStoredDimensions(this.#options.storageType));
    if (expected !== undefined && !this.#handle.opened && !this.#isView) {
      await this.#handle.open(() => this.#start({ ...this.#options, dimensions: expected }));
    }
    const { model } = await this.#open();
    if (expected !== undefined) checkDimensions(model, expected, this.#options);
  }

  override async ensureCollectionTableInDatabase(): Promise<void> {
    await this.#open();
  }

  /** The base class holds a client for ever here; every call of ours borrows one from the pool and gives it back. */
  protected override async _initializeClient(): Promise<void> {
    await this.#open();
  }

  override get computedCollectionTableName(): string {
    const table = this.#options.layout.collectionsTable;
    if (table === undefined) throw new ConfigurationError("The store has no collection table.");
    return quoteQualified(this.schemaName ?? undefined, table);
  }

  /** What the server knows of the store, and what {@link processStats} says. Reads catalogs and statistics, no rows. */
  async stats(): Promise<StoreStats> {
    const { database, options } = await this.#open();
    const server = await database.connection((session) => readStats(session, options.layout));
    return { ...server, process: this.processStats() };
  }

  /** What this process has done with the store and its views of tenants, and how its pools and replicas are. No I/O. */
  processStats(): ProcessStats {
    return readProcess(this.#database);
  }

  /**
   * Waits for the calls that are under way, and ends the pools that the store made; one that was passed in belongs to whoever
   * made it. Once is enough, and more often does nothing.
   */
  override async end(): Promise<void> {
    this.#ending ??= this.#end();
    await this.#ending;
  }

  /** {@link end}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  async #end(): Promise<void> {
    if (!this.#isView) {
      await this.#handle.end();
      await this.#database.replicas?.end();
    }
    if (this.#ownsPool) await this.#database.end();
  }

  /** The metric of this call's searches. */
  protected async searchMetric(): Promise<Metric> {
    return (await this.#scoped()).options.metric;
  }

  async #ready(): Promise<this> {
    try {
      await observeCall(this, "initialize", () => this.#open());
      return this;
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  #open(): Promise<OpenStore> {
    return this.#handle.open();
  }

  /** The open store in the scope of this call's tenant, which is asked for first: without one there is no I/O. */
  async #scoped(): Promise<ScopedStore> {
    return this.#handle.scoped({ tenant: this.#options.tenant() });
  }

  async #run<T>(work: (store: ScopedStore) => Promise<T>, scope: Omit<CallScope, "tenant"> = {}): Promise<T> {
    return this.#handle.run({ ...scope, tenant: this.#options.tenant() }, work);
  }

  async #start(options: ResolvedOptions): Promise<OpenStore> {
    const store = await openStore(this.#database, options, this.embeddings, { mustExist: this.#mustExist });
    this.distanceStrategy = store.options.metric;
    return store;
  }
}

/** LangChain declares adds as returning nothing here and ids there; ids satisfy both. */
function asAdded(ids: string[]): void & string[] {
  return ids as void & string[];
}

observeMethods(PostgresVectorStore.prototype, OBSERVED_CALLS);

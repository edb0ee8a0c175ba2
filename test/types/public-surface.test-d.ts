/**
 * The public surface, checked by `tsc`: a value that is added to or removed from an entry point, or a type that no
 * longer fits LangChain's, is a compile error. `test/unit/public-surface.test.ts` does the same for exported types.
 */
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { Document, DocumentInterface } from "@langchain/core/documents";
import type { BaseRetriever, BaseRetrieverInterface } from "@langchain/core/retrievers";
import type { BaseTranslator } from "@langchain/core/structured_query";
import type {
  VectorStore,
  VectorStoreInterface,
  VectorStoreRetriever,
  VectorStoreRetrieverInput,
  VectorStoreRetrieverInterface,
} from "@langchain/core/vectorstores";
import type { PGVectorStore as BasePGVectorStore, PGVectorStoreArgs } from "@langchain/community/vectorstores/pgvector";
import type { BaseDocumentCompressor } from "@langchain/core/retrievers/document_compressors";
import type { SelfQueryRetriever } from "@langchain/classic/retrievers/self_query";
import { expectTypeOf } from "expect-type";
import type pg from "pg";
import type { Chroma as TheirChroma, ChromaLibArgs as TheirArgs } from "@langchain/community/vectorstores/chroma";
import type * as chains from "../../src/chains/index.js";
import type * as chroma from "../../src/chroma/index.js";
import type * as embedded from "../../src/embedded/index.js";
import type * as index from "../../src/index.js";
import type * as loaders from "../../src/loaders/index.js";
import type {
  Filter,
  PGVectorStore,
  PostgresRetriever,
  PostgresRetrieverOptions,
  PostgresTranslator,
  PostgresVectorStore,
  PostgresVectorStoreArgs,
  SearchHit,
  VectorInput,
} from "../../src/index.js";

declare const embeddings: EmbeddingsInterface;
declare const store: PostgresVectorStore;
declare const Store: typeof PostgresVectorStore;
declare const documents: Document[];

// Values of each entry point.
expectTypeOf<keyof typeof index>().toEqualTypeOf<
  | "adopt"
  | "comparisonHtml"
  | "comparisonText"
  | "createBackup"
  | "restoreBackup"
  | "drawCurve"
  | "estimateSize"
  | "evaluateRetrieval"
  | "fitFusionWeights"
  | "fromJsonLines"
  | "applyFixes"
  | "diagnose"
  | "lintTenancy"
  | "plotHtml"
  | "plotSvg"
  | "planAdopt"
  | "readLabelledSet"
  | "runLeakSuite"
  | "toJsonLine"
  | "toPrometheus"
  | "BudgetExceededError"
  | "CachedQueryEmbeddings"
  | "ChromaServerError"
  | "ConfigurationError"
  | "ContentCipherError"
  | "CutoverBlockedError"
  | "DatabaseError"
  | "DimensionMismatchError"
  | "ExtractiveAnswerer"
  | "FilterError"
  | "IndexBuildError"
  | "IngestError"
  | "InvalidVectorError"
  | "LangChainPgvectorError"
  | "LoadError"
  | "MissingTenantError"
  | "ModelProviderError"
  | "OfflineEmbeddings"
  | "PGVectorStore"
  | "PostgresChatMessageHistory"
  | "PostgresRetriever"
  | "PostgresTranslator"
  | "PostgresVectorStore"
  | "RerankError"
  | "SchemaDriftError"
  | "SchemaVersionError"
  | "TenantIsolationError"
  | "UnknownModelError"
>();
expectTypeOf<keyof typeof chains>().toEqualTypeOf<
  | "CoverageReranker"
  | "CrossEncoderReranker"
  | "ExtractiveAnswerer"
  | "ExtractiveCompressor"
  | "LlmReranker"
  | "ModelLimits"
  | "coverageOf"
  | "createConversationalRagChain"
  | "createRagChain"
  | "createRetrievalTool"
  | "createSelfQueryRetriever"
  | "decompose"
  | "diversify"
  | "formatCitation"
  | "hyde"
  | "multiQuery"
  | "neighbours"
  | "parents"
  | "rerank"
  | "scoreThreshold"
  | "verifyCitations"
>();
expectTypeOf<keyof typeof loaders>().toEqualTypeOf<
  "SUPPORTED_EXTENSIONS" | "chunkId" | "loadDocuments" | "splitDocuments" | "syncDocuments" | "withChunkIds"
>();
expectTypeOf<keyof typeof chroma>().toEqualTypeOf<
  | "Chroma"
  | "DualStore"
  | "exportChroma"
  | "importChroma"
  | "importJsonl"
  | "importParquet"
  | "importTable"
  | "planImportChroma"
  | "planImportJsonl"
  | "planImportParquet"
  | "planImportTable"
  | "runChromaServer"
  | "setDefaultConnection"
>();
expectTypeOf<keyof typeof embedded>().toEqualTypeOf<"openEmbeddedPostgres">();

// The store is LangChain's, whatever name it is imported by.
expectTypeOf<PGVectorStore>().toEqualTypeOf<PostgresVectorStore>();
expectTypeOf<PostgresVectorStore>().toExtend<VectorStore>();
expectTypeOf<PostgresVectorStore>().toExtend<VectorStoreInterface>();
expectTypeOf<PostgresVectorStore>().toExtend<BasePGVectorStore>();
expectTypeOf<typeof PostgresVectorStore>().toExtend<typeof VectorStore>();
expectTypeOf<typeof PostgresVectorStore.initialize>().toExtend<typeof BasePGVectorStore.initialize>();
expectTypeOf<typeof PostgresVectorStore.fromTexts>().toExtend<typeof BasePGVectorStore.fromTexts>();
expectTypeOf<typeof PostgresVectorStore.fromDocuments>().toExtend<typeof BasePGVectorStore.fromDocuments>();

// Every way to open one gives one of ours.
expectTypeOf(Store).toBeConstructibleWith(embeddings, {});
expectTypeOf<typeof PostgresVectorStore.initialize>().returns.resolves.toEqualTypeOf<PostgresVectorStore>();
expectTypeOf<typeof PostgresVectorStore.fromTexts>().returns.resolves.toEqualTypeOf<PostgresVectorStore>();
expectTypeOf<typeof PostgresVectorStore.fromDocuments>().returns.resolves.toEqualTypeOf<PostgresVectorStore>();
expectTypeOf<typeof PostgresVectorStore.fromExistingIndex>().returns.resolves.toEqualTypeOf<PostgresVectorStore>();

// A configuration of the base class stays one.
expectTypeOf<PGVectorStoreArgs>().toExtend<PostgresVectorStoreArgs>();
declare const pool: pg.Pool;
const baseConfig = {
  pool,
  tableName: "documents",
  columns: { idColumnName: "id", vectorColumnName: "vector", contentColumnName: "content", metadataColumnName: "meta" },
  distanceStrategy: "euclidean" as const,
  scoreNormalization: "similarity" as const,
  collectionName: "notes",
  collectionTableName: "collections",
  schemaName: "app",
  filter: { year: { gte: 2020 } },
  chunkSize: 100,
  verbose: true,
} satisfies PGVectorStoreArgs;
expectTypeOf<typeof PostgresVectorStore.initialize>().toBeCallableWith(embeddings, baseConfig);
expectTypeOf<typeof PostgresVectorStore.fromDocuments>().toBeCallableWith(documents, embeddings, baseConfig);
expectTypeOf<Awaited<ReturnType<typeof embedded.openEmbeddedPostgres>>>().toExtend<
  NonNullable<PostgresVectorStoreArgs["pool"]>
>();

// Chroma by import path alone: arguments, calls and results of LangChain's class fit.
expectTypeOf<TheirArgs>().toExtend<chroma.ChromaLibArgs>();
expectTypeOf<chroma.Chroma>().toExtend<VectorStore>();
expectTypeOf<typeof chroma.Chroma.fromExistingCollection>().returns.resolves.toEqualTypeOf<chroma.Chroma>();
expectTypeOf<typeof chroma.Chroma.fromTexts>().returns.resolves.toEqualTypeOf<chroma.Chroma>();
expectTypeOf<typeof chroma.Chroma.fromDocuments>().returns.resolves.toEqualTypeOf<chroma.Chroma>();
expectTypeOf<Parameters<TheirChroma["addDocuments"]>>().toExtend<Parameters<chroma.Chroma["addDocuments"]>>();
expectTypeOf<Parameters<TheirChroma["addVectors"]>>().toExtend<Parameters<chroma.Chroma["addVectors"]>>();
expectTypeOf<chroma.Chroma["similaritySearchVectorWithScore"]>().returns.resolves.toEqualTypeOf<[Document, number][]>();

// Adds fit both declarations that LangChain has for them.
expectTypeOf<PostgresVectorStore["addDocuments"]>().returns.toEqualTypeOf<Promise<void & string[]>>();
expectTypeOf<PostgresVectorStore["addVectors"]>().returns.toEqualTypeOf<Promise<void & string[]>>();
expectTypeOf<PostgresVectorStore["addDocuments"]>().returns.resolves.toExtend<string[]>();
expectTypeOf<PostgresVectorStore["addDocuments"]>().parameter(0).toEqualTypeOf<DocumentInterface[]>();
expectTypeOf<PostgresVectorStore["delete"]>().returns.resolves.toEqualTypeOf<void>();

// Searches.
expectTypeOf<PostgresVectorStore["search"]>().parameter(0).toEqualTypeOf<string | VectorInput>();
expectTypeOf<PostgresVectorStore["search"]>().returns.resolves.toEqualTypeOf<SearchHit[]>();
expectTypeOf<PostgresVectorStore["similaritySearch"]>().returns.resolves.toEqualTypeOf<Document[]>();
expectTypeOf<PostgresVectorStore["similaritySearchWithScore"]>().returns.resolves.toEqualTypeOf<[Document, number][]>();
expectTypeOf<PostgresVectorStore["maxMarginalRelevanceSearch"]>().returns.resolves.toEqualTypeOf<Document[]>();
expectTypeOf<PostgresVectorStore["getByIds"]>().returns.resolves.toEqualTypeOf<Document[]>();
// @ts-expect-error a misspelt operator
void store.search("words", { filter: { year: { gtee: 2020 } } });
// @ts-expect-error a search type that does not exist
void store.search("words", { searchType: "magic" });

// Retrievers.
expectTypeOf<PostgresRetriever>().toExtend<VectorStoreRetriever<PostgresVectorStore>>();
expectTypeOf<PostgresRetriever>().toExtend<VectorStoreRetriever>();
expectTypeOf<PostgresRetriever>().toExtend<VectorStoreRetrieverInterface>();
expectTypeOf<PostgresRetriever>().toExtend<BaseRetriever>();
expectTypeOf<PostgresRetriever>().toExtend<BaseRetrieverInterface>();
expectTypeOf(store.asRetriever()).toEqualTypeOf<PostgresRetriever>();
expectTypeOf(store.asRetriever({ k: 5, scoreThreshold: 0.5, includeScores: true })).toExtend<PostgresRetriever>();
expectTypeOf(store.asRetriever({ searchType: "mmr", searchKwargs: { fetchK: 20 } })).toExtend<PostgresRetriever>();
declare const reranker: BaseDocumentCompressor;
expectTypeOf(store.asRetriever({ rerank: reranker, fetchK: 50, postProcess: [] })).toExtend<PostgresRetriever>();
expectTypeOf(store.asRetriever(5)).toExtend<PostgresRetriever>();
expectTypeOf(store.asRetriever(5, { year: 2020 }, [], ["tag"], { a: 1 }, true)).toExtend<PostgresRetriever>();
declare const baseFields: Partial<VectorStoreRetrieverInput<PostgresVectorStore>>;
expectTypeOf(store.asRetriever(baseFields)).toExtend<PostgresRetriever>();
expectTypeOf<PostgresVectorStore["asRetriever"]>().toExtend<BasePGVectorStore["asRetriever"]>();
expectTypeOf<PostgresRetrieverOptions>().not.toHaveProperty("vectorStore");
expectTypeOf<PostgresRetrieverOptions["filter"]>().toEqualTypeOf<Filter | undefined>();

// What takes a store or a retriever takes ours.
expectTypeOf<PostgresVectorStore>().toExtend<NonNullable<Parameters<typeof chains.createRetrievalTool>[0]["store"]>>();
expectTypeOf<PostgresVectorStore>().toExtend<NonNullable<Parameters<typeof chains.createRagChain>[0]["store"]>>();
expectTypeOf<PostgresTranslator>().toExtend<BaseTranslator<PostgresVectorStore>>();
expectTypeOf<PostgresTranslator>().toExtend<SelfQueryRetriever<PostgresVectorStore>["structuredQueryTranslator"]>();

export { PostgresVectorStore, PostgresVectorStore as PGVectorStore } from "./store/postgres-vector-store.js";
export type { SearchHit, SearchOptions } from "./store/postgres-vector-store.js";
export type { PostgresVectorStoreArgs, SearchType } from "./store/options.js";
export { PostgresTranslator } from "./store/self-query-translator.js";
export { adopt, planAdopt, type AdoptArgs, type AdoptReport } from "./store/adopt/adopt.js";
export { OfflineEmbeddings } from "./embeddings/offline.js";
export { ExtractiveAnswerer } from "./chains/extractive-answerer.js";
export { PostgresRetriever, type PostgresRetrieverOptions } from "./store/retriever.js";
export type { DeleteParams } from "./store/delete.js";
export type { DocumentFilter, Filter } from "./store/filter/index.js";
export type { GetParams, StoredChunk } from "./store/get.js";
export type { HnswConfig } from "./store/hnsw.js";
export type { Logger } from "./store/logger.js";
export {
  ConfigurationError,
  DatabaseError,
  DimensionMismatchError,
  FilterError,
  IndexBuildError,
  IngestError,
  InvalidVectorError,
  LangChainPgvectorError,
  LoadError,
  ModelProviderError,
  SchemaDriftError,
  SchemaVersionError,
  UnknownModelError,
} from "./errors.js";

export { PostgresVectorStore, PostgresVectorStore as PGVectorStore } from "./store/postgres-vector-store.js";
export type { SearchHit, SearchOptions } from "./store/postgres-vector-store.js";
export type { PostgresVectorStoreArgs, SearchType } from "./store/options.js";
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
  SchemaDriftError,
  SchemaVersionError,
  UnknownModelError,
} from "./errors.js";

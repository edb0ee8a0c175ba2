/** Files to documents, documents to chunks, chunks to a store: the sub-path `langchain-pgvector/loaders`. */
export { chunkId, withChunkIds } from "./chunk-id.js";
export type { UrlOptions } from "./fetch-url.js";
export { SUPPORTED_EXTENSIONS, type DocumentFormat } from "./formats.js";
export {
  loadDocuments,
  type LoadNote,
  type LoadOptions,
  type LoadSummary,
  type SkippedFile,
} from "./load-documents.js";
export type { RecordOptions } from "./readers/records.js";
export { splitDocuments, type ChunkMetadata } from "./split-documents.js";
export type { SplitOptions, Splitter } from "./splitters/options.js";
export type { SyncedSource, SyncOptions, SyncProgress, SyncResult } from "./sync/options.js";
export { syncDocuments } from "./sync/sync-documents.js";

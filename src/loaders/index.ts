/** Files to documents, documents to chunks: the sub-path `langchain-pgvector/loaders`. */
export { chunkId, withChunkIds } from "./chunk-id.js";
export { SUPPORTED_EXTENSIONS, type DocumentFormat } from "./formats.js";
export { loadDocuments, type LoadOptions, type LoadSummary, type SkippedFile } from "./load-documents.js";
export { splitDocuments, type ChunkMetadata, type SplitOptions } from "./split-documents.js";

export { formatCitation, type Citation } from "./citation.js";
export type { ContextOptions } from "./context-window.js";
export {
  createConversationalRagChain,
  type ChatHistory,
  type ConversationalRagChainOptions,
} from "./conversational-rag-chain.js";
export { CrossEncoderReranker, type CrossEncoder, type CrossEncoderRerankerOptions } from "./cross-encoder-reranker.js";
export { coverageOf, type AbstentionOptions, type EvidenceMeasure } from "./evidence.js";
export {
  ExtractiveAnswerer,
  type ExtractiveAnswer,
  type ExtractiveAnswererOptions,
  type ExtractiveInput,
} from "./extractive-answerer.js";
export { ExtractiveCompressor, type ExtractiveCompressorOptions } from "./extractive-compressor.js";
export { LlmReranker, type LlmRerankerOptions } from "./llm-reranker.js";
export { ModelLimits, type ModelLimitsOptions, type ModelUse } from "./model-limits.js";
export { decompose, hyde, multiQuery, type ExpansionOptions, type QueryExpansion } from "./query-expansion.js";
export { CoverageReranker, type CoverageRerankerOptions } from "./post-process/coverage-reranker.js";
export { diversify, type DiversifyOptions } from "./post-process/diversify.js";
export { neighbours, type NeighboursOptions } from "./post-process/neighbours.js";
export { parents, type ParentsOptions } from "./post-process/parents.js";
export { createRagChain, type RagChainInput, type RagChainOptions, type RagChainOutput } from "./rag-chain.js";
export type { Compressor, RetrievalOptions } from "./retrieval.js";
export type {
  RetrievalSource,
  RetrieverFactory,
  RetrieverOptions,
  TenantOfCall,
  TenantStore,
} from "./retrieval-source.js";
export { createRetrievalTool, type RetrievalToolOptions } from "./retrieval-tool.js";
export { createSelfQueryRetriever, type FilterableAttribute, type SelfQueryOptions } from "./self-query.js";
export { verifyCitations } from "./verify-citations.js";
export type { PostProcessContext, PostProcessor } from "../store/post-process/post-process.js";
export { rerank, type Reranker } from "../store/post-process/rerank.js";
export { scoreThreshold, type ThresholdMeasure } from "../store/post-process/score-threshold.js";

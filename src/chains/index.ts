export { createConversationalRagChain } from "./conversational-rag-chain.js";
export { formatCitation, type Citation } from "./citation.js";
export {
  ExtractiveAnswerer,
  type ExtractiveAnswer,
  type ExtractiveAnswererOptions,
  type ExtractiveInput,
} from "./extractive-answerer.js";
export { CoverageReranker, type CoverageRerankerOptions } from "./post-process/coverage-reranker.js";
export { diversify, type DiversifyOptions } from "./post-process/diversify.js";
export { neighbours, type NeighboursOptions } from "./post-process/neighbours.js";
export { parents, type ParentsOptions } from "./post-process/parents.js";
export { createRagChain, type RagChainInput, type RagChainOptions, type RagChainOutput } from "./rag-chain.js";
export { createRetrievalTool, type RetrievalToolOptions } from "./retrieval-tool.js";
export type { RetrievalSource, RetrieverFactory, RetrieverOptions } from "./retrieval-source.js";
export { verifyCitations } from "./verify-citations.js";
export type { PostProcessContext, PostProcessor } from "../store/post-process/post-process.js";
export { rerank, type Reranker } from "../store/post-process/rerank.js";
export { scoreThreshold, type ThresholdMeasure } from "../store/post-process/score-threshold.js";

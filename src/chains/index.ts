export { createConversationalRagChain } from "./conversational-rag-chain.js";
export { formatCitation, type Citation } from "./citation.js";
export {
  ExtractiveAnswerer,
  type ExtractiveAnswer,
  type ExtractiveAnswererOptions,
  type ExtractiveInput,
} from "./extractive-answerer.js";
export { createRagChain, type RagChainInput, type RagChainOptions, type RagChainOutput } from "./rag-chain.js";
export { createRetrievalTool, type RetrievalToolOptions } from "./retrieval-tool.js";
export type { RetrievalSource, RetrieverFactory, RetrieverOptions } from "./retrieval-source.js";
export { verifyCitations } from "./verify-citations.js";

/** The only file that imports LangChain's PGVectorStore, so that another package can take its place in one line. */
export { PGVectorStore as BasePGVectorStore } from "@langchain/community/vectorstores/pgvector";
export type { PGVectorStoreArgs, DistanceStrategy } from "@langchain/community/vectorstores/pgvector";

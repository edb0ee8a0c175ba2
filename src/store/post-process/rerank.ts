import { Document, type DocumentInterface } from "@langchain/core/documents";
import type { BaseDocumentCompressor } from "@langchain/core/retrievers/document_compressors";
import { orAbort } from "../../db/abort.js";
import { ConfigurationError, RerankError } from "../../errors.js";
import type { SearchHit } from "../search-hit.js";
import type { PostProcessor } from "./post-process.js";

/** Any of LangChain's document compressors: one that reorders, that leaves documents out, or that shortens them. */
export type Reranker = Pick<BaseDocumentCompressor, "compressDocuments">;

/** Tells which hit a document comes from. Copies of metadata keep it, and JSON does not see it. */
const HIT = Symbol("langchain-pgvector hit");

/** Metadata keys that rerankers leave their score under. */
const SCORE_KEYS = ["relevanceScore", "relevance_score"] as const;

/**
 * Lets a reranker put the hits in order. Each keeps the `score` that the search gave it and gets `rerank`; the text and
 * the metadata are those that the reranker returned.
 *
 * @throws ConfigurationError for what is no compressor.
 * @throws RerankError on a call, when the reranker fails or returns documents that it was not given.
 */
export function rerank(reranker: Reranker): PostProcessor {
  if (typeof (reranker as Partial<Reranker> | null)?.compressDocuments !== "function") {
    throw new ConfigurationError(
      "`rerank` must be one of LangChain's document compressors, an object with the method compressDocuments.",
    );
  }
  const name = reranker.constructor?.name || "reranker";
  return async (question, hits, { signal, callbacks }) => {
    if (hits.length === 0) return [];
    // With metadata of their own, so that what the reranker writes there changes nobody else's.
    const documents = hits.map(({ document: { id, pageContent, metadata } }, index) =>
      toDocument(id, pageContent, { ...metadata, [HIT]: index }),
    );
    const ranked = await orAbort(ask(reranker, name, documents, question, callbacks), signal);
    return ranked.map((document, index) => rankedHit(name, hits, document, index));
  };
}

async function ask(
  reranker: Reranker,
  name: string,
  ...[documents, question, callbacks]: Parameters<Reranker["compressDocuments"]>
): Promise<DocumentInterface[]> {
  let ranked: unknown;
  try {
    ranked = await reranker.compressDocuments(documents, question, callbacks);
  } catch (cause) {
    throw new RerankError(
      `The reranker ${name} failed on ${documents.length} documents. Its own error is the cause; searching without ` +
        "`rerank` still works.",
      name,
      { cause },
    );
  }
  if (Array.isArray(ranked)) return ranked as DocumentInterface[];
  throw new RerankError(`The reranker ${name} returned no list of documents but ${typeof ranked}.`, name);
}

function rankedHit(name: string, hits: readonly SearchHit[], document: DocumentInterface, index: number): SearchHit {
  const metadata = { ...(document.metadata as Record<string | symbol, unknown>) };
  const hit = hits[hitOf(metadata, hits, document)];
  if (hit === undefined) {
    throw new RerankError(
      `The reranker ${name} returned a document that it was not given` +
        `${document.id === undefined ? "" : ` (id ${JSON.stringify(document.id)})`}; it has to return those of the search.`,
      name,
    );
  }
  delete metadata[HIT];
  const { id } = hit.document;
  const score = SCORE_KEYS.map((key) => metadata[key]).find((value) => typeof value === "number");
  return {
    ...hit,
    document: toDocument(id, document.pageContent, metadata),
    rerank: { rank: index + 1, ...(score !== undefined && { score }) },
  };
}

function toDocument(id: string | undefined, pageContent: string, metadata: object): Document {
  return new Document({ ...(id !== undefined && { id }), pageContent, metadata });
}

/** By the mark; by id or text where a reranker has passed the documents through JSON. */
function hitOf(
  metadata: Record<string | symbol, unknown>,
  hits: readonly SearchHit[],
  document: DocumentInterface,
): number {
  const mark = metadata[HIT];
  if (typeof mark === "number") return mark;
  if (document.id !== undefined) return hits.findIndex((hit) => hit.document.id === document.id);
  return hits.findIndex((hit) => hit.document.pageContent === document.pageContent);
}

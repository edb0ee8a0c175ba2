import { Document, type DocumentInterface } from "@langchain/core/documents";
import { citationOf, type Span } from "./citation.js";

/**
 * A chunk cut to one stretch of its text, word for word; its lines, when it has them, become those of the stretch, so
 * that citations stay right.
 */
export function excerptOf(document: DocumentInterface, span: Span): DocumentInterface {
  const { pageContent, metadata, id } = document;
  if (span.start === 0 && span.end === pageContent.length) return document;
  const { lines } = citationOf(document, 1, span);
  const loc = metadata["loc"] as Record<string, unknown> | undefined;
  return new Document({
    ...(id !== undefined && { id }),
    pageContent: pageContent.slice(span.start, span.end),
    metadata: lines === undefined ? metadata : { ...metadata, loc: { ...loc, lines } },
  });
}

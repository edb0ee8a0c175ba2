import { createHash } from "node:crypto";
import { Document } from "@langchain/core/documents";

/**
 * The id of a chunk, a UUID made from its source and text, so that ingesting a file again names the same chunks the same
 * and a chunk keeps its id when only other parts of the file change.
 *
 * @param source what `metadata.source` says, `""` for none.
 * @param ordinal from 0: how many chunks of the source with the same text come before this one.
 */
export function chunkId(source: string, content: string, ordinal: number): string {
  // JSON keeps the parts apart and escapes lone surrogates, which UTF-8 would map to one character.
  const digest = createHash("sha256")
    .update(JSON.stringify([source, content, ordinal]))
    .digest();
  // Version 8 is the one for ids of one's own making (RFC 9562, section 5.8), variant 10.
  digest[6] = (digest[6]! & 0x0f) | 0x80;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  return digest.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/**
 * Give each document the id that `chunkId` makes for it, replacing any it has.
 *
 * Ids are unique as long as the documents of one source follow each other, as those of `loadDocuments` do: only the
 * chunks of the current source are remembered.
 */
export async function* withChunkIds(documents: AsyncIterable<Document> | Iterable<Document>): AsyncIterable<Document> {
  let current: string | undefined;
  let seen = new Map<string, number>();
  for await (const document of documents) {
    const source: unknown = document.metadata["source"];
    const name = typeof source === "string" ? source : "";
    if (name !== current) seen = new Map();
    current = name;
    const first = chunkId(name, document.pageContent, 0);
    const ordinal = seen.get(first) ?? 0;
    seen.set(first, ordinal + 1);
    const id = ordinal === 0 ? first : chunkId(name, document.pageContent, ordinal);
    yield new Document({ pageContent: document.pageContent, metadata: document.metadata, id });
  }
}

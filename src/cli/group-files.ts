import type { Document } from "@langchain/core/documents";

/** A file's chunks, all of them. */
export interface FileChunks {
  readonly source: string;
  readonly chunks: Document[];
}

/** Enough to fill a request to an embedding server, few enough to hold in memory. */
const GROUP_CHUNKS = 256;

/**
 * Groups chunks by file and files by number of chunks: many small files share one look-up and one request. A file is never
 * divided, so a large one is a group of its own. Chunks of one file must follow each other.
 */
export async function* groupFiles(chunks: AsyncIterable<Document>): AsyncIterable<FileChunks[]> {
  let group: FileChunks[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    const source = String(chunk.metadata["source"]);
    const last = group.at(-1);
    if (last?.source === source) {
      last.chunks.push(chunk);
    } else {
      if (size >= GROUP_CHUNKS) {
        yield group;
        group = [];
        size = 0;
      }
      group.push({ source, chunks: [chunk] });
    }
    size += 1;
  }
  if (group.length > 0) yield group;
}

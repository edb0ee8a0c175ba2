import { IngestError } from "../../errors.js";
import { ResponseTooLargeError, type ChromaClient, type ServerRecords } from "../client.js";
import { metricOf, type ChromaCollection } from "../collection.js";
import type { KnownIds, RecordSource, SourceCollection, SourceRecord } from "./source.js";

const PARTS = ["documents", "metadatas", "embeddings", "uris"] as const;

/** The collections of a running Chroma server. */
export function chromaSource(client: ChromaClient): RecordSource {
  return {
    label: client.label,
    collections: async (names) => {
      const found =
        names === undefined
          ? await client.listCollections()
          : await Promise.all(names.map((name) => client.getCollection(name)));
      // Without names, an order that is the same each time.
      const ordered = names === undefined ? found.sort((a, b) => (a.name < b.name ? -1 : 1)) : found;
      return ordered.map((collection) => sourceCollection(client, collection));
    },
  };
}

function sourceCollection(client: ChromaClient, collection: ChromaCollection): SourceCollection {
  const { id, name, dimensions, space, metadata, model } = collection;
  return {
    name,
    dimensions,
    metric: metricOf(space),
    provider: model?.provider,
    model: model?.model,
    // The one place that says it in every release of Chroma, and where class Chroma looks for it.
    metadata: { ...metadata, "hnsw:space": space },
    fingerprint: id,
    count: () => client.count(id),
    pages: (rows, known) => readPages(client, id, rows, known),
    nearest: async (vectors, k) => (await client.query(id, { vectors, k })).ids,
  };
}

/**
 * Reads by offset, in the server's order, which is that of insertion. The size of a page adapts to what a page weighs, so
 * that memory stays the same for records of 1 kB and of 1 MB.
 */
async function* readPages(
  client: ChromaClient,
  collection: string,
  rows: number,
  known: KnownIds | undefined,
): AsyncGenerator<SourceRecord[], void> {
  let limit = rows;
  for (let offset = 0; ;) {
    try {
      const { total, records } = await readPage(client, collection, { limit, offset }, known);
      if (total === 0) return;
      if (records.length > 0) yield records;
      offset += total;
      limit = Math.min(rows, limit * 2);
    } catch (error) {
      if (!(error instanceof ResponseTooLargeError)) throw error;
      if (limit === 1)
        throw new IngestError(`Record ${offset} is larger than a record may be: ${error.message}.`, offset);
      limit = Math.ceil(limit / 4);
    }
  }
}

async function readPage(
  client: ChromaClient,
  collection: string,
  range: { limit: number; offset: number },
  known: KnownIds | undefined,
): Promise<{ total: number; records: SourceRecord[] }> {
  if (known === undefined) {
    const page = await client.get(collection, { ...range, include: PARTS });
    return { total: page.ids.length, records: toRecords(page) };
  }
  const { ids } = await client.get(collection, { ...range, include: [] });
  const stored = ids.length === 0 ? new Set<string>() : await known(ids);
  const missing = ids.filter((id) => !stored.has(id));
  if (missing.length === 0) return { total: ids.length, records: [] };
  const page = await client.get(collection, { ids: missing, include: PARTS });
  return { total: ids.length, records: toRecords(page) };
}

function toRecords(page: ServerRecords): SourceRecord[] {
  const { ids, embeddings, documents, metadatas, uris } = page;
  for (const part of [embeddings, documents, metadatas, uris]) {
    if (Array.isArray(part) && part.length !== ids.length) {
      throw new IngestError(
        `The Chroma server sent ${part.length} parts for ${ids.length} ids; nothing of them is used.`,
      );
    }
  }
  return ids.map((id, index) => ({
    id,
    vector: embeddings?.[index] ?? null,
    document: documents?.[index] ?? null,
    metadata: metadatas?.[index] ?? null,
    uri: uris?.[index] ?? null,
  }));
}

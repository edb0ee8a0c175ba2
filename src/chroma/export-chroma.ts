import sql from "sql-template-tag";
import { Database } from "../db/database.js";
import { qualified } from "../db/identifiers.js";
import { ChromaServerError, ConfigurationError, IngestError } from "../errors.js";
import { withCollectionMetric } from "../store/collection-metric.js";
import { openStore, scopeTo, type ScopedStore } from "../store/open.js";
import { integer, resolveOptions, resolvePool, type PostgresVectorStoreArgs } from "../store/options.js";
import { ChromaClient, type ChromaConnection } from "./client.js";
import { spaceOf, type ChromaCollection } from "./collection.js";
import { readRows, type StoredRow } from "./read-rows.js";

/** The store to read, and the Chroma to write to. */
export interface ExportChromaArgs extends PostgresVectorStoreArgs {
  chroma?: ChromaConnection;
  /** Name in Chroma. @defaultValue the store's collection, else its tenant, else its table */
  name?: string;
  /** A collection of that name in Chroma: `"fail"`, or `"replace"` it once everything is there. @defaultValue `"fail"` */
  existing?: "fail" | "replace";
  /** Metadata key that becomes the URI of a record. @defaultValue `"uri"` */
  uriKey?: string;
  /** @defaultValue 500 */
  pageRows?: number;
  onProgress?: (done: number) => void;
  signal?: AbortSignal;
}

export interface ExportedChromaCollection {
  readonly name: string;
  readonly records: number;
}

/**
 * Copies the rows of a store with their vectors into a collection of Chroma: the way back. The collection gets its name
 * when it is complete; before, and after a failure, there is none of that name, or the one that was there.
 *
 * @throws IngestError for a row that Chroma cannot hold; ChromaServerError when the server refuses.
 */
export async function exportChroma(args: ExportChromaArgs): Promise<ExportedChromaCollection> {
  const { chroma, name: given, existing = "fail", uriKey = "uri", pageRows, onProgress, signal, ...storeArgs } = args;
  if (existing !== "fail" && existing !== "replace") {
    throw new ConfigurationError(`existing ${JSON.stringify(existing)} is unknown; use "fail" or "replace".`);
  }
  const rows = integer("pageRows", pageRows, 1, 10_000) ?? 500;
  const options = resolveOptions(storeArgs);
  const client = new ChromaClient({ ...chroma, signal: chroma?.signal ?? signal });
  const { pool, owned } = resolvePool(storeArgs);
  const database = new Database(pool);
  try {
    const open = await openStore(database, options, undefined, { mustExist: true });
    const store = await withCollectionMetric(scopeTo(open, options.tenant()));
    const { tenancy, table } = options.layout;
    const name = given ?? (options.collection || (tenancy === "rls" ? store.tenant : table));
    const target = { name, existing, uriKey, rows, signal };
    const records = await writeCollection(client, store, target, onProgress);
    return { name, records };
  } finally {
    if (owned) await database.end();
  }
}

interface Target {
  readonly name: string;
  readonly existing: "fail" | "replace";
  readonly uriKey: string;
  readonly rows: number;
  readonly signal: AbortSignal | undefined;
}

async function writeCollection(
  client: ChromaClient,
  store: ScopedStore,
  { name, existing, uriKey, rows, signal }: Target,
  onProgress: ((done: number) => void) | undefined,
): Promise<number> {
  const taken = await find(client, name);
  if (taken !== undefined && existing === "fail") {
    throw new ConfigurationError(
      `Chroma has a collection ${JSON.stringify(name)} already; set existing to "replace", or give another name.`,
    );
  }
  const draft = `${name}-export-in-progress`;
  await client.deleteCollection(draft);
  const metadata = { ...(await collectionMetadata(store)), "hnsw:space": spaceOf(store.options.metric) };
  const { id } = await client.createCollection(draft, metadata);
  try {
    const batch = Math.min(rows, await client.maxBatchRows());
    let done = 0;
    for await (const page of readRows(store, batch, signal)) {
      await client.upsert(id, toServerRecords(page, uriKey));
      done += page.length;
      onProgress?.(done);
    }
    const count = await client.count(id);
    if (count !== done) throw new IngestError(`Chroma holds ${count} records after ${done} were sent; try again.`);
    // The old one goes last, so that whatever happens one of the two is there in full.
    if (taken !== undefined) await client.renameCollection(taken.id, `${name}-replaced`);
    await client.renameCollection(id, name);
    if (taken !== undefined) await client.deleteCollection(`${name}-replaced`);
    return done;
  } catch (error) {
    await client.deleteCollection(draft).catch(() => undefined);
    throw error;
  }
}

async function find(client: ChromaClient, name: string): Promise<ChromaCollection | undefined> {
  try {
    return await client.getCollection(name);
  } catch (error) {
    if (error instanceof ChromaServerError && error.status === 404) return undefined;
    throw error;
  }
}

/** The part of it that Chroma can hold. */
async function collectionMetadata(store: ScopedStore): Promise<Record<string, unknown>> {
  const { collectionsTable } = store.options.layout;
  if (collectionsTable === undefined) return {};
  const { rows } = await store.database.execute(
    {
      name: "collection-metadata",
      sql: sql`
        select cmetadata from ${qualified(store.schema, collectionsTable)}
        where tenant_id = ${store.tenant}::text and name = ${store.options.collection}::text`,
    },
    { settings: store.settings },
  );
  const metadata = (rows[0]?.["cmetadata"] ?? {}) as Record<string, unknown>;
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => isScalar(value)));
}

function toServerRecords(page: readonly StoredRow[], uriKey: string): Parameters<ChromaClient["upsert"]>[1] {
  const uris = page.map(({ metadata }) => (typeof metadata[uriKey] === "string" ? metadata[uriKey] : null));
  return {
    ids: page.map(({ id }) => id),
    embeddings: page.map(({ id, vector }) => vector ?? refuse(id, "has no embedding yet")),
    documents: page.map(({ content }) => content),
    metadatas: page.map((row, index) => toServerMetadata(row, uris[index] === null ? undefined : uriKey)),
    uris,
  };
}

/** Without nulls, which Chroma takes for "no such key", and without the URI. */
function toServerMetadata({ id, metadata }: StoredRow, uriKey: string | undefined): Record<string, unknown> | null {
  const entries = Object.entries(metadata).filter(([key, value]) => value !== null && key !== uriKey);
  for (const [key, value] of entries) {
    if (isScalar(value) || (Array.isArray(value) && value.length > 0 && value.every(isScalar))) continue;
    refuse(
      id,
      `has metadata that Chroma cannot hold under ${JSON.stringify(key)}: an object, or an empty or nested list`,
    );
  }
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

function isScalar(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function refuse(id: string, reason: string): never {
  throw new IngestError(`The row ${JSON.stringify(id)} ${reason}. Nothing was exported.`);
}

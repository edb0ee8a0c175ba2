import sql, { type Sql } from "sql-template-tag";
import { BytesArrayParameter, TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import { identifier, qualified } from "../../db/identifiers.js";
import { ConfigurationError, DimensionMismatchError, IngestError, UnknownModelError } from "../../errors.js";
import { findTenantRelations } from "../../schema/tenant-relations.js";
import { asEmbedding, vectorsParameter } from "../embedding-column.js";
import { refreshModels, scopeTo, type OpenStore, type ScopedStore } from "../open.js";
import { integer } from "../options.js";
import { sourcesTable } from "../sources/records.js";
import { nextVersion } from "../sources/write.js";
import { checkVector } from "../vectors.js";
import { fence, holdModels, isStale, supplying } from "../versions/fence.js";
import type { LiveVersion } from "../versions/store-models.js";
import { collectionsOf } from "./export.js";
import {
  EXPORT_FORMAT,
  type ExportedChunk,
  type ExportedCollection,
  type ExportedSource,
  type ExportHeader,
  type ExportRecord,
} from "./export-record.js";
import { upsertMessage } from "./messages.js";
import { explainRefusal } from "./refusal.js";
import { createTenant, requireAdministrator } from "./registry.js";

export interface ImportOptions {
  /** Rows of one transaction. @defaultValue 500 */
  batchRows?: number | undefined;
  /** Called after each transaction with the chunks stored so far. */
  onProgress?: ((chunks: number) => void) | undefined;
  /** Stops between two transactions; another call with the same export completes it. */
  signal?: AbortSignal | undefined;
}

/** Stores an export as a tenant's rows; see `TenantAdmin.import`. */
export async function importTenant(
  open: OpenStore,
  tenant: string,
  source: AsyncIterable<ExportRecord> | Iterable<ExportRecord>,
  options: ImportOptions,
): Promise<number> {
  const batchRows = integer("batchRows", options.batchRows, 1, 100_000) ?? 500;
  let store = scopeTo(open, tenant);
  let version: LiveVersion | undefined;
  options.signal?.throwIfAborted();
  const relations = await open.database.connection(async (session) => {
    await requireAdministrator(session, open);
    return findTenantRelations(session, open.schema, open.options.layout.table);
  });
  const collections = collectionsOf(relations);
  let headed = false;
  let ended = false;
  let stored = 0;
  let batch: ExportedChunk[] = [];
  /** Writes as the tenant does, so that a suspended tenant, or one being deleted, gets no rows. */
  const write = async (work: (session: Session) => Promise<void>): Promise<void> => {
    for (;;) {
      try {
        const columns = version === undefined ? [] : [version.column];
        return await store.database.transaction(supplying(store.settings, columns), work);
      } catch (error) {
        if (!isStale(error)) throw await explainRefusal(store, error);
        store = scopeTo(await refreshModels(store), tenant);
        version = versionOf(store, header!);
      }
    }
  };
  let header: ExportHeader | undefined;
  const flush = async (): Promise<void> => {
    options.signal?.throwIfAborted();
    const chunks = batch;
    batch = [];
    await write(async (session) => {
      await holdModels(session, store);
      await upsertChunks(store, session, chunks, version!);
    });
    store.memory.noteRows(store.tenant, chunks.length);
    store.keeper.noteRows(store, chunks.length);
    store.database.activity.countChunks("written", chunks.length);
    stored += chunks.length;
    options.onProgress?.(stored);
  };
  for await (const record of source) {
    if (ended) throw new IngestError("The export has records behind its end record; it holds more than one export.");
    if (!headed) {
      checkHeader(record);
      header = record;
      version = versionOf(store, record);
      await open.database.transaction({}, (session) => createTenant(session, open, tenant));
      headed = true;
    } else if (record.type === "collection") {
      await write((session) => upsertCollection(store, session, collections, record));
    } else if (record.type === "source") {
      if (batch.length > 0) await flush();
      await write((session) => upsertSource(store, session, record));
    } else if (record.type === "message") {
      await write((session) => upsertMessage(store, session, record));
    } else if (record.type === "chunk") {
      checkChunk(open, version!, record, stored + batch.length);
      batch.push(record);
      if (batch.length >= batchRows) await flush();
    } else if (record.type === "end") {
      if (batch.length > 0) await flush();
      if (record.chunks !== stored) throw incomplete(stored, `its last record says ${record.chunks}`);
      ended = true;
    } else {
      throw new IngestError("The export has a second header; it holds more than one export.");
    }
  }
  if (!ended) throw incomplete(stored + batch.length, "it has no end record");
  return stored;
}

/** @throws IngestError unless it is the beginning of an export. */
function checkHeader(record: ExportRecord): asserts record is ExportHeader {
  if (record.type !== "header" || record.format !== EXPORT_FORMAT) {
    throw new IngestError(`This is no export of a tenant: it does not begin with a header of format ${EXPORT_FORMAT}.`);
  }
}

/**
 * The version whose vectors an export holds, the one that is searched before others.
 *
 * @throws UnknownModelError, DimensionMismatchError unless the store has it.
 */
function versionOf(store: OpenStore, { model }: ExportHeader): LiveVersion {
  const ours = store.models.live.find(({ version }) => version === store.model.version)!;
  const others = store.models.live.filter((version) => version !== ours && version.model !== undefined);
  const found = [ours, ...others].find(
    (version) => version.dimensions === model.dimensions && isSameIdentity(version, model),
  );
  if (found !== undefined) return found;
  if (model.dimensions !== ours.dimensions) {
    throw new DimensionMismatchError(
      `The export holds vectors of ${model.dimensions} dimensions, the store ${JSON.stringify(store.options.layout.table)} ` +
        `has ${ours.dimensions}. Import it into a store of the same model.`,
      ours.dimensions,
      model.dimensions,
    );
  }
  const theirs = identity(model.provider, model.model);
  const own = identity(ours.provider ?? null, ours.model ?? null);
  throw new UnknownModelError(
    `The export's vectors are of ${theirs.label}, those of the store of ${own.label}. Vectors of two models must not ` +
      "be compared: import it into a store of its own model, or embed the documents again.",
  );
}

function isSameIdentity(ours: LiveVersion, model: ExportHeader["model"]): boolean {
  if (model.model === null || ours.model === undefined) return (model.provider ?? "") === (ours.provider ?? "");
  return model.model === ours.model;
}

function identity(provider: string | null, model: string | null): { label: string } {
  const name = model === null ? "a model without a name" : `the model ${JSON.stringify(model)}`;
  return { label: provider === null ? name : `${name} (${provider})` };
}

function checkChunk(store: OpenStore, version: LiveVersion, chunk: ExportedChunk, index: number): void {
  if (chunk.embedding === null) return;
  const label = (): string => `The embedding of chunk ${index} (id ${JSON.stringify(chunk.id)})`;
  checkVector(chunk.embedding, version, store.options.metric, label);
}

function incomplete(chunks: number, reason: string): IngestError {
  return new IngestError(
    `The export was cut off: ${chunks} chunks came and ${reason}. What came is stored; import the whole export again.`,
  );
}

async function upsertCollection(
  store: ScopedStore,
  session: Session,
  table: string | undefined,
  { name, uuid, metadata }: ExportedCollection,
): Promise<void> {
  if (table === undefined) {
    throw new ConfigurationError(
      `The export has the collection ${JSON.stringify(name)} and the store has no collections; set \`collectionName\`.`,
    );
  }
  await session.execute({
    name: "import-collection",
    sql: sql`
      insert into ${qualified(store.schema, table)} (tenant_id, name, uuid, cmetadata)
      values (${store.tenant}::text, ${name}::text, ${uuid}::uuid, ${metadata}::jsonb)
      on conflict (tenant_id, name) do update set uuid = excluded.uuid, cmetadata = excluded.cmetadata`,
  });
}

/** A source of the same name that is there is overwritten, as chunks of the same id are. */
async function upsertSource(store: ScopedStore, session: Session, record: ExportedSource): Promise<void> {
  const version = nextVersion(undefined);
  await session.execute({
    name: "import-source",
    sql: sql`
      insert into ${sourcesTable(store)} (tenant_id, collection, source, version, content_hash, settings, chunk_ids)
      values (${store.tenant}::text, ${record.collection}::text, ${record.source}::text, ${version}::int8,
        decode(${record.hash}::text, 'hex'), ${record.settings}::text, ${new TextArrayParameter(record.chunkIds)}::text[])
      on conflict (tenant_id, collection, source) do update set version = excluded.version,
        content_hash = excluded.content_hash, settings = excluded.settings, chunk_ids = excluded.chunk_ids`,
  });
}

/** Stores chunks in the order of their keys, those without a vector apart: a binary array has no place for null. */
async function upsertChunks(
  store: ScopedStore,
  session: Session,
  chunks: readonly ExportedChunk[],
  version: LiveVersion,
): Promise<void> {
  const embedded = chunks.filter((chunk) => chunk.embedding !== null);
  const waiting = chunks.filter((chunk) => chunk.embedding === null);
  const vectors = embedded.map((chunk) => chunk.embedding!);
  if (embedded.length > 0) {
    await upsertRows(store, session, embedded, version, vectorsParameter(store, vectors, version));
  }
  if (waiting.length > 0) {
    const nothing = sql`array_fill(${asEmbedding(store, sql`null`, version)}, array[${waiting.length}::int4])`;
    await upsertRows(store, session, waiting, version, nothing);
  }
}

async function upsertRows(
  store: ScopedStore,
  session: Session,
  chunks: readonly ExportedChunk[],
  version: LiveVersion,
  vectors: Sql,
): Promise<void> {
  const { id, content, metadata } = store.columns;
  const embedding = identifier(version.column);
  const texts = (pick: (chunk: ExportedChunk) => string): TextArrayParameter =>
    new TextArrayParameter(chunks.map(pick));
  await session.execute({
    name: "import-chunks",
    sql: sql`
      insert into ${store.table} (tenant_id, collection, ${id}, ${content}, ${metadata}, content_hash, created_at, ${embedding})
      select ${store.tenant}::text, row.collection, row.id, row.content, row.metadata::jsonb, row.hash,
        row.created_at::timestamptz, ${asEmbedding(store, sql`row.vector`, version)}
      from unnest(
        ${texts((chunk) => chunk.collection)}::text[],
        ${texts((chunk) => chunk.id)}::text[],
        ${texts((chunk) => chunk.content)}::text[],
        ${texts((chunk) => chunk.metadata)}::text[],
        ${new BytesArrayParameter(chunks.map((chunk) => chunk.contentHash))}::bytea[],
        ${texts((chunk) => chunk.createdAt)}::text[],
        ${vectors}
      ) as row (collection, id, content, metadata, hash, created_at, vector)
      where ${fence(store)}
      order by row.collection, row.id
      on conflict (tenant_id, collection, ${id}) do update set
        ${content} = excluded.${content},
        ${metadata} = excluded.${metadata},
        content_hash = excluded.content_hash,
        created_at = excluded.created_at,
        ${embedding} = excluded.${embedding}`,
  });
}

import sql, { empty, type Sql } from "sql-template-tag";
import { isSparse } from "../../db/sparse-vector.js";
import { qualified } from "../../db/identifiers.js";
import { administrationSettings } from "../../db/tenant-scope.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { findTenantRelations, type SecuredRelation } from "../../schema/tenant-relations.js";
import { sourceTables } from "../../schema/layout.js";
import { embeddingAsText, readEmbedding } from "../embedding-column.js";
import { UnknownModelError } from "../../errors.js";
import { readingVersion, refreshModels, scopeTo, type OpenStore } from "../open.js";
import { integer } from "../options.js";
import { EXPORT_FORMAT, type ExportedChunk, type ExportRecord } from "./export-record.js";
import { exportMessages } from "./messages.js";
import { fence, isStale } from "../versions/fence.js";
import { requireAdministrator, stateOf, unknownTenant } from "./registry.js";

export interface ExportOptions {
  /** Rows read at a time, and held in memory. @defaultValue 500 */
  pageRows?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Reads a tenant's rows in the order of their keys; see `TenantAdmin.export`. */
export async function* exportTenant(
  open: () => Promise<OpenStore>,
  tenant: string,
  options: ExportOptions,
): AsyncGenerator<ExportRecord, void> {
  const pageRows = integer("pageRows", options.pageRows, 1, 100_000) ?? 500;
  options.signal?.throwIfAborted();
  const store = await open();
  const { model, options: resolved } = store;
  const relations = await store.database.connection(async (session) => {
    await requireAdministrator(session, store);
    if ((await stateOf(session, store, tenant)) === undefined) throw unknownTenant(store, tenant);
    return findTenantRelations(session, store.schema, resolved.layout.table);
  });
  yield {
    type: "header",
    format: EXPORT_FORMAT,
    tenantId: tenant,
    store: resolved.layout.table,
    model: {
      provider: model.provider ?? null,
      model: model.model ?? null,
      dimensions: model.dimensions,
      metric: model.metric,
      storageType: model.storageType,
    },
  };
  yield* exportCollections(store, collectionsOf(relations), tenant, options.signal);
  yield* exportMessages(store, tenant, pageRows, options.signal);
  let chunks = 0;
  for await (const chunk of exportChunks(store, tenant, pageRows, options.signal)) {
    chunks += 1;
    yield chunk;
  }
  // Behind the chunks, so that an import that is cut off has no source whose chunks are missing.
  yield* exportSources(store, tenant, pageRows, options.signal);
  yield { type: "end", chunks };
}

/** The table of collections among a store's tables, whatever its name. */
export function collectionsOf(relations: readonly SecuredRelation[]): string | undefined {
  return relations.find(({ columns }) => columns.includes("cmetadata"))?.name;
}

async function* exportCollections(
  store: OpenStore,
  table: string | undefined,
  tenant: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExportRecord> {
  if (table === undefined) return;
  const { rows } = await store.database.execute(
    {
      name: "export-collections",
      sql: sql`
        select name, uuid::text as uuid, cmetadata::text as metadata from ${qualified(store.schema, table)}
        where tenant_id = ${tenant}::text order by name`,
    },
    { settings: administrationSettings(tenant), signal },
  );
  for (const row of rows as { name: string; uuid: string; metadata: string | null }[]) {
    yield { type: "collection", ...row };
  }
}

async function* exportSources(
  store: OpenStore,
  tenant: string,
  pageRows: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExportRecord> {
  let last: SourceRow | undefined;
  for (;;) {
    const behind =
      last === undefined ? empty : sql`and (collection, source) > (${last.collection}::text, ${last.source}::text)`;
    const { rows } = await store.database.execute(
      {
        name: "export-sources",
        sql: sql`
          select collection, source, encode(content_hash, 'hex') as hash, settings, chunk_ids as "chunkIds"
          from ${qualified(store.schema, sourceTables(store.options.layout)[0])}
          where tenant_id = ${tenant}::text ${behind} order by collection, source limit ${pageRows}::int8`,
      },
      { settings: administrationSettings(tenant), signal },
    );
    for (const row of rows as unknown as SourceRow[]) yield { type: "source", ...row };
    last = rows.at(-1) as SourceRow | undefined;
    if (rows.length < pageRows) return;
  }
}

interface SourceRow {
  collection: string;
  source: string;
  hash: string | null;
  settings: string;
  chunkIds: string[];
}

async function* exportChunks(
  store: OpenStore,
  tenant: string,
  pageRows: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExportedChunk> {
  let last: ChunkRow | undefined;
  let current = store;
  for (;;) {
    const page = { name: "export-chunks", sql: pageSql(current, tenant, pageRows, last) };
    let rows: ChunkRow[];
    try {
      const reply = await store.database.execute(page, { settings: administrationSettings(tenant), signal });
      rows = reply.rows as unknown as ChunkRow[];
    } catch (error) {
      // The column of a version goes when it is retired.
      if (!isStale(error) && sqlstateOf(error) !== SQLSTATE.undefinedColumn) throw error;
      const changed = await refreshModels(current);
      if (changed.models.epoch === current.models.epoch) throw error;
      current = sameVersion(changed, current);
      continue;
    }
    for (const row of rows) yield toChunk(row, store);
    last = rows.at(-1);
    if (rows.length < pageRows) return;
  }
}

/** The store after a change of its models, on the version whose vectors the export began with. */
function sameVersion(changed: OpenStore, { model: { version, fingerprint } }: OpenStore): OpenStore {
  const same = changed.models.live.find((live) => live.version === version && live.fingerprint === fingerprint);
  if (same === undefined) {
    throw new UnknownModelError(
      `The model version ${version} of the table ${JSON.stringify(changed.options.layout.table)}, whose vectors this export ` +
        "holds, was retired while it ran; begin a new export.",
    );
  }
  return readingVersion(changed, same);
}

function pageSql(store: OpenStore, tenant: string, pageRows: number, last: ChunkRow | undefined): Sql {
  const { id, content, metadata } = store.columns;
  const behind =
    last === undefined ? empty : sql`and (collection, ${id}) > (${last.collection}::text, ${last.id}::text)`;
  return sql`
    select collection, ${id} as id, ${content} as content, ${metadata}::text as metadata,
      encode(content_hash, 'base64') as hash,
      to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
      ${embeddingAsText(scopeTo(store, tenant))} as embedding
    from ${store.table} where tenant_id = ${tenant}::text and ${fence(store)} ${behind}
    order by collection, ${id} limit ${pageRows}::int8`;
}

interface ChunkRow {
  collection: string;
  id: string;
  content: string;
  metadata: string;
  hash: string;
  created_at: string;
  embedding: string | null;
}

function toChunk(row: ChunkRow, { model }: OpenStore): ExportedChunk {
  const vector = row.embedding === null ? null : readEmbedding(row.embedding, model);
  return {
    type: "chunk",
    collection: row.collection,
    id: row.id,
    content: row.content,
    metadata: row.metadata,
    contentHash: new Uint8Array(Buffer.from(row.hash, "base64")),
    createdAt: row.created_at,
    embedding: vector === null || isSparse(vector) ? vector : Float32Array.from(vector),
  };
}

import { randomInt } from "node:crypto";
import type { DocumentInterface } from "@langchain/core/documents";
import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Session } from "../../db/database.js";
import type { VectorInput } from "../../db/sparse-vector.js";
import { encryptRows } from "../content-cipher.js";
import { scope, type ScopedStore } from "../open.js";
import { toChunkRows } from "../rows.js";
import { explainRefusal } from "../tenants/refusal.js";
import { mergedMetadata, registerTenant, writeChunks, type EmbeddedRow } from "../upsert.js";
import { holdModels, supplying } from "../versions/fence.js";
import type { LiveVersion } from "../versions/store-models.js";
import { vectorsFor } from "../versions/vectors-for.js";
import { sourceScope, sourcesTable } from "./records.js";

/** What a source is to become. */
export interface SourceChange {
  readonly source: string;
  /** The version that the change starts from; `undefined` when the source must not be there. */
  readonly expected: string | undefined;
  /** SHA-256 of its bytes in hexadecimal; `undefined` while it is being written. */
  readonly hash: string | undefined;
  readonly settings: string;
  readonly chunkIds: readonly string[];
}

export interface EmbeddedChunk {
  /** With an id. */
  readonly document: DocumentInterface;
  readonly vector: VectorInput;
  /** The model version that the vector is of, the same for all; of the store's own embedder without it. */
  readonly modelVersion?: number | undefined;
}

/** Everything that changes with some sources, in one transaction. */
export interface SourceCommit {
  readonly sources: readonly SourceChange[];
  /** Chunks that are not there yet. */
  readonly added: readonly EmbeddedChunk[];
  /** Chunks that are there and stay, with their ids; only metadata that has changed is written. */
  readonly kept: readonly DocumentInterface[];
  /** Ids of chunks that go. */
  readonly gone: readonly string[];
}

/** Thrown within a transaction to roll it back; never leaves this file. */
class Outrun extends Error {}

/**
 * Writes sources and their chunks in one transaction, if nobody has changed those sources since they were read. The
 * sources' rows are locked first, in the order of their names, so that two writers of the same wait for each other.
 *
 * @returns the sources' new versions by name; `undefined` when nothing was written, as one has another version now.
 * @throws TenantIsolationError when the tenant is suspended or being deleted.
 */
export async function commitSources(
  store: ScopedStore,
  commit: SourceCommit,
): Promise<ReadonlyMap<string, string> | undefined> {
  const written = await toRows(store, commit.added);
  const versions = new Map(commit.sources.map(({ source, expected }) => [source, nextVersion(expected)]));
  let deleted = 0;
  const done = await attempt(store, written, commit.gone.length, async (session) => {
    await writeSources(store, session, commit.sources, versions);
    if (written.rows.length > 0) await writeChunks(store, session, written.rows, written.versions);
    await updateMetadata(store, session, commit.kept);
    deleted = await deleteChunks(store, session, commit.gone);
  });
  if (!done) return undefined;
  store.database.activity.countChunks("deleted", deleted);
  store.database.activity.countChunks("skipped", commit.kept.length);
  return versions;
}

/**
 * Writes some chunks of a source that is being written: of those that its row lists already.
 *
 * @returns whether it was written; `false` when the source has another version now.
 */
export async function appendChunks(
  store: ScopedStore,
  { source, version }: { readonly source: string; readonly version: string },
  added: readonly EmbeddedChunk[],
): Promise<boolean> {
  const written = await toRows(store, added);
  return attempt(store, written, 0, async (session) => {
    const held = await session.execute({
      name: "hold-source",
      sql: sql`
        select from ${sourcesTable(store)}
        where ${sourceScope(store)} and source = ${source}::text and version = ${version}::int8 for update`,
    });
    if (held.rows.length === 0) throw new Outrun();
    await writeChunks(store, session, written.rows, written.versions);
  });
}

/**
 * Deletes a source and its chunks in one transaction.
 *
 * @returns how many chunks; `undefined` when the source has another version now.
 */
export async function removeSource(
  store: ScopedStore,
  { source, version }: { readonly source: string; readonly version: string },
): Promise<number | undefined> {
  let removed = 0;
  const done = await attempt(store, { rows: [], versions: [] }, 1, async (session) => {
    const { rows } = await session.execute({
      name: "delete-source",
      sql: sql`
        delete from ${sourcesTable(store)}
        where ${sourceScope(store)} and source = ${source}::text and version = ${version}::int8
        returning chunk_ids as ids`,
    });
    if (rows.length === 0) throw new Outrun();
    removed = await deleteChunks(store, session, (rows[0] as { ids: string[] }).ids);
  });
  if (!done) return undefined;
  store.database.activity.countChunks("deleted", removed);
  return removed;
}

/** The version that a change gives to its source. A new source begins at a number of its own. */
export function nextVersion(expected: string | undefined): string {
  return expected === undefined ? String(randomInt(1, 2 ** 47)) : String(BigInt(expected) + 1n);
}

/** Rows with their vectors, sorted by id, and the versions that these are of. */
interface WrittenRows {
  readonly rows: readonly EmbeddedRow[];
  readonly versions: readonly LiveVersion[];
}

async function attempt(
  store: ScopedStore,
  { rows, versions }: WrittenRows,
  gone: number,
  work: (session: Session) => Promise<void>,
): Promise<boolean> {
  const columns = versions.map(({ column }) => column);
  try {
    await store.database.transaction(supplying(store.settings, columns), async (session) => {
      await holdModels(session, store);
      await work(session);
    });
  } catch (error) {
    if (error instanceof Outrun) return false;
    throw await explainRefusal(store, error);
  }
  store.memory.noteRows(store.tenant, rows.length + gone);
  store.keeper.noteRows(store, rows.length + gone);
  store.database.activity.countChunks("written", rows.length);
  return true;
}

/** Makes the vectors that are missing, checks all of them and encrypts contents, before any transaction. */
async function toRows(store: ScopedStore, added: readonly EmbeddedChunk[]): Promise<WrittenRows> {
  if (added.length === 0) return { rows: [], versions: [] };
  const rows = toChunkRows(added.map(({ document }) => document));
  const given = added.map(({ vector }) => vector);
  const supplied = await vectorsFor(store, rows, given, added[0]!.modelVersion);
  const embedded = rows.map((row, index) => ({ ...row, vectors: supplied.map(({ vectors }) => vectors[index]!) }));
  const encrypted = await encryptRows(store.options.contentCipher, store.tenant, embedded);
  return {
    rows: encrypted.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    versions: supplied.map(({ version }) => version),
  };
}

async function writeSources(
  store: ScopedStore,
  session: Session,
  changes: readonly SourceChange[],
  versions: ReadonlyMap<string, string>,
): Promise<void> {
  if (changes.length === 0) return;
  const sorted = changes.toSorted((a, b) => (a.source < b.source ? -1 : 1));
  const texts = (pick: (change: SourceChange) => string): TextArrayParameter =>
    new TextArrayParameter(sorted.map(pick));
  // A version counts up by one from the one expected, so a source that moved on does not match, nor one made anew.
  const { rowCount } = await session.execute({
    name: "write-sources",
    sql: sql`
      ${registerTenant(store)}
      insert into ${sourcesTable(store)} as s
        (tenant_id, collection, source, version, content_hash, settings, chunk_ids)
      select ${store.tenant}::text, ${store.options.collection}::text, row.source, row.version::int8,
        decode(nullif(row.hash, ''), 'hex'), row.settings,
        array(select id from jsonb_array_elements_text(row.ids::jsonb) with ordinality as e (id, n) order by n)
      from unnest(
        ${texts((change) => change.source)}::text[],
        ${texts((change) => versions.get(change.source)!)}::text[],
        ${texts((change) => change.hash ?? "")}::text[],
        ${texts((change) => change.settings)}::text[],
        ${texts((change) => JSON.stringify(change.chunkIds))}::text[]
      ) with ordinality as row (source, version, hash, settings, ids, n)
      order by row.n
      on conflict (tenant_id, collection, source) do update set
        version = excluded.version, content_hash = excluded.content_hash, settings = excluded.settings,
        chunk_ids = excluded.chunk_ids, updated_at = now()
      where s.version = excluded.version - 1`,
  });
  if (rowCount !== changes.length) throw new Outrun();
}

async function updateMetadata(store: ScopedStore, session: Session, kept: readonly DocumentInterface[]): Promise<void> {
  if (kept.length === 0) return;
  const rows = toChunkRows(kept).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const { id, metadata } = store.columns;
  const merged = mergedMetadata(store, sql`c.${metadata}`, sql`row.metadata`);
  await session.execute({
    name: "move-chunks",
    sql: sql`
      update ${store.table} c set ${metadata} = ${merged}
      from (
        select id, metadata::jsonb as metadata from unnest(
          ${new TextArrayParameter(rows.map((row) => row.id))}::text[],
          ${new TextArrayParameter(rows.map((row) => row.metadata))}::text[]
        ) as given (id, metadata)
      ) as row
      where c.tenant_id = ${store.tenant}::text and c.collection = ${store.options.collection}::text and c.${id} = row.id
        and c.${metadata} is distinct from ${merged}`,
  });
}

async function deleteChunks(store: ScopedStore, session: Session, ids: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0;
  const { rowCount } = await session.execute({
    name: "delete-chunks",
    sql: sql`
      delete from ${store.table}
      where ${scope(store)} and ${store.columns.id} = any(${new TextArrayParameter(ids)}::text[])`,
  });
  return rowCount ?? 0;
}

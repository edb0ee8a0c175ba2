import sql, { join, raw, type Sql } from "sql-template-tag";
import { CopyEncoder } from "../../db/copy-encoder.js";
import type { Session } from "../../db/database.js";
import { identifier, quoteQualified } from "../../db/identifiers.js";
import type { Slab } from "../../db/vector-slab.js";
import { SUPPLIED_SETTING } from "../../schema/vector-trigger.js";
import { ensureCollection } from "../collections.js";
import type { ScopedStore } from "../open.js";
import { registerTenant, upsertSql, writeChunks, type WrittenColumn } from "../upsert.js";
import { fence, holdModels } from "../versions/fence.js";
import type { LiveVersion } from "../versions/store-models.js";
import type { Batch, BatchRow } from "./batch.js";
import type { BulkLoadResult } from "./options.js";

/** A way of writing rows of a batch within a transaction. */
export interface RowWriter {
  readonly path: BulkLoadResult["path"];
  /** What goes on beside other writers: no row of the table is touched or locked. */
  stage?(session: Session, batch: Batch, rows: readonly BatchRow[]): Promise<void>;
  store(session: Session, batch: Batch, rows: readonly BatchRow[]): Promise<void>;
  /** The same way for the same batches in another epoch of the store's models. */
  renew(store: ScopedStore): RowWriter;
}

/** Of the versions that batches have slabs for, those that are still written to. */
function written(store: ScopedStore, versions: readonly LiveVersion[]) {
  const live = new Set(store.models.live.map(({ version }) => version));
  const places = versions.flatMap((version, index) => (live.has(version.version) ? [{ version, index }] : []));
  return {
    versions: places.map(({ version }) => version),
    columns: places.map(({ version }) => identifier(version.column)),
    slabsOf: (batch: Batch): Slab[] => places.map(({ index }) => batch.slabs[index]!),
    /** Whether each column comes with a vector for every row. */
    complete: (batch: Batch, rows: readonly BatchRow[]): WrittenColumn[] =>
      places.map(({ version, index }) => ({
        column: version.column,
        complete: rows.every(({ slot }) => batch.slabs[index]!.has(slot)),
      })),
  };
}

/** Says which vectors come with the contents of this transaction. */
async function supply(session: Session, columns: readonly WrittenColumn[]): Promise<void> {
  const supplied = columns.filter(({ complete }) => complete).map(({ column }) => column);
  await session.execute({
    name: "bulk-supply",
    sql: sql`select set_config(${SUPPLIED_SETTING}::text, ${JSON.stringify(supplied)}::text, true)`,
  });
}

/** COPY into the table itself. Where an id is there already, Postgres refuses the batch with a unique violation. */
export function directWriter(store: ScopedStore, versions: readonly LiveVersion[]): RowWriter {
  const { columns, slabsOf } = written(store, versions);
  const encoder = new CopyEncoder([store.tenant, store.options.collection], columns.length);
  const { id, content, metadata } = store.columns;
  const copy = sql`
    copy ${store.table} (tenant_id, collection, ${id}, ${content}, ${metadata}, content_hash, ${join(columns)})
    from stdin with (format binary)`;
  return {
    path: "copy",
    async store(session, batch, rows) {
      await holdModels(session, store);
      // COPY has no condition; what is checked under the lock holds until the transaction ends.
      await session.execute({ name: "bulk-fence", sql: sql`select ${fence(store)}` });
      await ensureCollection(store, session);
      await session.copyIn!({ name: "bulk-copy", sql: copy }, encoder.source(rows, slabsOf(batch), batch.buffers));
    },
    renew: (current) => directWriter(current, versions),
  };
}

const STAGING = raw("pg_temp.langchain_pgvector_staging");
/** Tuples up to the size of a page stay in one piece: the staged rows are read once, and soon. */
const STAGING_OPTIONS = raw("(toast_tuple_target = 8160)");

/** COPY into a temporary table, which row-level security leaves alone, then an upsert under the policies. */
export function stagingWriter(store: ScopedStore, versions: readonly LiveVersion[]): RowWriter {
  const { versions: live, slabsOf, complete } = written(store, versions);
  const encoder = new CopyEncoder([], live.length);
  const names = live.map((_, index) => raw(`vector_${index}`));
  const typed = live.map(
    ({ storageType }, index) => sql`${names[index]!} ${raw(quoteQualified(store.server.vector.schema, storageType))}`,
  );
  const create = sql`
    create temporary table langchain_pgvector_staging
      (id text, content text, metadata jsonb, content_hash bytea, ${join(typed)})
    with ${STAGING_OPTIONS} on commit drop`;
  const rowsOf: Sql = sql`
    select ${store.tenant}::text, ${store.options.collection}::text, id, content, metadata, content_hash, ${join(names)}
    from ${STAGING} where ${fence(store)}`;
  return {
    path: "staging",
    async stage(session, batch, rows) {
      await session.execute({ name: "create-staging", sql: create });
      const copy = { name: "bulk-stage", sql: sql`copy ${STAGING} from stdin with (format binary)` };
      await session.copyIn!(copy, encoder.source(rows, slabsOf(batch), batch.buffers));
    },
    async store(session, batch, rows) {
      const columns = complete(batch, rows);
      await holdModels(session, store);
      await supply(session, columns);
      await ensureCollection(store, session);
      await session.execute({ name: "bulk-upsert", sql: upsertSql(store, registerTenant(store), rowsOf, columns) });
    },
    renew: (current) => stagingWriter(current, versions),
  };
}

/** Binary arrays, as in `addVectors`: needs neither COPY nor temporary tables. The slabs must hold float32 or sparse vectors. */
export function arrayWriter(store: ScopedStore, versions: readonly LiveVersion[]): RowWriter {
  const { versions: live, slabsOf, complete } = written(store, versions);
  return {
    path: "arrays",
    async store(session, batch, rows) {
      const columns = complete(batch, rows);
      await holdModels(session, store);
      await supply(session, columns);
      // An array has no place for a row without its vector; such a column is left to the backfill.
      const supplied = live.filter((_, index) => columns[index]!.complete);
      const slabs = slabsOf(batch).filter((_, index) => columns[index]!.complete);
      const embedded = rows.map((row) => ({ ...row, vectors: slabs.map((slab) => slab.get(row.slot)) }));
      await writeChunks(store, session, embedded, supplied);
    },
    renew: (current) => arrayWriter(current, versions),
  };
}

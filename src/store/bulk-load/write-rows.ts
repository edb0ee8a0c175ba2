import sql, { raw, type Sql } from "sql-template-tag";
import { CopyEncoder } from "../../db/copy-encoder.js";
import type { Session } from "../../db/database.js";
import { quoteQualified } from "../../db/identifiers.js";
import { ensureCollection } from "../collections.js";
import type { ScopedStore } from "../open.js";
import { registerTenant, upsertSql, writeChunks } from "../upsert.js";
import type { Batch, BatchRow } from "./batch.js";
import type { BulkLoadResult } from "./options.js";

/** A way of writing rows of a batch within a transaction. */
export interface RowWriter {
  readonly path: BulkLoadResult["path"];
  /** What goes on beside other writers: no row of the table is touched or locked. */
  stage?(session: Session, batch: Batch, rows: readonly BatchRow[]): Promise<void>;
  store(session: Session, batch: Batch, rows: readonly BatchRow[]): Promise<void>;
}

/** COPY into the table itself. Where an id is there already, Postgres refuses the batch with a unique violation. */
export function directWriter(store: ScopedStore): RowWriter {
  const encoder = new CopyEncoder([store.tenant, store.options.collection]);
  const { id, content, metadata, embedding } = store.columns;
  const copy = sql`
    copy ${store.table} (tenant_id, collection, ${id}, ${content}, ${metadata}, content_hash, ${embedding})
    from stdin with (format binary)`;
  return {
    path: "copy",
    async store(session, batch, rows) {
      await ensureCollection(store, session);
      await session.copyIn!({ name: "bulk-copy", sql: copy }, encoder.source(rows, batch.slab, batch.buffers));
    },
  };
}

const STAGING = raw("pg_temp.langchain_pgvector_staging");
/** Tuples up to the size of a page stay in one piece: the staged rows are read once, and soon. */
const STAGING_OPTIONS = raw("(toast_tuple_target = 8160)");

/** COPY into a temporary table, which row-level security leaves alone, then an upsert under the policies. */
export function stagingWriter(store: ScopedStore): RowWriter {
  const encoder = new CopyEncoder([]);
  const type = raw(quoteQualified(store.server.vector.schema, store.model.storageType));
  const create = sql`
    create temporary table langchain_pgvector_staging
      (id text, content text, metadata jsonb, content_hash bytea, embedding ${type})
    with ${STAGING_OPTIONS} on commit drop`;
  const rowsOf: Sql = sql`
    select ${store.tenant}::text, ${store.options.collection}::text, id, content, metadata, content_hash, embedding
    from ${STAGING}`;
  return {
    path: "staging",
    async stage(session, batch, rows) {
      await session.execute({ name: "create-staging", sql: create });
      const copy = { name: "bulk-stage", sql: sql`copy ${STAGING} from stdin with (format binary)` };
      await session.copyIn!(copy, encoder.source(rows, batch.slab, batch.buffers));
    },
    async store(session) {
      await ensureCollection(store, session);
      await session.execute({ name: "bulk-upsert", sql: upsertSql(store, registerTenant(store), rowsOf) });
    },
  };
}

/** Binary arrays, as in `addVectors`: needs neither COPY nor temporary tables. The slab must hold float32. */
export function arrayWriter(store: ScopedStore): RowWriter {
  return {
    path: "arrays",
    async store(session, batch, rows) {
      const embedded = rows.map((row) => ({ ...row, vector: batch.slab.get(row.slot) }));
      await writeChunks(store, session, embedded);
    },
  };
}

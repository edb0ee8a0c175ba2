import sql, { raw } from "sql-template-tag";
import { TextArrayParameter } from "../db/codec.js";
import { identifier, qualified, quoteIdentifier, quoteQualified } from "../db/identifiers.js";
import { ConfigurationError, CutoverBlockedError } from "../errors.js";
import { applySteps } from "../schema/apply.js";
import { backfillTables, MODELS_TABLE, sourceTables } from "../schema/layout.js";
import type { OpenStore, ScopedStore } from "../store/open.js";
import type { StoreHandle } from "../store/store-handle.js";
import { findVacuumable, vacuumRelations } from "../store/vacuum.js";
import { findHeldSnapshot } from "./backfill/pacer.js";
import { strideBatches, type WaitingRow } from "./backfill/stride.js";
import { pause } from "../db/pause.js";
import { activeVersion, endEpochSql, guardColumnsSql, lockModelsSql, setStateSql } from "./model-registry.js";
import { processesWithout } from "./processes.js";
import { tenantRows, tenantScopes } from "./tenant-scopes.js";

export interface RetireOptions {
  version: number;
  /** Writes the table and its indexes again, which gives the space back to the system; everything waits meanwhile. */
  rewrite?: boolean | undefined;
  /** Takes it away although processes have no other embedder that is read. */
  force?: boolean | undefined;
  /** Most rows of one transaction. @defaultValue 500 */
  batchRows?: number | undefined;
  onProgress?: ((progress: { readonly phase: string; readonly rows: number }) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** What taking a version away would do. */
export interface RetirePlan {
  readonly version: number;
  readonly column: string;
  readonly rows: number;
  /** Of the table, with its indexes. */
  readonly bytes: number;
  /** Indexes that go. */
  readonly indexes: readonly string[];
  readonly objections: readonly string[];
  /** With `rewrite`: how long everything waits, estimated, and for what lock. */
  readonly rewriteSeconds: number | undefined;
  readonly steps: readonly string[];
}

export interface Retired extends Omit<RetirePlan, "objections" | "rewriteSeconds" | "steps"> {
  readonly bytesAfter: number;
  readonly freedRows: number;
}

/** Bytes a second that a rewrite of a table gets through, and its vector indexes; both on two cores. */
const REWRITE_BYTES_PER_SECOND = 60 * 2 ** 20;
const INDEX_ROWS_PER_SECOND = 1_500;
const PAGE_OF_KEYS = 20_000;

/** What is in the way, and what would be done. Reads only. */
export async function planRetire(store: OpenStore, options: RetireOptions): Promise<RetirePlan> {
  const stored = await readVersion(store, options.version);
  const objections: string[] = [];
  if (stored.state === "active") {
    throw new ConfigurationError(`Version ${options.version} is active; cut over to another first.`);
  }
  const derived = store.models.live.find((live) => live.derivedFrom === options.version && live.state === "building");
  if (derived !== undefined) {
    objections.push(`Version ${derived.version} is being made from its vectors; finish that first.`);
  }
  const lacking = await processesWithout(store, activeVersion(store));
  if (lacking.length > 0 && stored.state !== "dropped") {
    objections.push(
      `${lacking.length} processes lack the embedder of the active version and still need this one: ` +
        `${lacking.map(({ label }) => label).join(", ")}. Deploy them first, or wait until they are gone.`,
    );
  }
  const { bytes, rows } = await sizeOf(store);
  const indexes = await indexesOn(store, stored.column);
  return {
    version: options.version,
    column: stored.column,
    rows,
    bytes,
    indexes,
    objections,
    rewriteSeconds: options.rewrite ? bytes / REWRITE_BYTES_PER_SECOND + rows / INDEX_ROWS_PER_SECOND : undefined,
    steps: [
      "stop writing to it, in one short transaction",
      ...indexes.map((name) => `drop index concurrently ${quoteIdentifier(name)}`),
      `set ${quoteIdentifier(stored.column)} to null in batches, then vacuum`,
      `alter table drop column ${quoteIdentifier(stored.column)}`,
      ...(options.rewrite ? ["vacuum full, under an access exclusive lock: reads and writes wait"] : []),
    ],
  };
}

/**
 * Takes a version away: from the first transaction on nobody writes or reads it; then its space is freed bit by bit. A
 * call that was stopped is gone on with by another.
 *
 * @throws CutoverBlockedError while processes depend on it, unless forced.
 */
export async function retireVersion(handle: StoreHandle, options: RetireOptions): Promise<Retired> {
  const { signal, onProgress } = options;
  let store = await handle.open();
  const plan = await planRetire(store, options);
  if (plan.objections.length > 0 && !options.force) {
    throw new CutoverBlockedError(
      `Version ${options.version} was not taken away. ${plan.objections.join(" ")}`,
      plan.objections,
    );
  }
  const kept = store.models.live.filter(({ version }) => version !== options.version).map(({ column }) => column);
  if (kept.length < store.models.live.length) {
    const script =
      lockModelsSql(store) +
      setStateSql(store, options.version, "dropped") +
      guardColumnsSql(store, kept) +
      endEpochSql(store);
    await applySteps(store.database, [{ name: `models/drop ${options.version}`, sql: script }]);
    store = await handle.renew(store);
  }
  let freedRows = 0;
  if (await hasColumn(store, plan.column)) {
    for (const name of plan.indexes) await dropIndex(store, name);
    const scopes = await tenantScopes(store);
    for (const scope of scopes) {
      for await (const rows of clearRows(scope, plan.column, options.batchRows ?? 500, signal)) {
        freedRows += rows;
        onProgress?.({ phase: "clearing", rows: freedRows });
      }
    }
    onProgress?.({ phase: "vacuuming", rows: freedRows });
    await vacuum(store, signal);
    const drop = `alter table ${quoteQualified(store.schema, store.options.layout.table)} drop column ${quoteIdentifier(plan.column)};\n`;
    await applySteps(store.database, [{ name: `models/drop-column ${options.version}`, sql: drop }]);
  }
  await forgetVersion(store, options.version);
  if (options.rewrite) {
    onProgress?.({ phase: "rewriting", rows: freedRows });
    await store.database.connection((session) =>
      session.execute({ name: "models/rewrite", sql: sql`vacuum (full, analyze) ${store.table}` }),
    );
  }
  store.memory.forgetIndexes();
  const { version, column, rows, bytes, indexes } = plan;
  return { version, column, rows, bytes, indexes, bytesAfter: (await sizeOf(store)).bytes, freedRows };
}

async function readVersion(store: OpenStore, version: number): Promise<{ column: string; state: string }> {
  const { rows } = await store.database.execute({
    name: "retire-version",
    sql: sql`
      select column_name as column, state from ${qualified(store.schema, MODELS_TABLE)}
      where store = ${store.options.layout.table}::text and version = ${version}::int4`,
  });
  const row = rows[0] as { column: string; state: string } | undefined;
  if (row !== undefined) return row;
  throw new ConfigurationError(
    `${JSON.stringify(store.options.layout.table)} has never had a model version ${version}.`,
  );
}

async function sizeOf(store: OpenStore): Promise<{ bytes: number; rows: number }> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute({
    name: "retire-size",
    sql: sql`
      select sum(pg_total_relation_size(c.oid))::float8 as bytes, sum(greatest(c.reltuples, 0))::float8 as rows
      from pg_class c where c.oid in (
        select to_regclass(${table}::text) union select relid from pg_partition_tree(to_regclass(${table}::text)))`,
  });
  return rows[0] as { bytes: number; rows: number };
}

/** The indexes on a column, of the table itself: those of partitions go with it. */
async function indexesOn(store: OpenStore, column: string): Promise<string[]> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute({
    name: "retire-indexes",
    sql: sql`
      select distinct c.relname::text as name from pg_index i join pg_class c on c.oid = i.indexrelid
      join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refobjid = i.indrelid
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = d.refobjsubid and a.attname = ${column}::text
      where i.indrelid = to_regclass(${table}::text) order by 1`,
  });
  return rows.map((row) => row["name"] as string);
}

async function hasColumn(store: OpenStore, column: string): Promise<boolean> {
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await store.database.execute({
    name: "retire-column",
    sql: sql`
      select from pg_attribute where attrelid = to_regclass(${table}::text) and attname = ${column}::text and not attisdropped`,
  });
  return rows.length > 0;
}

async function dropIndex(store: OpenStore, name: string): Promise<void> {
  const index = quoteQualified(store.schema, name);
  if (store.partitioned) {
    await applySteps(store.database, [{ name: "models/drop-index", sql: `drop index if exists ${index};\n` }]);
    return;
  }
  await store.database.connection((session) =>
    session.execute({ name: "models/drop-index", sql: raw(`drop index concurrently if exists ${index}`) }),
  );
}

/** Empties a column of a tenant's rows, no two rows of a page in one transaction, and yields how many each emptied. */
async function* clearRows(
  store: ScopedStore,
  column: string,
  batchRows: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<number> {
  const { id } = store.columns;
  const name = identifier(column);
  for (;;) {
    const { rows } = await store.database.execute(
      {
        name: "retire-rows",
        sql: sql`
          select (ctid::text::point)[0]::float8 as page, collection, ${id} as id from ${store.table}
          where ${tenantRows(store)} and ${name} is not null limit ${PAGE_OF_KEYS}::int8`,
      },
      { settings: store.settings },
    );
    const waiting = rows as unknown as WaitingRow[];
    let xid: string | undefined;
    for (const batch of strideBatches(waiting, batchRows)) {
      signal?.throwIfAborted();
      await awaitSnapshots(store, xid, signal);
      const cleared = await store.database.transaction(store.settings, (session) =>
        session.execute({
          name: "retire-clear",
          sql: sql`
            with cleared as (
              update ${store.table} c set ${name} = null
              from unnest(${new TextArrayParameter(batch.map((row) => row.collection))}::text[],
                ${new TextArrayParameter(batch.map((row) => row.id))}::text[]) as w (collection, id)
              where c.tenant_id = ${store.tenant}::text and c.collection = w.collection and c.${id} = w.id
              returning 1)
            select count(*)::float8 as rows, pg_current_xact_id()::text as xid from cleared`,
        }),
      );
      const done = cleared.rows[0] as { rows: number; xid: string };
      xid = done.xid;
      yield done.rows;
    }
    if (waiting.length < PAGE_OF_KEYS) return;
  }
}

/** Updates find room on their page once nobody can see the rows that the last ones replaced. */
async function awaitSnapshots(
  store: ScopedStore,
  xid: string | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (xid === undefined) return;
  for (let wait = 2; wait < 1_000; wait *= 2) {
    const held = await store.database.connection((session) => findHeldSnapshot(session, xid));
    if (held === undefined) return;
    await pause(wait, signal);
  }
}

async function vacuum(store: OpenStore, signal: AbortSignal | undefined): Promise<void> {
  const { table } = store.options.layout;
  const relations = await store.database.connection((session) => findVacuumable(session, store.schema, table));
  await vacuumRelations(store, relations, signal);
}

/** Removes what was kept for a version: its leases, the rows set aside, and vectors that no search will ask for. */
async function forgetVersion(store: OpenStore, version: number): Promise<void> {
  const { layout } = store.options;
  const kept = [
    ...backfillTables(layout).map((table) => ({ table, column: "version" })),
    { table: sourceTables(layout)[1], column: "model_version" },
  ];
  for (const scope of await tenantScopes(store)) {
    for (const { table, column } of kept) {
      await store.database.execute(
        {
          name: "retire-kept",
          sql: sql`
            delete from ${qualified(store.schema, table)}
            where tenant_id = ${scope.tenant}::text and ${identifier(column)} = ${version}::int4`,
        },
        { settings: scope.settings },
      );
    }
  }
}

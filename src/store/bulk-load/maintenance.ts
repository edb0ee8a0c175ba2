import sql, { raw } from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Database } from "../../db/database.js";
import type { Statement } from "../../db/statement.js";
import { quoteLiteral, quoteQualified } from "../../db/identifiers.js";
import { IndexBuildError } from "../../errors.js";
import { applySteps } from "../../schema/apply.js";
import { MAINTENANCE_TABLE, type Layout } from "../../schema/layout.js";
import { graphNeed } from "../build-memory.js";
import { ivfflatBuildBytes } from "../index-parameters.js";
import { parseIndexNote } from "../index-note.js";
import { noteRecall } from "../measure-recall.js";
import type { OpenStore } from "../open.js";
import { buildIndex } from "../vector-index.js";

/**
 * What a load changes about its table for its own time. Each change is recorded in the transaction that makes it, so that
 * whatever becomes of the process, the next load or `doctor --fix` finds the record and restores what it says.
 */
export interface MaintenanceRecord {
  readonly kind: "index" | "autovacuum";
  /** Of the index; of the table for autovacuum. */
  readonly name: string;
  /** For an index, what stands behind its table in the statement that makes it. */
  readonly definition: string;
  /** The comment of an index: what was measured of it, or what somebody wrote. */
  readonly note: string | null;
  /** Since its load has last been heard of. */
  readonly idleSeconds: number;
}

/** A running load says every few seconds that it is there; one that has not for this long is not. */
const DEAD_AFTER_SECONDS = 15;
const HEARTBEAT_MS = 4_000;

export function isAbandoned({ idleSeconds }: MaintenanceRecord): boolean {
  return idleSeconds > DEAD_AFTER_SECONDS;
}

/** As much of a store as it takes to read its records. */
interface Place {
  readonly database: Database;
  readonly schema: string;
  readonly options: { readonly layout: Pick<Layout, "table"> };
}

const tableOf = (store: Place): string => quoteQualified(store.schema, store.options.layout.table);
const recordsOf = (store: Place): string => quoteQualified(store.schema, MAINTENANCE_TABLE);

/** Whether the connection's own role may change the table and keep records about it. */
export async function mayMaintain(store: OpenStore): Promise<boolean> {
  const { rows } = await store.database.execute({
    name: "may-maintain",
    sql: sql`
      select pg_has_role(c.relowner, 'usage') and c.relkind = 'r'
        and has_table_privilege(m.oid, 'select, insert, update, delete') as allowed
      from pg_class c, pg_class m
      where c.oid = to_regclass(${tableOf(store)}::text) and m.oid = to_regclass(${recordsOf(store)}::text)`,
  });
  return rows[0]?.["allowed"] === true;
}

/** Whether the connection's own role may read the records. */
export async function mayReadRecords(store: Place): Promise<boolean> {
  const { rows } = await store.database.execute({
    name: "may-read-maintenance",
    sql: sql`select has_table_privilege(to_regclass(${recordsOf(store)}::text), 'select') as allowed`,
  });
  return rows[0]!["allowed"] === true;
}

/** Everything that is recorded for the store, by whatever load. */
export async function readRecords(store: Place): Promise<MaintenanceRecord[]> {
  const { rows } = await store.database.execute({
    name: "read-maintenance",
    sql: sql`
      select kind, name, definition, note, extract(epoch from clock_timestamp() - touched_at)::float8 as "idleSeconds"
      from ${raw(recordsOf(store))} where store = ${store.options.layout.table}::text order by kind, name`,
  });
  return rows as unknown as MaintenanceRecord[];
}

/** Turns autovacuum off for the table, unless somebody has set it for good. @returns whether it did. */
export async function pauseAutovacuum(store: OpenStore): Promise<boolean> {
  const { table } = store.options.layout;
  const { rows } = await store.database.execute({
    name: "autovacuum-setting",
    sql: sql`
      select exists (select from unnest(c.reloptions) as o where o like 'autovacuum_enabled=%') as fixed
      from pg_class c where c.oid = to_regclass(${tableOf(store)}::text)`,
  });
  if (rows[0]?.["fixed"] === true) return false;
  const change = `alter table ${tableOf(store)} set (autovacuum_enabled = off, toast.autovacuum_enabled = off);`;
  await applySteps(store.database, [
    { name: "pause-autovacuum", sql: `${insertRecord(store, "autovacuum", table, "reset")}${change}` },
  ]);
  return true;
}

/** Drops vector indexes, their definitions recorded, and says the name of each. */
export async function dropVectorIndexes(store: OpenStore, onDropped: (name: string) => void): Promise<void> {
  // With nothing in the search path every name comes out qualified, and means the same wherever it is read.
  const { rows } = await store.database.execute(
    {
      name: "vector-index-definitions",
      sql: sql`
        select c.relname::text as name,
          substr(pg_get_indexdef(c.oid), 1 + length(format('CREATE INDEX %I ON %I.%I ', c.relname, n.nspname, t.relname))) as definition,
          obj_description(c.oid, 'pg_class') as note
        from pg_index i
        join pg_class t on t.oid = i.indrelid
        join pg_namespace n on n.oid = t.relnamespace
        join pg_class c on c.oid = i.indexrelid
        join pg_am a on a.oid = c.relam and a.amname in ('hnsw', 'ivfflat')
        where i.indisvalid and i.indrelid = to_regclass(${tableOf(store)}::text)
        order by c.relname`,
    },
    { settings: { search_path: "pg_catalog" } },
  );
  for (const { name, definition, note } of rows as { name: string; definition: string; note: string | null }[]) {
    const drop = `drop index ${quoteQualified(store.schema, name)};`;
    await applySteps(store.database, [
      { name: "drop-vector-index", sql: `${insertRecord(store, "index", name, definition, note)}${drop}` },
    ]);
    onDropped(name);
  }
  store.memory.forgetIndexes();
}

function insertRecord(
  store: OpenStore,
  kind: MaintenanceRecord["kind"],
  name: string,
  definition: string,
  note: string | null = null,
): string {
  const values = [store.options.layout.table, kind, name, definition].map(quoteLiteral).join(", ");
  return (
    `insert into ${recordsOf(store)} (store, kind, name, definition, note) ` +
    `values (${values}, ${note === null ? "null" : quoteLiteral(note)})\n` +
    "on conflict (store, kind, name) do update set definition = excluded.definition, note = excluded.note, touched_at = now();\n"
  );
}

/** Says regularly that the load is at work to which these records belong. @returns what ends it. */
export function keepAlive(store: OpenStore, names: readonly string[]): () => void {
  const touch = (): Statement => ({
    name: "touch-maintenance",
    sql: sql`
      update ${raw(recordsOf(store))} set touched_at = clock_timestamp()
      where store = ${store.options.layout.table}::text and name = any(${new TextArrayParameter(names)}::text[])`,
  });
  // A beat that is missed only makes another load restore what this one would.
  const beat = (): void => void store.database.execute(touch()).catch(() => undefined);
  const timer = setInterval(beat, HEARTBEAT_MS).unref();
  return () => clearInterval(timer);
}

/**
 * Undoes what a record says and removes it. Building an index takes its time, and blocks neither reads nor writes.
 *
 * @returns whether it is undone; not so when something else has the index's name.
 */
export async function restore(store: OpenStore, record: MaintenanceRecord, signal?: AbortSignal): Promise<boolean> {
  if (record.kind === "autovacuum") {
    const reset = `alter table ${tableOf(store)} reset (autovacuum_enabled, toast.autovacuum_enabled);`;
    await applySteps(store.database, [{ name: "resume-autovacuum", sql: `${reset}\n${deleteRecord(store, record)}` }]);
    return true;
  }
  try {
    await rebuildIndex(store, record, signal);
  } catch (error) {
    if (!(error instanceof IndexBuildError) || error.cause !== undefined) throw error;
    store.options.logger.warn(`langchain-pgvector: ${error.message}`);
    return false;
  }
  store.memory.forgetIndexes();
  // What was measured is true of the graph that it was measured on; who did not want it measured does not now.
  if (parseIndexNote(record.note) !== undefined) await noteRecall(store, record.name);
  return true;
}

async function rebuildIndex(
  store: OpenStore,
  record: MaintenanceRecord,
  signal: AbortSignal | undefined,
): Promise<void> {
  const parameter = (name: string): number | undefined => {
    const [, value] = new RegExp(`\\b${name}='?(\\d+)`).exec(record.definition) ?? [];
    return value === undefined ? undefined : Number(value);
  };
  const { layout } = store.options;
  const index = { schema: store.schema, table: layout.table, name: record.name, using: raw(record.definition) };
  const need = record.definition.startsWith("USING ivfflat")
    ? { total: ivfflatBuildBytes(store.model, parameter("lists") ?? 100) }
    : graphNeed(store.model, parameter("m") ?? 16);
  await buildIndex(store, index, need, { signal });
  const comment =
    record.note === null || parseIndexNote(record.note) !== undefined
      ? ""
      : `comment on index ${quoteQualified(store.schema, record.name)} is ${quoteLiteral(record.note)};\n`;
  await applySteps(store.database, [{ name: "forget-maintenance", sql: comment + deleteRecord(store, record) }]);
}

function deleteRecord(store: OpenStore, { kind, name }: MaintenanceRecord): string {
  return (
    `delete from ${recordsOf(store)} where store = ${quoteLiteral(store.options.layout.table)} ` +
    `and kind = ${quoteLiteral(kind)} and name = ${quoteLiteral(name)};`
  );
}

import sql, { raw, type Sql } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { qualified, quoteQualified } from "../db/identifiers.js";
import { IndexBuildError } from "../errors.js";
import type { OpenStore } from "./open.js";

/**
 * Runs a `create index concurrently` unless the index is there; replaces the invalid remains of an interrupted build.
 *
 * @throws IndexBuildError when the build fails (its remains are removed), when another backend is building it, or when
 * another relation has the name.
 */
export async function buildIndex(session: Session, store: OpenStore, name: string, create: Sql): Promise<void> {
  const existing = await findIndex(session, store, name);
  if (existing === "valid") return;
  if (existing === "invalid") await dropIndex(session, store, name);
  try {
    await session.execute({ name: "create-index", sql: create });
    store.memory.forgetIndexes();
  } catch (cause) {
    // What is left of a failed build slows every write and serves no search.
    if ((await findIndex(session, store, name).catch(() => "absent")) === "invalid") {
      await dropIndex(session, store, name).catch(() => undefined);
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new IndexBuildError(
      `The index ${JSON.stringify(name)} on ${JSON.stringify(store.options.layout.table)} was not built: ${reason}`,
      { cause },
    );
  }
}

async function findIndex(session: Session, store: OpenStore, name: string): Promise<"absent" | "valid" | "invalid"> {
  const index = quoteQualified(store.schema, name);
  const table = quoteQualified(store.schema, store.options.layout.table);
  const { rows } = await session.execute({
    name: "find-index",
    sql: sql`
      select coalesce(i.indrelid = to_regclass(${table}::text), false) as ours, i.indisvalid as valid,
        (select p.pid from pg_stat_progress_create_index p where p.index_relid = c.oid limit 1) as builder
      from pg_class c left join pg_index i on i.indexrelid = c.oid
      where c.oid = to_regclass(${index}::text)`,
  });
  const row = rows[0] as { ours: boolean; valid: boolean; builder: number | null } | undefined;
  if (row === undefined) return "absent";
  if (!row.ours) {
    throw new IndexBuildError(`The name ${index} belongs to another relation; set \`namespace\` to tell them apart.`);
  }
  if (row.valid) return "valid";
  if (row.builder !== null) {
    throw new IndexBuildError(`The index ${index} is being built already, by backend ${row.builder}; wait for it.`);
  }
  return "invalid";
}

async function dropIndex(session: Session, store: OpenStore, name: string): Promise<void> {
  await session.execute({
    name: "drop-index",
    sql: sql`drop index concurrently if exists ${qualified(store.schema, name)}`,
  });
}

/** Bytes of the graph for one neighbour of `m`, measured at 956 for `m` 16. */
const BYTES_PER_M = 60;

/**
 * Gives one session the memory that the graph of an HNSW index needs, at most what the server's shared buffers have and
 * never less than its own setting. Without it the build goes to disk and takes several times as long.
 */
export async function withBuildMemory<T>(
  session: Session,
  store: OpenStore,
  m: number,
  build: () => Promise<T>,
): Promise<T> {
  const { dimensions, storageType } = store.model;
  const perRow = dimensions * (storageType === "vector" ? 4 : 2) + BYTES_PER_M * m;
  const table = quoteQualified(store.schema, store.options.layout.table);
  await session.execute({
    name: "build-memory",
    sql: sql`
      select set_config('maintenance_work_mem', greatest(
        pg_size_bytes(current_setting('maintenance_work_mem')),
        least(
          pg_size_bytes(current_setting('shared_buffers')),
          (greatest(c.reltuples, pg_table_size(c.oid)::float8 / ${raw(String(perRow))}) * ${raw(String(perRow))} * 1.1)::int8
        )) / 1024 || 'kB', false)
      from pg_class c where c.oid = to_regclass(${table}::text)`,
  });
  try {
    return await build();
  } finally {
    await session.execute({ name: "build-memory", sql: sql`reset maintenance_work_mem` }).catch(() => undefined);
  }
}

import sql, { raw, type Sql } from "sql-template-tag";
import type { Session } from "../db/database.js";
import { qualified, quoteIdentifier, quoteQualified } from "../db/identifiers.js";
import { IndexBuildError } from "../errors.js";
import { applySteps } from "../schema/apply.js";
import { derivedName } from "../schema/partitions.js";
import type { OpenStore } from "./open.js";

/** An index that is to be there. */
export interface WantedIndex {
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  readonly unique?: boolean;
  /** What stands behind the table in `create index`, from `using` on. */
  readonly using: Sql;
}

/**
 * Builds an index with `create index concurrently` unless it is there; replaces the invalid remains of an interrupted
 * build. Takes hours where there are many vectors, and blocks nobody.
 *
 * @returns whether it had to be built.
 * @throws IndexBuildError when the build fails (its remains are removed), or another relation has the name.
 */
export async function ensureIndex(session: Session, index: WantedIndex): Promise<boolean> {
  const existing = await findIndex(session, index);
  if (existing === "valid") return false;
  if (existing === "invalid") await dropIndex(session, index);
  try {
    await session.execute({
      name: "create-index",
      sql: sql`create ${raw(index.unique ? "unique " : "")}index concurrently ${raw(quoteIdentifier(index.name))} on ${qualified(index.schema, index.table)} ${index.using}`,
    });
    return true;
  } catch (cause) {
    // What is left of a failed build slows every write and serves no search.
    if ((await findIndex(session, index).catch(() => "absent")) === "invalid") {
      await dropIndex(session, index).catch(() => undefined);
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new IndexBuildError(
      `The index ${JSON.stringify(index.name)} on ${JSON.stringify(index.table)} was not built: ${reason}`,
      { cause },
    );
  }
}

/**
 * Builds an index of a partitioned table, for which there is no concurrent build: an empty one on the table alone, then
 * one on each partition, which is attached when it is ready. The table's index is valid when all are. Goes on where an
 * earlier call has stopped.
 *
 * @returns the names of the partitions' indexes that had to be built.
 */
export async function createPartitionedIndex(
  store: OpenStore,
  name: string,
  using: Sql,
  suffix = "hnsw_idx",
): Promise<string[]> {
  const built: string[] = [];
  const { database, schema } = store;
  const { table } = store.options.layout;
  const parent = { schema, table, name, using };
  if ((await database.connection((session) => findIndex(session, parent))) === "absent") {
    const create = `create index ${quoteIdentifier(name)} on only ${quoteQualified(schema, table)} ${using.sql};\n`;
    await applySteps(database, [{ name: "create-partitioned-index", sql: create }]);
  }
  for (const partition of await partitionsWithout(store, name)) {
    const index = { ...partition, name: derivedName(partition.table, store.model.column, suffix), using };
    if (await database.connection((session) => ensureIndex(session, index))) built.push(index.name);
    const attach = `alter index ${quoteQualified(schema, name)} attach partition ${quoteQualified(index.schema, index.name)};\n`;
    await applySteps(database, [{ name: "attach-index", sql: attach }]);
  }
  return built;
}

/** The partitions that have no part of the table's index yet. */
async function partitionsWithout(store: OpenStore, name: string): Promise<{ schema: string; table: string }[]> {
  const { schema, database } = store;
  const { rows } = await database.execute({
    name: "partitions-without-index",
    sql: sql`
      select n.nspname::text as schema, c.relname::text as table
      from pg_partition_tree(to_regclass(${quoteQualified(schema, store.options.layout.table)}::text)) p
      join pg_class c on c.oid = p.relid join pg_namespace n on n.oid = c.relnamespace
      where p.isleaf and not exists (
        select from pg_inherits h join pg_index i on i.indexrelid = h.inhrelid
        where h.inhparent = to_regclass(${quoteQualified(schema, name)}::text) and i.indrelid = c.oid
      )
      order by pg_table_size(c.oid), c.relname`,
  });
  return rows as unknown as { schema: string; table: string }[];
}

async function findIndex(session: Session, index: WantedIndex): Promise<"absent" | "valid" | "invalid"> {
  const name = quoteQualified(index.schema, index.name);
  const table = quoteQualified(index.schema, index.table);
  const { rows } = await session.execute({
    name: "find-index",
    sql: sql`
      select coalesce(i.indrelid = to_regclass(${table}::text), false) as ours, i.indisvalid as valid,
        (select p.pid from pg_stat_progress_create_index p where p.index_relid = c.oid limit 1) as builder
      from pg_class c left join pg_index i on i.indexrelid = c.oid
      where c.oid = to_regclass(${name}::text)`,
  });
  const row = rows[0] as { ours: boolean; valid: boolean; builder: number | null } | undefined;
  if (row === undefined) return "absent";
  if (!row.ours) {
    throw new IndexBuildError(`The name ${name} belongs to another relation; set \`namespace\` to tell them apart.`);
  }
  if (row.valid) return "valid";
  if (row.builder !== null) {
    throw new IndexBuildError(`The index ${name} is being built already, by backend ${row.builder}; wait for it.`);
  }
  return "invalid";
}

async function dropIndex(session: Session, { schema, name }: WantedIndex): Promise<void> {
  await session.execute({
    name: "drop-index",
    sql: sql`drop index concurrently if exists ${qualified(schema, name)}`,
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
  workers?: number,
): Promise<T> {
  const { dimensions, storageType, quantization } = store.model;
  const bytes = quantization === "binary" ? dimensions / 8 : dimensions * (storageType === "vector" ? 4 : 2);
  const perRow = bytes + BYTES_PER_M * m;
  const stored = dimensions * (storageType === "vector" ? 4 : 2);
  const table = quoteQualified(store.schema, store.options.layout.table);
  await session.execute({
    name: "build-memory",
    sql: sql`
      select set_config('maintenance_work_mem', greatest(
        pg_size_bytes(current_setting('maintenance_work_mem')),
        least(
          pg_size_bytes(current_setting('shared_buffers')),
          (greatest(c.reltuples, pg_table_size(c.oid)::float8 / ${raw(String(stored))}) * ${raw(String(perRow))} * 1.1)::int8
        )) / 1024 || 'kB', false)
      from pg_class c where c.oid = to_regclass(${table}::text)`,
  });
  try {
    if (workers !== undefined) {
      const set = sql`select set_config('max_parallel_maintenance_workers', ${String(workers)}, false)`;
      await session.execute({ name: "build-workers", sql: set });
    }
    return await build();
  } finally {
    await session.execute({ name: "build-memory", sql: sql`reset maintenance_work_mem` }).catch(() => undefined);
    const reset = sql`reset max_parallel_maintenance_workers`;
    if (workers !== undefined) await session.execute({ name: "build-workers", sql: reset }).catch(() => undefined);
  }
}

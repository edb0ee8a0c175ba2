import sql from "sql-template-tag";
import { quoteIdentifier, quoteQualified } from "../db/identifiers.js";
import { applySteps } from "../schema/apply.js";
import { derivedName } from "../schema/partitions.js";
import { findIndex, type WantedIndex } from "./build-index.js";
import type { OpenStore } from "./open.js";

/** The name of the part of a table's index that is on one partition. */
export function partIndexName(table: string, index: string, partition: string): string {
  const prefix = `${table}_`;
  return derivedName(partition, index.startsWith(prefix) ? index.slice(prefix.length) : index);
}

/** The index of a partitioned table, and how the part on one partition is built. */
export interface PartitionedIndex extends Pick<WantedIndex, "name" | "using" | "expected"> {
  /** @returns whether the part had to be built. */
  readonly build: (part: WantedIndex) => Promise<boolean>;
}

/**
 * Builds an index of a partitioned table, for which there is no concurrent build: an empty one on the table alone, then
 * one on each partition, which is attached when it is ready. The table's index is valid when all are. Goes on where an
 * earlier call has stopped.
 *
 * @returns the names of the partitions' indexes that had to be built.
 */
export async function createPartitionedIndex(store: OpenStore, index: PartitionedIndex): Promise<string[]> {
  const built: string[] = [];
  const { database, schema } = store;
  const { table } = store.options.layout;
  const { build, ...wanted } = index;
  const { name, using } = wanted;
  const parent = { ...wanted, schema, table };
  if ((await database.connection((session) => findIndex(session, parent))).state === "absent") {
    const create = `create index ${quoteIdentifier(name)} on only ${quoteQualified(schema, table)} ${using.sql};\n`;
    await applySteps(database, [{ name: "create-partitioned-index", sql: create }]);
  }
  for (const partition of await partitionsWithout(store, name)) {
    const part = { ...wanted, ...partition, name: partIndexName(table, name, partition.table) };
    if (await build(part)) built.push(part.name);
    const attach = `alter index ${quoteQualified(schema, name)} attach partition ${quoteQualified(part.schema, part.name)};\n`;
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

import { randomBytes } from "node:crypto";
import { quoteQualified, shortenName } from "../db/identifiers.js";
import { ConfigurationError } from "../errors.js";
import type { SchemaState } from "./inspect.js";
import type { Layout } from "./layout.js";
import { rowSecuritySql } from "./tenancy.js";

/** The longest row that a page of 8 kB holds. */
export const WHOLE_ROW_BYTES = 8_160;

/**
 * The storage parameters of what holds rows. Room is left on each page, so that an update can stay on it; rows with their
 * vectors in them are too long for that, and up to a page of them stays whole.
 */
export function rowStorage({ inlineVectors }: Pick<Layout, "inlineVectors">): string {
  return inlineVectors ? `with (toast_tuple_target = ${WHOLE_ROW_BYTES})` : "with (fillfactor = 90)";
}

/** What stands behind the columns of the table of chunks; a partitioned one has no storage of its own. */
export function chunksStorage(layout: Layout): string {
  return layout.partitions === "by-tenant" ? "partition by list (tenant_id)" : rowStorage(layout);
}

/**
 * The partition of all tenants that have none of their own. It has policies of its own, since a statement that names a
 * partition passes by those of its table, and the app role gets no rights on it.
 */
export function newPartitionsSql(schema: string, layout: Layout): string {
  if (layout.partitions !== "by-tenant") return "";
  const name = partitionName(layout.table, "default");
  return (
    `\ncreate table ${quoteQualified(schema, name)} partition of ${quoteQualified(schema, layout.table)} default ` +
    `${rowStorage(layout)};\n${rowSecuritySql(schema, layout, name)}`
  );
}

/** @throws ConfigurationError when the table that is there is not of the kind that was asked for. */
export function checkPartitions(state: SchemaState, layout: Layout): void {
  if (!state.chunks.exists || layout.partitions === undefined) return;
  if (state.chunks.partitioned === (layout.partitions === "by-tenant")) return;
  const table = JSON.stringify(layout.table);
  throw new ConfigurationError(
    state.chunks.partitioned
      ? `The table ${table} is partitioned by tenant and the option says partitions: "none"; leave the option out.`
      : `The table ${table} is not partitioned, which is decided when a table is made. Leave \`partitions\` out, or make ` +
          `another table with partitions: "by-tenant" and move the tenants there (tenants export, tenants import).`,
  );
}

/** A name for what belongs to a table; a long one is cut and told apart by a hash of the whole. */
export function derivedName(...parts: string[]): string {
  return shortenName(parts.join("_"));
}

/** The name of a partition, which says nothing about its tenant: names of tables are there for all to read. */
export function partitionName(table: string, kind: "default" | "tenant"): string {
  return kind === "default" ? derivedName(table, kind) : derivedName(table, kind, randomBytes(6).toString("hex"));
}

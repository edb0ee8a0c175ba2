import { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteIdentifier } from "../../db/identifiers.js";
import type { BackupRelation } from "./relations.js";

export interface RowsChecksum {
  readonly rows: number;
  /** Sum of a 64-bit part of each row's SHA-256, so that the order of rows does not matter. */
  readonly checksum: string;
}

/** Settings that change how values look as text, and `row_security` so that nothing is hidden unseen. */
export function textSettings(bound: boolean): string {
  return (
    "set local datestyle = 'iso, mdy'; set local timezone = 'UTC'; set local intervalstyle = 'postgres'; " +
    "set local extra_float_digits = 1; set local bytea_output = 'hex'; set local search_path = pg_catalog; " +
    `set local row_security = ${bound ? "on" : "off"}`
  );
}

/**
 * Counts the rows of a table, not of its partitions, and sums their hashes. One scan. Run {@link textSettings} before, in
 * the same transaction.
 *
 * @param vectors whether embeddings count.
 */
export async function checksumOf(session: Session, relation: BackupRelation, vectors: boolean): Promise<RowsChecksum> {
  const columns = relation.columns.filter((column) => vectors || !column.vector);
  const row = `row(${columns.map(({ name }) => `t.${quoteIdentifier(name)}`).join(", ")})::text`;
  const { rows } = await session.execute({
    name: "backup-checksum",
    sql: raw(
      `select count(*)::float8 as rows, coalesce(sum(('x' || encode(substr(sha256(convert_to(${row}, 'UTF8')), 1, 8), 'hex'))` +
        `::bit(64)::int8::numeric), 0)::text as checksum from only ${relation.quoted} t`,
    ),
  });
  return rows[0] as unknown as RowsChecksum;
}

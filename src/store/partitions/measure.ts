import { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { quoteLiteral } from "../../db/identifiers.js";
import type { Settings } from "../../db/settings.js";
import { transact } from "./locks.js";
import type { Move } from "./target.js";
import { partitionSql } from "./tree.js";

/** Rows and bytes that a move would copy: of one tenant counted, of whole partitions as the statistics say. */
export async function measureMove(
  session: Session,
  move: Move,
  settings: Settings,
): Promise<{ rows: number; bytes: number }> {
  const parts = move.sources.map((source) =>
    move.kind === "isolate"
      ? `select count(*)::float8 as rows, coalesce(sum(pg_column_size(s.*)), 0)::float8 as bytes ` +
        `from ${partitionSql(source)} s where tenant_id = ${quoteLiteral(move.tenant)}`
      : `select greatest(reltuples, 0)::float8 as rows, pg_table_size(oid)::float8 as bytes ` +
        `from pg_class where oid = ${quoteLiteral(partitionSql(source))}::regclass`,
  );
  const { rows } = await transact(session, settings, () =>
    session.execute({
      name: "measure-move",
      sql: raw(`select sum(rows) as rows, sum(bytes) as bytes from (${parts.join(" union all ")}) as parts`),
    }),
  );
  return rows[0] as unknown as { rows: number; bytes: number };
}

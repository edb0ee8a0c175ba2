import { raw } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { SQLSTATE, sqlstateOf } from "../../db/sqlstate.js";
import { partitionSql, type Partition } from "./tree.js";

/** Makes the space of rows that have left usable again, unless the role's time-outs are too short for that. */
export async function vacuumPartition(session: Session, partition: Partition): Promise<void> {
  const statement = `vacuum (analyze, index_cleanup on, truncate off, parallel 0) ${partitionSql(partition)}`;
  await session.execute({ name: "vacuum", sql: raw(statement) }).catch((error: unknown) => {
    // Cut off by a statement_timeout or the caller: the move is done, and autovacuum comes by itself.
    if (sqlstateOf(error) !== SQLSTATE.queryCanceled) throw error;
  });
}

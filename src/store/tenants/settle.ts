import sql from "sql-template-tag";
import { TextArrayParameter } from "../../db/codec.js";
import type { Database } from "../../db/database.js";
import { pause } from "../../db/pause.js";
import type { SecuredRelation } from "../../schema/tenant-relations.js";

const POLL_MS = 50;

/**
 * Waits until every transaction that may have read the tenant's earlier state has ended: those that write to one of the
 * tables, and those with a snapshot. Takes no lock and holds nobody up; it is how `create index concurrently` waits.
 *
 * A statement locks its tables before it takes its snapshot. So whoever locks them after this call has begun sees the
 * new state, unless its transaction keeps an older snapshot (repeatable read), and those are waited for too.
 */
export async function waitForEarlierTransactions(
  database: Database,
  relations: readonly SecuredRelation[],
  onWait: (transactions: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const oids = new TextArrayParameter(relations.map(({ oid }) => oid));
  const { rows } = await database.execute(
    {
      name: "find-earlier-transactions",
      sql: sql`
        with writing as (
          select oid from unnest(${oids}::text[]::oid[]) as r (oid)
          union select p.relid from unnest(${oids}::text[]::oid[]) as r (oid), pg_partition_tree(r.oid) p
        )
        select distinct l.virtualtransaction as id
        from pg_locks l left join pg_stat_activity a on a.pid = l.pid
        where l.pid is distinct from pg_backend_pid() and (
          (l.locktype = 'relation' and l.granted and l.relation in (select oid from writing)
            and l.database = (select oid from pg_database where datname = current_database())
            and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
          or (l.locktype = 'virtualxid' and l.granted and a.datname = current_database()
            and a.usesysid is not null and a.backend_xmin is not null))`,
    },
    { signal },
  );
  let open = rows.map((row) => row["id"] as string);
  while (open.length > 0) {
    const { rows: still } = await database.execute(
      {
        name: "await-earlier-transactions",
        sql: sql`select distinct virtualtransaction as id from pg_locks where virtualtransaction = any(${new TextArrayParameter(open)}::text[])`,
      },
      { signal },
    );
    open = still.map((row) => row["id"] as string);
    if (open.length === 0) return;
    onWait(open.length);
    await pause(POLL_MS, signal);
  }
}

import sql, { empty, join, raw, type Sql } from "sql-template-tag";
import type { Session } from "../../db/database.js";
import { identifier } from "../../db/identifiers.js";
import { pause } from "../../db/pause.js";
import type { Settings } from "../../db/settings.js";
import { DatabaseError } from "../../errors.js";
import type { OpenStore } from "../open.js";
import { LOCK_TIMEOUT_MS, patiently, transact } from "./locks.js";
import { keyColumns } from "./mirror.js";
import type { Move } from "./target.js";
import { partitionSql, type Partition, type PartitionTree } from "./tree.js";

/** How the rows of a move are copied. */
export interface CopyOptions {
  readonly batchRows: number;
  readonly pauseMs: number;
  readonly signal: AbortSignal | undefined;
  /** Scope in which the role sees the rows. */
  readonly settings: Settings;
}

/**
 * Copies what is not in the copy yet, in the order of the key, and yields how many rows each transaction looked at.
 *
 * The rows of a batch are locked against changes while it is copied. So each change of a row either comes before its
 * batch, which then copies the changed row, or after it, and then finds the copied row and changes it too.
 */
export async function* copyRows(
  session: Session,
  store: OpenStore,
  tree: PartitionTree,
  move: Move,
  source: Partition,
  options: CopyOptions,
): AsyncGenerator<number> {
  const keys = join(keyColumns(store).map((key) => raw(key)));
  const columns = join(tree.columns.map(identifier));
  const { batchRows, pauseMs, signal, settings } = options;
  let last: readonly string[] | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const behind = last === undefined ? empty : sql`and (${keys}) > (${join(last.map((key) => sql`${key}::text`))})`;
    const statement = sql`
      with batch as materialized (
        select ${columns} from ${from(source)} where ${tenantOf(move)} ${behind}
        order by ${keys} limit ${batchRows}::int8 for share
      ), copied as (
        insert into ${from(move.target)} (${columns}) select ${columns} from batch on conflict do nothing
      )
      select array[${keys}] as keys, (select count(*) from batch)::float8 as count
      from batch order by ${join(keyColumns(store).map((key) => raw(`${key} desc`)))} limit 1`;
    // Gives way before the deadlock detector would choose a victim.
    const copy = (): ReturnType<Session["execute"]> =>
      transact(session, { ...settings, lock_timeout: `${LOCK_TIMEOUT_MS}ms` }, () =>
        session.execute({ name: "copy-to-partition", sql: statement }),
      );
    const { rows } = await patiently("copying rows", copy, { signal });
    const row = rows[0] as { keys: string[]; count: number } | undefined;
    if (row === undefined) return;
    yield row.count;
    if (row.count < batchRows) return;
    last = row.keys;
    await pause(pauseMs, signal);
  }
}

/** Rows that a move has to copy. */
export async function countSources(session: Session, move: Move, settings: Settings): Promise<number> {
  const { rows } = await transact(session, settings, () =>
    session.execute({
      name: "count-rows-to-move",
      sql: sql`select count(*)::float8 as rows from ${allSources(move, sql`1`)} as s`,
    }),
  );
  return rows[0]!["rows"] as number;
}

/**
 * Compares the copy with its sources, every column of every row, in one statement: in any one snapshot they are equal,
 * however much is written meanwhile, because a change and its mirror commit together.
 *
 * @throws DatabaseError when they differ.
 */
export async function compareRows(
  session: Session,
  store: OpenStore,
  tree: PartitionTree,
  move: Move,
  settings: Settings,
): Promise<void> {
  const columns = join(tree.columns.map(identifier));
  const sameKey = join(
    keyColumns(store).map((key) => raw(`s.${key} = t.${key}`)),
    " and ",
  );
  const { rows } = await transact(session, settings, () =>
    session.execute({
      name: "compare-partitions",
      sql: sql`
        select count(*)::float8 as differing
        from ${allSources(move, columns)} as s
        full join (select ${columns} from ${from(move.target)}) as t on ${sameKey}
        where s.tenant_id is null or t.tenant_id is null or s *<> t`,
    }),
  );
  const differing = rows[0]!["differing"] as number;
  if (differing === 0) return;
  throw new DatabaseError(
    `${differing} rows of the copy ${JSON.stringify(move.target.name)} differ from those that are there; nothing was moved. ` +
      "Call tenants merge, which drops an unfinished copy, then isolate again.",
    undefined,
    false,
  );
}

function allSources(move: Move, columns: Sql): Sql {
  const parts = move.sources.map((source) => sql`select ${columns} from ${from(source)} where ${tenantOf(move)}`);
  return sql`(${join(parts, " union all ")})`;
}

function tenantOf(move: Move): Sql {
  return move.kind === "isolate" ? sql`tenant_id = ${move.tenant}::text` : sql`true`;
}

function from(partition: Partition): Sql {
  return raw(partitionSql(partition));
}
